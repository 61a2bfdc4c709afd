"""Ed25519 signatures over the chain value of a sealed segment, which covers all records up to it.

A signature is optional. It proves that the holder of a key sealed the records. The chain alone detects changes by
anyone who does not recompute it.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from journal.errors import JournalError

_CONTEXT = "verbatim journal chain "  # a signature made for another purpose must not be valid for a journal


class BadKeyError(JournalError):
    """A signing key is unusable."""


class Signer:
    """A private key. It never prints the key."""

    __slots__ = ("_key", "public_key")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    @classmethod
    def from_pem(cls, text: bytes) -> "Signer":
        """Return the signer with the key that `openssl genpkey -algorithm ed25519` wrote.

        Raises:
            BadKeyError: The text is not such a key. The message contains nothing of the text.
        """
        try:
            key = load_pem_private_key(text, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKeyError(
                "the file is not an Ed25519 key in PEM without password. What to do: create one with "
                "openssl genpkey -algorithm ed25519 -out FILE."
            )
        return cls(key)

    def sign(self, chain: str, *, final: bool) -> str:
        """Return the signature over a chain value, in hexadecimal."""
        return self._key.sign(_message(chain, final=final)).hex()

    def __repr__(self) -> str:
        return f"Signer(public_key={self.public_key})"


def _message(chain: str, *, final: bool) -> bytes:
    """Return the bytes to sign.

    They state whether the session ends here, so a truncated journal cannot pass as closed.
    """
    return f"{_CONTEXT}{chain}{' final' if final else ''}".encode()


def is_signature_valid(chain: str, signer: str, signature: str, *, final: bool) -> bool:
    """Return True if the signature is `signer`'s over this chain value and this `final` flag.

    Args:
        chain: The chain value.
        signer: A public key in hexadecimal.
        signature: In hexadecimal.
        final: True if the session ends with this segment.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer))
        key.verify(bytes.fromhex(signature), _message(chain, final=final))
    except (InvalidSignature, ValueError):
        return False
    return True
