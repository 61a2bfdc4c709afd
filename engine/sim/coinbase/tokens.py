"""The check of the tokens of requests and subscriptions, as Coinbase makes it. Holds the accounts' public keys."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

HOSTS: Final = frozenset({"api.coinbase.com"})  # that a token may name, beside the host that the request was sent to
VALID_S: Final = 120  # longest life of a token
AHEAD_S: Final = 5  # so far may a token begin in the future
SECOND_NS: Final = 1_000_000_000

Verify = Callable[[bytes, bytes], None]  # signature, text; raises InvalidSignature


class TokenError(Exception):
    """A token that is not accepted: the venue answers no more than `Unauthorized`. The text is for tests."""


class TokenRing:
    """Keys of the venue's accounts: name -> account."""

    def __init__(self, keys: Mapping[str, tuple[str, str]]) -> None:
        """Take the accounts and their private keys. Only the public halves are kept."""
        self._accounts = {name: account for name, (account, _) in keys.items()}
        self._verify = {name: _verifier(secret) for name, (_, secret) in keys.items()}
        self._used: dict[str, int] = {}  # token -> when it expires: each is for one request

    def check(self, token: str, now_ns: int, *, uris: frozenset[str] = frozenset()) -> str:
        """Return the key's name. `uris` are the requests that the token may name; none for a subscription.

        Raises:
            TokenError: the signature, the time or the request is wrong.
        """
        header, claims = self._read(token)
        name, now_s = str(header.get("kid", "")), now_ns // SECOND_NS
        if claims.get("sub") != name or claims.get("iss") != "cdp":
            raise TokenError("sub or iss")
        begin_s, end_s = claims.get("nbf"), claims.get("exp")
        if not isinstance(begin_s, int) or not isinstance(end_s, int) or end_s - begin_s > VALID_S:
            raise TokenError("no time")
        if begin_s > now_s + AHEAD_S or end_s <= now_s:
            raise TokenError("the time is not now")
        if uris and claims.get("uri") not in uris:
            raise TokenError(f"another request: {str(claims.get('uri'))[:100]}")
        self._used = {used: until_s for used, until_s in self._used.items() if until_s > now_s}
        if token in self._used:
            raise TokenError("used before")
        self._used[token] = end_s
        return name

    def account(self, name: str) -> str:
        """Return the account of a key."""
        return self._accounts[name]

    def _read(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            head, body, signature = token.split(".")
            header, claims = json.loads(_decoded(head)), json.loads(_decoded(body))
            self._verify[header["kid"]](_decoded(signature), f"{head}.{body}".encode("ascii"))
        except (ValueError, LookupError, TypeError, binascii.Error, InvalidSignature) as error:
            raise TokenError(f"the signature: {type(error).__name__}") from None
        return header, claims


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verifier(secret: str) -> Verify:
    """Return what verifies the signatures of a private key: an Ed25519 seed in base64, or a key in PEM."""
    if not secret.startswith("-----BEGIN"):
        public = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret)[:32]).public_key()
        return public.verify
    private = load_pem_private_key(secret.encode(), password=None)
    if isinstance(private, Ed25519PrivateKey):
        return private.public_key().verify
    assert isinstance(private, ec.EllipticCurvePrivateKey), "a key of this venue"
    curve = private.public_key()

    def verify(signature: bytes, text: bytes) -> None:
        if len(signature) != 64:
            raise InvalidSignature
        numbers = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        curve.verify(encode_dss_signature(*numbers), text, ec.ECDSA(hashes.SHA256()))

    return verify
