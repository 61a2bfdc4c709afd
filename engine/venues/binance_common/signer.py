"""Keys and signatures: an unsigned request, a key and a time become the bytes to send. Only the shell calls this.

A key must not be journalled, printed or copied, and refuses each.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable
from itertools import chain
from typing import Self
from urllib.parse import quote

from engine.requests import Transport, Unsigned
from engine.venues.signing import Credentials, HttpMessage, SecretKey, is_header_safe

# What the WS API wants as JSON numbers; the signature is over their text, which is the same either way.
NUMERIC_PARAMS = frozenset({"endTime", "fromId", "limit", "orderId", "recvWindow", "startTime", "timestamp"})
STREAM_METHODS = frozenset({"SUBSCRIBE", "UNSUBSCRIBE"})  # of market links: their parameters are a list of streams
# of the futures: they take the API key alone, without a timestamp and a signature
KEY_ONLY = frozenset({"/fapi/v1/listenKey", "/dapi/v1/listenKey"})
PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # percent-encoding leaves these characters
FORM = "application/x-www-form-urlencoded"


class ApiKey(SecretKey):
    """An API key that can sign and cannot be read back: no repr, no pickle, no copy, no attribute holds the secret.

    >>> ApiKey.hmac("the-key", "the-secret")
    ApiKey(hmac, ***)
    """

    __slots__ = ("_key", "_sign", "algorithm")

    def __init__(self, algorithm: str, key: str, sign: Callable[[bytes], str]) -> None:
        if not is_header_safe(key):
            raise ValueError("the API key is empty or holds spaces or line ends: copy it again")
        self.algorithm = algorithm
        self._key = key
        self._sign = sign

    @classmethod
    def hmac(cls, key: str, secret: str) -> Self:
        """Return a key with a shared secret (which Binance calls deprecated, and which cannot do session.logon)."""
        if not is_header_safe(secret):
            raise ValueError("the API secret is empty or holds spaces or line ends: copy it again")
        keyed = hmac.new(secret.encode("ascii"), digestmod="sha256")

        def sign(text: bytes) -> str:
            """Sign with a copy: it touches a third of the memory of a new one, which is cold when an order leaves."""
            copy = keyed.copy()
            copy.update(text)
            return copy.hexdigest()

        return cls("hmac", key, sign)

    @classmethod
    def ed25519(cls, key: str, pem: str | bytes) -> Self:
        """Return a key whose private half is an Ed25519 key in PEM (PKCS#8, not encrypted)."""
        from engine.venues.binance_common.ed25519_key import load_private_key  # noqa: PLC0415 - imports cryptography

        private = load_private_key(pem)
        return cls("ed25519", key, lambda text: base64.b64encode(private.sign(text)).decode("ascii"))

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the HTTP header with the API key."""
        return (("X-MBX-APIKEY", self._key),)

    def sign(self, payload: str) -> str:
        """Return the signature over exactly this text."""
        return self._sign(payload.encode("utf-8"))

    def ws_params(self, params: tuple[tuple[str, str], ...]) -> dict[str, str]:
        """Return these parameters with the key and the signature over all, sorted by name and not percent-encoded."""
        named = {**dict(params), "apiKey": self._key}
        payload = "&".join(f"{name}={named[name]}" for name in sorted(named))
        return {**named, "signature": self.sign(payload)}


class BinanceSigner:
    """An engine.venues.venue.RequestSigner for REST, the websocket API and the simulated venue."""

    def load_key(self, credentials: Credentials) -> ApiKey:
        """Return an Ed25519 key if the secret is PEM, else an HMAC key. Raises ValueError."""
        if credentials.passphrase:
            raise ValueError("Binance has no passphrase: leave it out")
        if credentials.secret.startswith("-----BEGIN"):
            return ApiKey.ed25519(credentials.key, credentials.secret)
        return ApiKey.hmac(credentials.key, credentials.secret)

    def sign_http(self, unsigned: Unsigned, key: ApiKey | None, now_ns: int) -> HttpMessage:
        """Return the HTTP message to send, with a timestamp in milliseconds."""
        return sign_rest(unsigned, key, now_ns // 1_000_000)

    def sign_frame(self, unsigned: Unsigned, key: ApiKey | None, now_ns: int, request_id: str) -> bytes:
        """Return the frame of the websocket API."""
        return sign_ws(unsigned, key, now_ns // 1_000_000, request_id)


def stamped_params(unsigned: Unsigned, now_ms: int) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a request, with its time if it is to be signed."""
    return (*unsigned.params, ("timestamp", str(now_ms))) if unsigned.signed else unsigned.params


def sign_rest(unsigned: Unsigned, key: ApiKey | None, now_ms: int) -> HttpMessage:
    """Return the HTTP message for this request. Parameters go in the query, those of POST in a form body.

    The signature is over the percent-encoded text as sent: the transport must not encode or sort it again (-1022).
    """
    assert unsigned.transport is Transport.REST, unsigned
    params = stamped_params(unsigned, now_ms)
    headers: tuple[tuple[str, str], ...] = ()
    if PLAIN.fullmatch("".join(chain.from_iterable(params))):  # nearly always: no text needs an escape
        text = "&".join(map("=".join, params))
    else:
        text = "&".join([f"{_encoded(name)}={_encoded(value)}" for name, value in params])
    if unsigned.signed:
        assert key is not None, f"{unsigned.method} {unsigned.path} must be signed, and there is no key"
        text += f"&signature={_encoded(key.sign(text))}"
        headers = key.headers()
    elif key is not None and unsigned.path in KEY_ONLY:
        headers = key.headers()
    if unsigned.method == "POST":
        headers = (*headers, ("Content-Type", FORM))
        return HttpMessage(unsigned.method, unsigned.path, headers, text.encode("ascii"))
    return HttpMessage(unsigned.method, f"{unsigned.path}?{text}" if text else unsigned.path, headers)


def sign_ws(unsigned: Unsigned, key: ApiKey | None, now_ms: int, request_id: str) -> bytes:
    """Return the WS API frame for this request."""
    assert unsigned.transport is Transport.WS_API, unsigned
    params = dict(unsigned.params)
    if unsigned.signed:
        assert key is not None, f"{unsigned.method} must be signed, and there is no key"
        params = key.ws_params((*unsigned.params, ("timestamp", str(now_ms))))
    typed = {name: int(value) if name in NUMERIC_PARAMS else value for name, value in params.items()}
    named = unsigned.method in STREAM_METHODS
    frame = {"id": request_id, "method": unsigned.method, "params": list(params.values()) if named else typed}
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _encoded(text: str) -> str:
    return text if PLAIN.fullmatch(text) else quote(text, safe="")
