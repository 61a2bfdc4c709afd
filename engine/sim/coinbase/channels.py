"""The websocket connections of the simulated Coinbase: subscriptions, numbers of frames, heartbeats, and their ends.

Sends nothing itself: it returns the frames to send, and counts each when it is sent.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from engine.sim.binance.connections import Connection
from engine.sim.coinbase import words
from engine.sim.coinbase.tokens import TokenError, TokenRing
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import plain
from engine.venues.coinbase.values import book_of

SECOND_NS: Final = 1_000_000_000
FIRST_NS: Final = 5 * SECOND_NS  # until the first subscription
QUIET_NS: Final = 90 * SECOND_NS  # without a frame the venue closes
USER: Final = "user"
HEARTBEATS: Final = "heartbeats"
PRODUCTS: Final = frozenset({"level2", "market_trades", "ticker", "ticker_batch"})  # channels of products
SILENT: Final = frozenset({"candles", "status", "futures_balance_summary"})  # accepted, and nothing comes
LEVELS_MAX: Final = 100_000
ORDERS: Final = 50  # of a frame of the user channel's snapshot: one with fewer ends it
NUMBER: Final = b'"sequence_num":0'  # the place of the number of a frame


class _ClientMessage(msgspec.Struct):
    type: str
    channel: str = ""
    product_ids: list[str] = []
    jwt: str = ""


@dataclass(slots=True)
class _Socket:
    """One connection."""

    deadline_ns: int
    number: int = 0  # of the next frame
    channels: dict[str, dict[str, None]] = field(default_factory=dict)  # channel -> products, in order

    @property
    def is_subscribed(self) -> bool:
        """True after the first subscription."""
        return bool(self.channels)


def frame(channel: str, events: list[dict[str, Any]], now_ns: int) -> bytes:
    """Return a frame without its number."""
    body = json.dumps(events, separators=(",", ":"))
    stamp = words.time_text(now_ns)
    return f'{{"channel":"{channel}","client_id":"","timestamp":"{stamp}","sequence_num":0,"events":{body}}}'.encode()


def stream(channel: str, product: str = "") -> str:
    """Return the name of a channel's stream of one product."""
    return f"{channel}:{product}" if product else channel


class Channels:
    """All connections of the venue."""

    def __init__(self, exchange: Exchange, tokens: TokenRing) -> None:
        self.sockets: dict[int, _Socket] = {}
        self.connections: dict[int, Connection] = {}
        self._exchange = exchange
        self._tokens = tokens
        self._next_beat_ns = 0
        self.now_ns = 0

    # ---- connections

    def open(self, connection: Connection, now_ns: int) -> None:
        """Note a connection."""
        self.sockets[connection.conn_id] = _Socket(now_ns + FIRST_NS)
        self.connections[connection.conn_id] = connection

    def close(self, conn_id: int) -> None:
        """Forget a connection."""
        self.sockets.pop(conn_id, None)
        self.connections.pop(conn_id, None)

    def numbered(self, conn_id: int, sent: bytes) -> bytes:
        """Return a frame with the next number of its connection. A refusal has none."""
        socket = self.sockets[conn_id]
        if NUMBER not in sent:
            return sent
        number, socket.number = socket.number, socket.number + 1
        if socket.is_subscribed:
            socket.deadline_ns = self.now_ns + QUIET_NS
        return sent.replace(NUMBER, b'"sequence_num":%d' % number, 1)

    @property
    def next_ns(self) -> int | None:
        """Return when the next heartbeat or deadline is due."""
        due = [socket.deadline_ns for socket in self.sockets.values()]
        if any(HEARTBEATS in socket.channels for socket in self.sockets.values()):
            due.append(self._next_beat_ns)
        return min(due, default=None)

    def overdue(self, now_ns: int) -> list[int]:
        """Return the connections that the venue ends: without a subscription, or too long without a frame."""
        return [conn_id for conn_id, socket in self.sockets.items() if socket.deadline_ns <= now_ns]

    def beat_is_due(self, now_ns: int) -> bool:
        """Return True once a second if a connection subscribes to heartbeats."""
        self.now_ns = max(self.now_ns, now_ns)
        is_wanted = any(HEARTBEATS in socket.channels for socket in self.sockets.values())
        if now_ns < self._next_beat_ns or not is_wanted:
            return False
        self._next_beat_ns = now_ns + SECOND_NS
        return True

    # ---- messages of clients

    def answers(self, connection: Connection, data: bytes, now_ns: int) -> list[bytes]:
        """Carry out a message, and return the frames that it causes."""
        self.now_ns = max(self.now_ns, now_ns)
        try:
            message = msgspec.json.decode(data, type=_ClientMessage)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [_error("failed to parse the message")]
        is_known = message.channel in PRODUCTS or message.channel in SILENT or message.channel in (USER, HEARTBEATS)
        if message.type not in ("subscribe", "unsubscribe") or not is_known:
            return [_error(f"{message.type[:40]} {message.channel[:40]} is not a valid message")]
        account = ""
        if message.jwt or message.channel == USER:
            try:
                account = self._tokens.account(self._tokens.check(message.jwt, now_ns))
            except TokenError:
                return [_error("authentication failure")]
        if message.type == "unsubscribe":
            return self._unsubscribe(connection, message, now_ns)
        return self._subscribe(connection, message, account, now_ns)

    def _subscribe(self, connection: Connection, message: _ClientMessage, account: str, now_ns: int) -> list[bytes]:
        socket, channel = self.sockets[connection.conn_id], message.channel
        unknown = [name for name in message.product_ids if book_of(name) not in self._exchange.markets]
        if channel in PRODUCTS and (unknown or not message.product_ids):
            return [_error(f"failure to subscribe: {', '.join(unknown)[:100]} is not a valid product id")]
        if channel == HEARTBEATS:
            self._next_beat_ns = max(self._next_beat_ns, now_ns + 1)
        products = socket.channels.setdefault(channel, {})
        books = [book_of(name) for name in message.product_ids] if channel in PRODUCTS else [channel]
        products.update(dict.fromkeys(books))
        for book in books:
            connection.streams[stream(channel, book) if channel in PRODUCTS else channel] = None
        if channel == USER:
            connection.private = True
            connection.accounts[0] = account
        socket.deadline_ns = now_ns + QUIET_NS
        first = self._snapshots(channel, books, account, now_ns)
        return [*first, self._confirmed(socket, now_ns)]

    def _unsubscribe(self, connection: Connection, message: _ClientMessage, now_ns: int) -> list[bytes]:
        socket, channel = self.sockets[connection.conn_id], message.channel
        products = socket.channels.get(channel, {})
        for book in [book_of(name) for name in message.product_ids] or list(products):
            products.pop(book, None)
            connection.streams.pop(stream(channel, book) if channel in PRODUCTS else channel, None)
        if not products:
            socket.channels.pop(channel, None)
        return [self._confirmed(socket, now_ns)]

    @staticmethod
    def _confirmed(socket: _Socket, now_ns: int) -> bytes:
        listed = {channel: list(products) for channel, products in socket.channels.items()}
        return frame("subscriptions", [{"subscriptions": listed}], now_ns)

    def _snapshots(self, channel: str, books: Iterable[str], account: str, now_ns: int) -> list[bytes]:
        """Return what a channel begins with: it comes before the confirmation."""
        if channel == USER:
            return self._open_orders(account, now_ns)
        markets = self._exchange.markets
        if channel == "level2":
            return [book_snapshot(markets[book], now_ns) for book in books]
        if channel == "market_trades":
            return [trades_snapshot(markets[book], now_ns) for book in books]
        return []

    def _open_orders(self, account: str, now_ns: int) -> list[bytes]:
        rows = [words.user_row(order) for order in self._exchange.open_orders(account)]
        pages = [rows[start : start + ORDERS] for start in range(0, len(rows) + 1, ORDERS)]
        return [frame(USER, [{"type": "snapshot", "orders": page}], now_ns) for page in pages]


def _error(text: str) -> bytes:
    return msgspec.json.encode({"type": "error", "message": text})


def book_snapshot(market: SymbolMarket, now_ns: int) -> bytes:
    """Return the whole book of a product."""
    bids, asks = market.top(LEVELS_MAX)
    updates = [
        _change(side, price, size, "1970-01-01T00:00:00Z")
        for side, levels in (("bid", bids), ("offer", asks))
        for price, size in levels
    ]
    return frame("l2_data", [{"type": "snapshot", "product_id": market.rules.symbol, "updates": updates}], now_ns)


def book_update(product: str, sides: Mapping[str, Iterable[tuple[int, int]]], now_ns: int) -> bytes:
    """Return changes of a book: absolute sizes. 0 removes a level."""
    stamp = words.time_text(now_ns, 6)
    updates = [_change(side, price, size, stamp) for side, levels in sides.items() for price, size in levels]
    return frame("l2_data", [{"type": "update", "product_id": product, "updates": updates}], now_ns)


def _change(side: str, price: int, size: int, stamp: str) -> dict[str, str]:
    return {"side": side, "event_time": stamp, "price_level": plain(price), "new_quantity": plain(size)}


def trade_row(product: str, trade: Any) -> dict[str, str]:
    """Return a trade of the channel of trades. The side is the maker's."""
    return {
        "trade_id": str(trade.trade_id),
        "product_id": product,
        "price": plain(trade.price),
        "size": plain(trade.quantity),
        "time": words.time_text(trade.time_ns, 6),
        "side": "BUY" if trade.buyer_is_maker else "SELL",
    }


def trades_snapshot(market: SymbolMarket, now_ns: int) -> bytes:
    """Return the newest trades of a product, newest first."""
    name = market.rules.symbol
    rows = [trade_row(name, trade) for trade in reversed(market.prints[-10:])]
    return frame("market_trades", [{"type": "snapshot", "trades": rows}], now_ns)


def ticker(market: SymbolMarket, trade: Any, now_ns: int) -> bytes:
    """Return a tick, which comes with a trade, with the best levels."""
    bids, asks = market.top(1)
    row = {"type": "ticker", "product_id": market.rules.symbol, "price": plain(trade.price), "volume_24_h": "0"}
    for side, levels in (("bid", bids), ("ask", asks)):
        price, size = levels[0] if levels else (0, 0)
        row |= {f"best_{side}": plain(price), f"best_{side}_quantity": plain(size)}
    return frame("ticker", [{"type": "update", "tickers": [row]}], now_ns)


def heartbeat(now_ns: int) -> bytes:
    """Return the heartbeat of a second."""
    beat = {"current_time": words.time_text(now_ns), "heartbeat_counter": now_ns // SECOND_NS}
    return frame(HEARTBEATS, [beat], now_ns)
