"""Coinbase's signatures: a JSON web token for each request and each subscription. Only the shell calls this.

A token lives for 120 seconds and names the request: method, host and path, without the query.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlencode

from engine.requests import Transport, Unsigned
from engine.venues.coinbase.calls import is_local, nested
from engine.venues.signing import Credentials, HttpMessage, SecretKey, is_header_safe

HOST: Final = "api.coinbase.com"  # that the tokens of REST requests name, at any address
ISSUER: Final = "cdp"
VALID_S: Final = 120
SECOND_NS: Final = 1_000_000_000


class CoinbaseKey(SecretKey):
    """A key that signs tokens."""

    __slots__ = ("algorithm", "name", "sign")

    def __init__(self, algorithm: str, name: str, sign: Callable[[bytes], bytes]) -> None:
        self.algorithm = algorithm
        self.name = name
        self.sign = sign

    def token(self, now_ns: int, uri: str = "") -> str:
        """Return a token of this second. `uri` is the request that it permits; "" for a subscription."""
        nonce = hashlib.sha256(f"{now_ns} {uri}".encode()).hexdigest()[:32]
        header = {"alg": self.algorithm, "kid": self.name, "nonce": nonce, "typ": "JWT"}
        begin_s = now_ns // SECOND_NS
        claims: dict[str, Any] = {"sub": self.name, "iss": ISSUER, "nbf": begin_s, "exp": begin_s + VALID_S}
        if uri:
            claims["uri"] = uri
        return token(header, claims, self.sign)


def token(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """Return a signed JSON web token."""
    text = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{text}.{_encoded(sign(text.encode('ascii')))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class CoinbaseSigner:
    """An engine.venues.venue.RequestSigner."""

    def load_key(self, credentials: Credentials) -> CoinbaseKey:
        """Return a key. Raises ValueError if it is none, or of the API that tokens replaced."""
        if credentials.passphrase:
            raise ValueError("a key with a passphrase is of Coinbase's old API: make a CDP key and leave it out")
        if not is_header_safe(credentials.key):
            raise ValueError("the key's name is empty or holds spaces: copy it again (organizations/.../apiKeys/...)")
        # only sessions with such a key need the library that this module imports
        loader = import_module("engine.venues.coinbase.private_key")
        algorithm, sign = loader.load_private(credentials.secret)
        return CoinbaseKey(algorithm, credentials.key, sign)

    def sign_http(self, unsigned: Unsigned, key: CoinbaseKey | None, now_ns: int) -> HttpMessage:
        """Return a GET with a query, or a POST with a JSON body."""
        assert unsigned.transport is Transport.REST, unsigned
        headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-cache"),)  # public answers are kept for a second
        if unsigned.signed:
            assert key is not None, f"{unsigned.path} must be signed, and there is no key"
            bearer = key.token(now_ns, f"{unsigned.method} {HOST}{unsigned.path}")
            headers = (("Authorization", f"Bearer {bearer}"),)
        sent = [(name, value) for name, value in unsigned.params if not is_local(name)]
        if unsigned.method == "GET":
            query = f"?{urlencode(sent)}" if sent else ""
            return HttpMessage(unsigned.method, unsigned.path + query, headers)
        body = json.dumps(nested(sent), separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        return HttpMessage(unsigned.method, unsigned.path, (*headers, ("Content-Type", "application/json")), body)

    def sign_frame(self, unsigned: Unsigned, key: CoinbaseKey | None, now_ns: int, request_id: str) -> bytes:
        """Return a message of the socket, which has no place for a request id."""
        del request_id
        message: dict[str, Any] = {"type": unsigned.method, **nested(unsigned.params)}
        if unsigned.signed:
            assert key is not None, "this channel needs a key"
            message["jwt"] = key.token(now_ns)
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
