"""Websocket connections of the simulated venue, with their streams and account subscriptions.

Reads control messages of market connections. Sends nothing itself: it returns the answer to send.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

import msgspec

STREAMS_MAX: Final = 1024  # per connection, as Binance
# streams of Binance Spot that this venue does not have
_UNBUILT: Final = re.compile(r"^!.+|.+@(kline_1s|kline_.+@.+|ticker_(1h|4h|1d)|avgPrice|referencePrice|blockTrade)$")


class Sent:
    """The number of public frames sent to a connection, and one hash over all: the client can compare it."""

    __slots__ = ("_hash", "frames")

    def __init__(self) -> None:
        self.frames = 0
        self._hash = sha256()

    def add(self, frame: bytes) -> None:
        """Count a frame."""
        self.frames += 1
        self._hash.update(len(frame).to_bytes(8, "little") + frame)

    @property
    def sha256(self) -> str:
        """The hash so far, as hex digits."""
        return self._hash.hexdigest()


@dataclass(slots=True, kw_only=True)
class Connection:
    """An open websocket, its streams and its account subscriptions."""

    conn_id: int
    ws_api: bool = False  # it answers requests
    private: bool = False  # it carries events of accounts
    combined: bool = False
    binary: bool = False  # its frames are binary ones
    rate_limits: bool = True  # the WebSocket API's answers carry rateLimits
    streams: dict[str, None] = field(default_factory=dict)  # an ordered set
    accounts: dict[int, str] = field(default_factory=dict)  # subscription id -> account
    subscription_next: int = 0
    sent: Sent = field(default_factory=Sent)


class _Control(msgspec.Struct):
    method: str
    id: msgspec.Raw = msgspec.Raw(b"null")
    params: Any = None


def open_connection(conn_id: int, target: str) -> Connection | None:
    """Return the connection for a websocket's request target, or None if the venue does not have the target."""
    path, _, query = target.partition("?")
    options = dict(part.partition("=")[::2] for part in query.split("&") if part)
    if options.get("timeUnit", "MILLISECOND").upper() != "MILLISECOND":
        return None
    if path.rstrip("/") == "/ws-api/v3":
        rate_limits = options.get("returnRateLimits") != "false"
        return Connection(conn_id=conn_id, ws_api=True, private=True, rate_limits=rate_limits)
    if path.rstrip("/") == "/stream":
        names = [name for name in unquote(options.get("streams", "")).split("/") if name]
        return None if unbuilt(names) else Connection(conn_id=conn_id, combined=True, streams=dict.fromkeys(names))
    if path == "/ws" or path.startswith("/ws/"):
        # /ws/0 or another number: clients number their connections and subscribe later
        names = [name for name in unquote(path).split("/")[2:] if "@" in name or name.startswith("!")]
        return None if unbuilt(names) else Connection(conn_id=conn_id, streams=dict.fromkeys(names))
    return None


def unbuilt(names: Iterable[str]) -> str:
    """Return the first stream that Binance Spot has and this venue does not, or ""."""
    return next((name for name in names if _UNBUILT.fullmatch(name)), "")


def control(connection: Connection, frame: bytes) -> bytes:
    """Carry out a control message and return its answer."""
    try:
        message = msgspec.json.decode(frame, type=_Control)
    except msgspec.ValidationError:
        return _refuse(2, "Invalid request", msgspec.Raw(b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _refuse(3, "Invalid JSON", msgspec.Raw(b"null"))
    result: Any = None
    match message.method, message.params:
        case "SUBSCRIBE", [*names] if all(isinstance(name, str) for name in names):
            if len(connection.streams) + len(names) > STREAMS_MAX:
                return _refuse(2, "Invalid request: too many streams", message.id)
            if name := unbuilt(names):
                return _refuse(2, f"Invalid request: {name} is not implemented by this simulated venue", message.id)
            connection.streams.update(dict.fromkeys(names))
        case "UNSUBSCRIBE", [*names] if all(isinstance(name, str) for name in names):
            for name in names:
                connection.streams.pop(name, None)
        case "LIST_SUBSCRIPTIONS", _:
            result = list(connection.streams)
        case "SET_PROPERTY", ["combined", bool(wrapped)]:
            connection.combined = wrapped
        case "GET_PROPERTY", ["combined"]:
            result = connection.combined
        case (("SET_PROPERTY" | "GET_PROPERTY"), _):
            return _refuse(0, "Unknown property", message.id)
        case (("SUBSCRIBE" | "UNSUBSCRIBE"), _):
            return _refuse(1, "Invalid value type: expected an array of strings", message.id)
        case method, _:
            return _refuse(2, f"Invalid request: unknown method {method}", message.id)
    return msgspec.json.encode({"result": result, "id": message.id})


def _refuse(code: int, text: str, request_id: msgspec.Raw) -> bytes:
    return msgspec.json.encode({"code": code, "msg": text, "id": request_id})
