"""The check of a request's key, signature and time, as Binance makes it. Holds the secrets of the venue's own accounts.

The signed payload is rebuilt from the raw bytes: nothing is encoded again on the way.
"""

import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.params import Params

RECEIVE_WINDOW_MS: Final = 5_000
RECEIVE_WINDOW_MS_MAX: Final = 60_000
AHEAD_MS_MAX: Final = 1_000
_WINDOW: Final = re.compile(r"^[0-9]{1,5}(\.[0-9]{1,3})?$")
_TIMESTAMP: Final = re.compile(r"^[0-9]{1,20}$")
_MICROSECONDS_FROM: Final = 10**14  # a time with more digits than this is in microseconds


def _without_signature(raw: bytes) -> bytes:
    return b"&".join(part for part in raw.split(b"&") if not part.startswith(b"signature="))


def rest_payload(query: bytes, body: bytes) -> bytes:
    """Return the signed text of a REST request: raw query, then raw body, without the signature pair."""
    return _without_signature(query) + _without_signature(body)


def ws_params(raw: bytes | msgspec.Raw) -> dict[str, str]:
    """Return the parameters of a WebSocket API request as texts: strings decoded, other values unchanged."""
    if not bytes(raw) or bytes(raw) == b"null":
        return {}
    tokens = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return {name: _token_text(bytes(token)) for name, token in tokens.items()}


def _token_text(token: bytes) -> str:
    if token.startswith(b'"'):
        decoded: Any = msgspec.json.decode(token)
        return str(decoded)
    return token.decode()


def ws_payload(params: dict[str, str]) -> bytes:
    """Return the signed text of a WebSocket API request: parameters by name, without the signature, not encoded."""
    return "&".join(f"{name}={value}" for name, value in sorted(params.items()) if name != "signature").encode()


def signature(secret: str, payload: bytes) -> str:
    """Return the HMAC-SHA256 of a payload, as hex digits."""
    return hmac.digest(secret.encode(), payload, "sha256").hex()


class SimKeyRights(msgspec.Struct, frozen=True):
    """The rights of an API key. Every key may read."""

    trades: bool = True
    withdraws: bool = False
    is_ip_bound: bool = True


class KeyRing:
    """API keys of the venue's accounts: key -> (account, secret), and the rights of those that have not all."""

    def __init__(self, keys: dict[str, tuple[str, str]], rights: Mapping[str, SimKeyRights] | None = None) -> None:
        self._keys = keys
        self._rights = rights or {}

    def rights(self, api_key: str | None) -> SimKeyRights:
        """Return the rights of an API key."""
        return self._rights.get(api_key or "", SimKeyRights())

    def account(self, api_key: str | None) -> str:
        """Return the account of an API key, or refuse an unknown key."""
        if not api_key:
            raise refusals.bad_key_format()
        if api_key not in self._keys:
            raise refusals.unknown_key()
        return self._keys[api_key][0]

    def check(self, api_key: str | None, payload: bytes | None, params: Params, server_ms: int) -> str:
        """Return the account of a signed request, or refuse it as Binance does. No payload: it was never encoded."""
        account = self.account(api_key)
        timestamp = params.required("timestamp")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise refusals.illegal_characters("timestamp", "^[0-9]{1,20}$")
        if payload is not None:
            given = params.required("signature").lower()
            assert api_key is not None
            if not hmac.compare_digest(signature(self._keys[api_key][1], payload).encode(), given.encode()):
                raise refusals.bad_signature()
        check_time(int(timestamp), params.get("recvWindow"), server_ms)
        return account


@lru_cache(maxsize=64)  # an account's requests repeat it
def _window_us(text: str) -> int:
    """Return a receive window in microseconds, or refuse it."""
    if not _WINDOW.fullmatch(text):
        raise refusals.illegal_characters("recvWindow", r"^[0-9]{1,5}(\.[0-9]{1,3})?$")
    whole, _, part = text.partition(".")
    window_us = int(whole) * 1_000 + int(part.ljust(3, "0") if part else 0)
    if window_us > RECEIVE_WINDOW_MS_MAX * 1_000:
        raise refusals.invalid_parameter("recvWindow")
    return window_us


def check_time(timestamp: int, window_text: str | None, server_ms: int) -> None:
    """Refuse a timestamp older than the receive window, or a second or more ahead."""
    window_us = RECEIVE_WINDOW_MS * 1_000 if window_text is None else _window_us(window_text)
    stamp_us = timestamp if timestamp >= _MICROSECONDS_FROM else timestamp * 1_000
    if stamp_us >= (server_ms + AHEAD_MS_MAX) * 1_000:
        raise refusals.ahead_of_server()
    if server_ms * 1_000 - stamp_us > window_us:
        raise refusals.outside_receive_window()
