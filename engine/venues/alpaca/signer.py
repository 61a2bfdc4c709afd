"""Alpaca's authentication: key and secret as they are, in headers or in the first message of a stream.

There is no signature, time or nonce: only TLS protects them, and only the client order id makes a repeated order
harmless. Only the shell calls this.
"""

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from engine.requests import Unsigned
from engine.venues.signing import Credentials, HttpMessage, SecretKey, is_header_safe

PAIR_HEADERS: Final = ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")
LISTS: Final = frozenset({"trades", "quotes", "orderbooks", "streams"})  # parameters with several values


class AlpacaKey(SecretKey):
    """A key and its secret."""

    __slots__ = ("algorithm", "headers", "login")
    headers: Callable[[], tuple[tuple[str, str], ...]]
    login: Callable[[], dict[str, str]]

    def __init__(self, credentials: Credentials) -> None:
        self.algorithm = "headers"

        def headers() -> tuple[tuple[str, str], ...]:
            return tuple(zip(PAIR_HEADERS, (credentials.key, credentials.secret), strict=True))

        def login() -> dict[str, str]:
            return {"key": credentials.key, "secret": credentials.secret}

        self.headers = headers
        self.login = login


class AlpacaSigner:
    """An engine.venues.venue.RequestSigner."""

    presents_secret = True

    def load_key(self, credentials: Credentials) -> AlpacaKey:
        """Return a key. Raises ValueError if it cannot be sent."""
        if not is_header_safe(credentials.key) or not is_header_safe(credentials.secret):
            raise ValueError("the API key or its secret is empty or holds spaces: copy them again")
        return AlpacaKey(credentials)

    def sign_http(self, unsigned: Unsigned, key: AlpacaKey | None, now_ns: int) -> HttpMessage:
        """Return the message: parameters as JSON in the body of a POST, else in the query."""
        headers: tuple[tuple[str, str], ...] = ()
        if unsigned.signed:
            assert key is not None, f"{unsigned.path} must be signed, and there is no key"
            headers = key.headers()
        if unsigned.method == "POST":
            body = json.dumps(dict(unsigned.params), separators=(",", ":")).encode()
            return HttpMessage(unsigned.method, unsigned.path, (*headers, ("Content-Type", "application/json")), body)
        query = f"?{urlencode(unsigned.params)}" if unsigned.params else ""
        return HttpMessage(unsigned.method, unsigned.path + query, headers)

    def sign_frame(self, unsigned: Unsigned, key: AlpacaKey | None, now_ns: int, request_id: str) -> bytes:
        """Return a message of a stream; the login holds the key. Answers repeat no id."""
        message: dict[str, object] = {"action": unsigned.method}
        if unsigned.signed:
            assert key is not None, "a stream needs a login, and there is no key"
            message |= key.login()
        values = {name: value.split(",") if name in LISTS else value for name, value in unsigned.params}
        return json.dumps(message | ({"data": values} if unsigned.method == "listen" else values)).encode()
