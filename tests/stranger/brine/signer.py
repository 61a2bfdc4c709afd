"""Brine's signature: HMAC-SHA512 over the path and a hash of nonce and body, as base64. Only the shell calls this."""

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import urlencode

from engine.requests import Unsigned
from engine.venues.signing import Credentials, HttpMessage, SecretKey, is_header_safe


class BrineKey(SecretKey):
    """A key that signs."""

    __slots__ = ("algorithm", "name", "sign")

    def __init__(self, name: str, sign: Callable[[bytes], str]) -> None:
        self.algorithm = "hmac-sha512"
        self.name = name
        self.sign = sign


class BrineSigner:
    """An engine.venues.venue.RequestSigner."""

    def load_key(self, credentials: Credentials) -> BrineKey:
        """Return a key. Raises ValueError if the secret is no base64."""
        try:
            secret = base64.b64decode(credentials.secret, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("the API secret is no base64: copy it again") from None
        if not is_header_safe(credentials.key):
            raise ValueError("the API key is empty or holds spaces: copy it again")
        return BrineKey(
            credentials.key, lambda text: base64.b64encode(hmac.digest(secret, text, "sha512")).decode("ascii")
        )

    def sign_http(self, unsigned: Unsigned, key: BrineKey | None, now_ns: int) -> HttpMessage:
        """Return a GET with a query, or a signed POST with a JSON body."""
        if not unsigned.signed:
            query = f"?{urlencode(unsigned.params)}" if unsigned.params else ""
            return HttpMessage(unsigned.method, unsigned.path + query, ())
        assert key is not None, f"{unsigned.path} must be signed, and there is no key"
        nonce = str(now_ns)
        body = json.dumps({"nonce": nonce, **dict(unsigned.params)}, separators=(",", ":")).encode()
        signature = key.sign(unsigned.path.encode() + sha256(nonce.encode() + body).digest())
        headers = (("Brine-Key", key.name), ("Brine-Sign", signature), ("Content-Type", "application/json"))
        return HttpMessage(unsigned.method, unsigned.path, headers, body)

    def sign_frame(self, unsigned: Unsigned, key: BrineKey | None, now_ns: int, request_id: str) -> bytes:
        """Return a message of the socket; a login carries a signature over its nonce."""
        params: dict[str, object] = dict(unsigned.params)
        if "symbol" in params:
            params["symbol"] = str(params["symbol"]).split(",")
        if unsigned.signed:
            assert key is not None, "a login must be signed, and there is no key"
            nonce = str(now_ns)
            params |= {"key": key.name, "nonce": nonce, "sign": key.sign(b"login" + nonce.encode())}
        message = {"method": unsigned.method, "params": params, "req_id": int(request_id)}
        return json.dumps(message, separators=(",", ":")).encode()
