"""The websockets of the simulated Kraken: subscriptions, snapshots, heartbeats, and numbers of private frames.

Sends nothing itself: it returns the frames to send.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from engine.sim.binance.connections import Connection
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds.sim_market import SimQuote, TradePrint
from engine.sim.kraken import words
from engine.sim.kraken.pair_rules import decimals_of
from engine.sim.kraken.published_book import PublishedBook
from engine.sim.kraken.tokens import Tokens

SECOND_NS: Final = 1_000_000_000
DEPTHS: Final = (10, 25, 100, 500, 1000)
TRIGGERS: Final = ("trades", "bbo")
PRIVATE: Final = ("executions", "balances")
HEARTBEAT: Final = "heartbeat"
PATH: Final = "/v2"
NUMBER: Final = b'"sequence":0'  # the place of the number of a private frame


class _Params(msgspec.Struct):
    channel: str = ""
    symbol: list[str] = []
    depth: int = 10
    event_trigger: str = "trades"
    snapshot: bool = True
    snap_orders: bool = True
    token: str = ""


class _Message(msgspec.Struct):
    method: str
    params: _Params = msgspec.field(default_factory=_Params)
    req_id: int | None = None


@dataclass(slots=True)
class Socket:
    """One connection: what it subscribed to, and the numbers of its private channels."""

    connection: Connection
    numbers: dict[str, int] = field(default_factory=dict)  # private channel -> the last number


def data(channel: str, kind: str, rows: Iterable[Any], *, is_private: bool = False) -> bytes:
    """Return a message of a channel."""
    body: dict[str, Any] = {"channel": channel, "type": kind, "data": list(rows)}
    return msgspec.json.encode(body | ({"sequence": 0} if is_private else {}))


class Channels:
    """All connections of the venue."""

    def __init__(self, exchange: Exchange, tokens: Tokens) -> None:
        self.sockets: dict[int, Socket] = {}
        self.now_ns = 0
        self._exchange = exchange
        self._tokens = tokens
        self._books: dict[str, PublishedBook] = {}  # by stream
        self._next_beat_ns = 0

    # ---- connections

    def open(self, connection: Connection, now_ns: int) -> bytes:
        """Note a connection, and return the status of the venue, which the venue sends first."""
        self.now_ns = max(self.now_ns, now_ns)
        self._next_beat_ns = max(self._next_beat_ns, now_ns + 1)  # time does not begin at 0
        self.sockets[connection.conn_id] = Socket(connection)
        row = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": connection.conn_id}
        return data("status", "update", [row])

    def close(self, conn_id: int) -> None:
        """Forget a connection, and the books without a subscriber."""
        self.sockets.pop(conn_id, None)
        read = {name for socket in self.sockets.values() for name in socket.connection.streams}
        self._books = {name: book for name, book in self._books.items() if name in read}

    def numbered(self, conn_id: int, frame: bytes) -> bytes:
        """Return a private frame with the next number of its channel."""
        socket = self.sockets.get(conn_id)
        if socket is None or not frame.endswith(NUMBER + b"}"):
            return frame
        channel = frame[12 : frame.index(b'"', 12)].decode()
        socket.numbers[channel] = socket.numbers.get(channel, 0) + 1
        return frame[: -len(NUMBER) - 1] + b'"sequence":%d}' % socket.numbers[channel]

    @property
    def next_ns(self) -> int | None:
        """Return when a heartbeat is due: each second, once a connection has a subscription."""
        is_wanted = any(HEARTBEAT in socket.connection.streams for socket in self.sockets.values())
        return self._next_beat_ns if is_wanted else None

    def beat_is_due(self, now_ns: int) -> bool:
        """Return True once a second."""
        self.now_ns = max(self.now_ns, now_ns)
        if now_ns < self._next_beat_ns:
            return False
        self._next_beat_ns = now_ns + SECOND_NS
        return True

    # ---- messages of clients

    def answers(self, connection: Connection, frame: bytes, now_ns: int) -> Sequence[bytes]:
        """Carry out a message, and return the frames that it causes."""
        self.now_ns = max(self.now_ns, now_ns)
        try:
            message = msgspec.json.decode(frame, type=_Message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [self._answer("", None, error="Malformed request")]
        method, params = message.method, message.params
        if method == "ping":
            return [self._answer("pong", message.req_id)]
        if method not in ("subscribe", "unsubscribe"):
            return [self._answer(method, message.req_id, error=f"{method[:40]} is not implemented here")]
        if params.channel in PRIVATE:
            return self._private(connection, message)
        frames: list[bytes] = []
        for symbol in params.symbol:  # one acknowledgement for each
            frames += self._public(connection, message, symbol)
        return frames or [self._answer(method, message.req_id, error="Symbol(s) not found")]

    def _public(self, connection: Connection, message: _Message, symbol: str) -> list[bytes]:
        params, method = message.params, message.method
        market = self._exchange.markets.get(symbol)
        if market is None:
            return [self._answer(method, message.req_id, error=f"Currency pair not supported {symbol[:40]}")]
        named = {"channel": params.channel, "symbol": symbol, "snapshot": params.snapshot}
        match params.channel:
            case "book" if params.depth in DEPTHS:
                stream, named["depth"] = f"book-{params.depth}:{symbol}", params.depth
            case "ticker" if params.event_trigger in TRIGGERS:
                stream, named["event_trigger"] = f"ticker-{params.event_trigger}:{symbol}", params.event_trigger
            case "trade":
                stream = f"trade:{symbol}"
            case _:
                return [self._answer(method, message.req_id, error=f"Invalid arguments of {params.channel[:40]}")]
        if method == "unsubscribe":
            if connection.streams.pop(stream, 0) == 0:
                return [self._answer(method, message.req_id, error="Subscription not found")]
            return [self._answer(method, message.req_id, result=named)]
        if stream in connection.streams:
            return [self._answer(method, message.req_id, error="Already subscribed")]
        acknowledged = self._answer(method, message.req_id, result=named)
        first = self._snapshot(stream, market) if params.snapshot else []
        connection.streams |= {stream: None, HEARTBEAT: None}
        return [acknowledged, *first]

    def _snapshot(self, stream: str, market: SymbolMarket) -> list[bytes]:
        channel, _, option = stream.partition(":")[0].partition("-")
        match channel:
            case "book":
                is_read = any(stream in socket.connection.streams for socket in self.sockets.values())
                if not is_read:
                    decimals = decimals_of(market.rules)
                    self._books[stream] = PublishedBook(market, int(option), decimals)
                return [data("book", "snapshot", [self._books[stream].snapshot(self.now_ns)])]
            case "ticker":
                row = ticker(market)
                return [data("ticker", "snapshot", [row])] if row else []
            case _:
                return [
                    data("trade", "snapshot", [trade_row(market.rules.symbol, each) for each in market.prints[-50:]])
                ]

    def _private(self, connection: Connection, message: _Message) -> list[bytes]:
        params, method = message.params, message.method
        account = self._tokens.account(params.token, self.now_ns)
        if account is None:
            return [self._answer(method, message.req_id, error="ESession:Invalid session")]
        place = PRIVATE.index(params.channel)
        if method == "unsubscribe":
            connection.accounts.pop(place, None)
            return [self._answer(method, message.req_id, result={"channel": params.channel})]
        self._tokens.note_use(params.token)
        connection.private = True
        connection.accounts[place] = account
        connection.streams[HEARTBEAT] = None
        named = {"channel": params.channel, "snapshot": True, "maxratecount": 60}
        return [self._answer(method, message.req_id, result=named), self._private_snapshot(params, account)]

    def _private_snapshot(self, params: _Params, account: str) -> bytes:
        rows: list[dict[str, Any]]
        if params.channel == "executions":
            orders = self._exchange.open_orders(account) if params.snap_orders else []
            rows = [
                words.described(order) | {"exec_type": "new", "order_status": words.STREAM_STATUSES[order.status]}
                for order in orders
            ]
        else:
            funds = self._exchange.accounts[account]
            rows = [
                {"asset": asset, "asset_class": "currency", "balance": words.number(funds.total(asset))}
                for asset in funds.free
            ]
        return data(params.channel, "snapshot", rows, is_private=True)

    def _answer(self, method: str, req_id: int | None, *, result: Any = None, error: str = "") -> bytes:
        stamp = words.stamp(self.now_ns)
        body: dict[str, Any] = {"method": method}
        if req_id is not None:
            body["req_id"] = req_id
        if error:
            body |= {"error": error, "success": False}
        elif method != "pong":
            body |= {"result": result, "success": True}
        return msgspec.json.encode(body | {"time_in": stamp, "time_out": stamp})

    # ---- messages of the market

    def book_update(self, stream: str, now_ns: int) -> bytes | None:
        """Return the change of a published book; None if nothing changed."""
        self.now_ns = max(self.now_ns, now_ns)
        book = self._books.get(stream)
        row = None if book is None else book.update(now_ns)
        return None if row is None else data("book", "update", [row])


def ticker(market: SymbolMarket, quote: SimQuote | None = None) -> dict[str, Any] | None:
    """Return a tick of a pair; None before its first quote."""
    quote = quote or market.quote
    if quote is None:
        return None
    last = market.last_price()
    return {
        "symbol": market.rules.symbol, "bid": words.number(quote.bid), "bid_qty": words.number(quote.bid_quantity),
        "ask": words.number(quote.ask), "ask_qty": words.number(quote.ask_quantity), "last": words.number(last),
        "volume": 0, "vwap": words.number(last), "low": words.number(last), "high": words.number(last), "change": 0,
        "change_pct": 0,
    }  # fmt: skip


def trade_row(symbol: str, trade: TradePrint) -> dict[str, Any]:
    """Return a public trade. Its side is the taker's."""
    return {
        "symbol": symbol, "side": "sell" if trade.buyer_is_maker else "buy", "price": words.number(trade.price),
        "qty": words.number(trade.quantity), "ord_type": "market", "trade_id": trade.trade_id,
        "timestamp": words.stamp(trade.time_ns),
    }  # fmt: skip
