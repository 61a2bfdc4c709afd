"""Websocket connections of the simulated Alpaca: one of each feed and account, a login first, then subscriptions."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from engine.sim.binance.connections import Connection

PRIVATE: Final = "/stream"
FEEDS: Final = {"/v2/iex": "stocks", "/v2/sip": "stocks", "/v2/test": "stocks", "/v1beta3/crypto/us": "crypto"}
CHANNELS: Final = {"stocks": ("trades", "quotes"), "crypto": ("trades", "quotes", "orderbooks")}
NAMED: Final = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "orderbooks", "statuses", "lulds")
AUTH_CODES: Final = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    406: "connection limit exceeded",
    410: "invalid action",
}


@dataclass(slots=True, kw_only=True)
class BrokerConnection(Connection):
    """A connection of one feed, or of the account."""

    feed: str  # "" of the account
    account: str = ""  # once it is logged in
    listens: tuple[str, ...] = ()  # of the account
    named: dict[str, list[str]] = field(default_factory=dict)  # subscriptions of a feed, by channel


class Control(msgspec.Struct, frozen=True):
    """A message of a client."""

    action: str = ""
    key: str = ""
    secret: str = ""
    data: dict[str, Any] = {}
    trades: list[str] = []
    quotes: list[str] = []
    orderbooks: list[str] = []
    bars: list[str] = []


def open_connection(conn_id: int, target: str, *, binary: bool) -> BrokerConnection | None:
    """Return the connection for a request target. The account's frames are binary at paper, and text live."""
    path = target.partition("?")[0].rstrip("/")
    if path == PRIVATE:
        return BrokerConnection(conn_id=conn_id, feed="", private=True, binary=binary)
    return BrokerConnection(conn_id=conn_id, feed=path) if path in FEEDS else None


def stream_of(channel: str, symbol: str) -> str:
    """Return the name of a stream."""
    return f"{channel}@{symbol}"


def read_control(frame: bytes) -> Control | None:
    """Return a client's message, or None if it is none."""
    try:
        return msgspec.json.decode(frame, type=Control)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def credentials(message: Control) -> tuple[str, str] | None:
    """Return key and secret of a login in either of its forms, or None for another message."""
    if message.action == "auth":
        return message.key, message.secret
    if message.action == "authenticate":
        return str(message.data.get("key_id", "")), str(message.data.get("secret_key", ""))
    return None


def error(code: int) -> bytes:
    """Return an error of a feed."""
    return msgspec.json.encode([{"T": "error", "code": code, "msg": AUTH_CODES[code]}])


def success(text: str) -> bytes:
    """Return a success of a feed."""
    return msgspec.json.encode([{"T": "success", "msg": text}])


def subscribed(connection: BrokerConnection) -> bytes:
    """Return the whole list of a feed's subscriptions."""
    lists = {name: connection.named.get(name, []) for name in NAMED}
    return msgspec.json.encode([{"T": "subscription", **lists}])


def change_subscriptions(connection: BrokerConnection, message: Control, symbols: set[str]) -> list[str]:
    """Add to a feed's subscriptions, or take from them. Return the streams that are new."""
    own = CHANNELS[FEEDS[connection.feed]]
    begun = []
    for channel in own:
        wanted: list[str] = getattr(message, channel)
        known = connection.named.setdefault(channel, [])
        for symbol in wanted:
            if message.action == "unsubscribe":
                connection.streams.pop(stream_of(channel, symbol), None)
                if symbol in known:
                    known.remove(symbol)
            elif symbol not in known:
                known.append(symbol)
                if symbol in symbols:
                    connection.streams[stream_of(channel, symbol)] = None
                    begun.append(stream_of(channel, symbol))
    return begun
