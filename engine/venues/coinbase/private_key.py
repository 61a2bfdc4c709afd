"""The private half of a Coinbase key. Only sessions with such a key import cryptography."""

import base64
import binascii
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SEED_BYTES: Final = (32, 64)  # of an Ed25519 key in base64: the seed, or the seed and the public key
NUMBER_BYTES: Final = 32  # of each of the two numbers of an ES256 signature


def load_private(secret: str) -> tuple[str, Callable[[bytes], bytes]]:
    """Return the algorithm and the signing function of a private key: PEM, or an Ed25519 key in base64.

    Raises:
        ValueError: The text holds another key, or none. The error never quotes it.
    """
    private = _read_private(secret.strip().replace("\\n", "\n"))  # the venue's JSON file writes line ends so
    if isinstance(private, Ed25519PrivateKey):
        return "EdDSA", private.sign
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return "ES256", _es256(private)
    raise ValueError(
        "the private key is neither an EC P-256 nor an Ed25519 key: copy it again, whole, as Coinbase shows it"
    )


def _read_private(text: str) -> object:
    try:
        if text.startswith("-----BEGIN"):
            return load_pem_private_key(text.encode(), password=None)
        seed = base64.b64decode(text, validate=True)
        return Ed25519PrivateKey.from_private_bytes(seed[:32]) if len(seed) in SEED_BYTES else None
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        return None  # the library's text may quote the key, so its error ends here


def _es256(private: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """Return a signing function whose signatures repeat, as two numbers (RFC 6979, RFC 7518)."""

    def sign(text: bytes) -> bytes:
        der = private.sign(text, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return b"".join(number.to_bytes(NUMBER_BYTES, "big") for number in decode_dss_signature(der))

    return sign
