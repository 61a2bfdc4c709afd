"""Kraken's signature: HMAC-SHA512 over the path and a hash of nonce and form body, as base64. Only the shell calls it.

The nonce is the time that the shell passes, which never repeats. A deadline is written when the request is signed.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode

from engine.requests import Unsigned
from engine.venues.signing import Credentials, HttpMessage, SecretKey, is_header_safe
from engine.venues.timestamps import time_text

DEADLINE: Final = "deadline"  # a parameter in milliseconds from now; the venue gets an instant
FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")


class KrakenKey(SecretKey):
    """A key that signs."""

    __slots__ = ("algorithm", "name", "sign")

    def __init__(self, name: str, sign: Callable[[bytes], str]) -> None:
        self.algorithm = "hmac-sha512"
        self.name = name
        self.sign = sign


class KrakenSigner:
    """An engine.venues.venue.RequestSigner."""

    sends_in_turn = True  # a nonce that arrives after a higher one is refused, and many lock the key out

    def load_key(self, credentials: Credentials) -> KrakenKey:
        """Return a key. Raises ValueError if the secret is no base64."""
        try:
            secret = base64.b64decode(credentials.secret, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("the API secret is no base64: copy the private key of the API key again") from None
        if not secret or not is_header_safe(credentials.key):
            raise ValueError("the API key or its secret is empty, or holds spaces: copy both again")
        return KrakenKey(credentials.key, lambda text: base64.b64encode(hmac.digest(secret, text, "sha512")).decode())

    def sign_http(self, unsigned: Unsigned, key: KrakenKey | None, now_ns: int) -> HttpMessage:
        """Return a GET with a query, or a signed POST with a form."""
        if not unsigned.signed:
            query = f"?{urlencode(unsigned.params)}" if unsigned.params else ""
            return HttpMessage(unsigned.method, unsigned.path + query, ())
        assert key is not None, f"{unsigned.path} must be signed, and there is no key"
        nonce = str(now_ns)
        params = [(name, _instant(value, now_ns) if name == DEADLINE else value) for name, value in unsigned.params]
        body = urlencode([("nonce", nonce), *params]).encode()
        signature = key.sign(unsigned.path.encode() + sha256(nonce.encode() + body).digest())
        headers = (("API-Key", key.name), ("API-Sign", signature), FORM)
        return HttpMessage(unsigned.method, unsigned.path, headers, body)

    def sign_frame(self, unsigned: Unsigned, key: KrakenKey | None, now_ns: int, request_id: str) -> bytes:
        """Return a message over a websocket, whose parameters are texts of JSON. A token authorises it."""
        del key, now_ns
        params = ",".join(f'"{name}":{value}' for name, value in unsigned.params)
        return f'{{"method":"{unsigned.method}","params":{{{params}}},"req_id":{int(request_id)}}}'.encode()


def _instant(milliseconds: str, now_ns: int) -> str:
    text = time_text(now_ns + int(milliseconds) * 1_000_000)
    return f"{text[:-7]}Z"  # with milliseconds, as the venue documents it
