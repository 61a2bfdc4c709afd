"""Ed25519 signatures over the chain value of a sealed segment: who vouches for all records up to it.

A signature is optional. It proves that the holder of a key sealed this; the chain alone proves only that nothing was
changed since by somebody who could not do the sums again.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from journal.errors import JournalError

_CONTEXT = "verbatim journal chain "  # so that no signature given for something else is one for a journal


class BadKeyError(JournalError):
    """A key that cannot be used."""


class Signer:
    """Holds a private key, and cannot print it."""

    __slots__ = ("_key", "public_key")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw().hex()

    @classmethod
    def from_pem(cls, text: bytes) -> "Signer":
        """As `openssl genpkey -algorithm ed25519` writes it. BadKeyError, without a word of what was read."""
        try:
            key = load_pem_private_key(text, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKeyError(
                "no Ed25519 key in PEM without password. What to do: openssl genpkey -algorithm ed25519 -out FILE"
            )
        return cls(key)

    def sign(self, chain: str, *, final: bool) -> str:
        return self._key.sign(_message(chain, final=final)).hex()

    def __repr__(self) -> str:
        return f"Signer(public_key={self.public_key})"


def _message(chain: str, *, final: bool) -> bytes:
    """That a session ended here is signed too: else a journal cut short could be called closed."""
    return f"{_CONTEXT}{chain}{' final' if final else ''}".encode()


def is_signed(chain: str, signer: str, signature: str, *, final: bool) -> bool:
    """Whether `signer`, a public key in hexadecimal, signed this chain value, and that the session ends with it or does not."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer))
        key.verify(bytes.fromhex(signature), _message(chain, final=final))
    except (InvalidSignature, ValueError):
        return False
    return True
