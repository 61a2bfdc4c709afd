"""The private key of an Ed25519 API key. Only sessions with such a key import cryptography."""

import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def load_private_key(pem: str | bytes) -> Ed25519PrivateKey:
    """Return the key in a PEM text (PKCS#8, not encrypted).

    Raises:
        ValueError: The text holds another key, or none. The error never quotes it.
    """
    try:
        private = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        private = None  # the library's text may quote the file, so its error ends here
    if isinstance(private, Ed25519PrivateKey):
        return private
    raise ValueError("the private key is no Ed25519 key in PEM without a password: export it as PKCS#8")
