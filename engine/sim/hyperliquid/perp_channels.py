"""The websocket of the simulated Hyperliquid: subscriptions with their acknowledgements and snapshots, ping, post.

Streams are named `channel:COIN`, those of accounts `channel:ADDRESS`. No message has a sequence number.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from engine.model import Side
from engine.sim.binance.connections import Connection
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds.sim_market import Line
from engine.sim.hyperliquid.info_desk import InfoDesk, UnreadableError, trade_row
from engine.sim.hyperliquid.order_rows import newest_first
from engine.sim.hyperliquid.perp_rules import money

MS: Final = 1_000_000
BOOK_NS: Final = 500_000_000  # between two messages of a book, at the least
PUBLIC: Final = ("l2Book", "bbo", "trades", "activeAssetCtx")
PRIVATE: Final = ("orderUpdates", "userFills", "userEvents", "userFundings")
WITH_SNAPSHOT: Final = {"userFills": "fills", "userFundings": "fundings"}


@dataclass(slots=True, kw_only=True)
class PerpConnection(Connection):
    """A websocket, and the accounts of its channels."""

    users: dict[str, str] = field(default_factory=dict)  # channel:address -> account


class _ControlMessage(msgspec.Struct):
    method: str
    subscription: dict[str, Any] = {}
    id: int = 0
    request: dict[str, Any] = {}


def frame(channel: str, data: Any) -> bytes:
    """Return a message of a channel."""
    return msgspec.json.encode({"channel": channel, "data": data})


class PerpChannels:
    """Answers control messages, and makes the messages of the market's channels."""

    def __init__(self, info: InfoDesk, coins: Collection[str]) -> None:
        self._info = info
        self._coins = frozenset(coins)
        self._book_ns: dict[str, int] = {}  # coin -> when its book was sent last
        self._quotes: dict[str, Any] = {}  # coin -> its last quote

    # ---- control

    def control(self, connection: PerpConnection, payload: bytes, now_ns: int) -> list[bytes]:
        """Carry out a control message. Return the frames that answer it."""
        try:
            message = msgspec.json.decode(payload, type=_ControlMessage)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return [frame("error", f"Error parsing JSON into valid websocket request: {payload[:200]!r}")]
        match message.method:
            case "ping":
                return [msgspec.json.encode({"channel": "pong"})]
            case "post":
                return [self._post(message, now_ns)]
            case "subscribe":
                return self._subscribe(connection, message.subscription, now_ns)
            case "unsubscribe":
                return self._unsubscribe(connection, message.subscription)
            case _:
                return [frame("error", f"Error parsing JSON into valid websocket request: {payload[:200]!r}")]

    def _post(self, message: _ControlMessage, now_ns: int) -> bytes:
        """Answer a query over the websocket. Actions are not built here."""
        query = message.request.get("payload")
        if message.request.get("type") != "info" or not isinstance(query, dict):
            return frame("error", "actions over the websocket are not implemented by this simulated venue")
        try:
            data = self._info.answer(query, now_ns)
        except UnreadableError:
            return frame("error", "Failed to deserialize the JSON body into the target type")
        told = {"type": "info", "payload": {"type": query.get("type"), "data": data}}
        return frame("post", {"id": message.id, "response": told})

    def _subscribe(self, connection: PerpConnection, wanted: dict[str, Any], now_ns: int) -> list[bytes]:
        channel, stream = wanted.get("type"), _stream_of(wanted)
        is_public = channel in PUBLIC and wanted.get("coin") in self._coins
        if not (is_public or (channel in PRIVATE and wanted.get("user"))):
            return [frame("error", f"Invalid subscription {msgspec.json.encode(wanted).decode()}")]
        if stream in connection.streams or stream in connection.users:
            return [frame("error", f"Already subscribed: {msgspec.json.encode(wanted).decode()}")]
        answers = [frame("subscriptionResponse", {"method": "subscribe", "subscription": wanted})]
        if is_public:
            connection.streams[stream] = None
            return [*answers, *self._first(str(channel), str(wanted["coin"]), now_ns)]
        connection.users[stream] = self._info.account_of(wanted)
        connection.private = True
        connection.accounts = dict(enumerate(dict.fromkeys(filter(None, connection.users.values()))))
        if channel in WITH_SNAPSHOT:
            answers.append(self._snapshot(str(channel), wanted, now_ns))
        return answers

    def _unsubscribe(self, connection: PerpConnection, wanted: dict[str, Any]) -> list[bytes]:
        stream = _stream_of(wanted)
        connection.streams.pop(stream, None)
        connection.users.pop(stream, None)
        connection.accounts = dict(enumerate(dict.fromkeys(filter(None, connection.users.values()))))
        return [frame("subscriptionResponse", {"method": "unsubscribe", "subscription": wanted})]

    def _snapshot(self, channel: str, wanted: dict[str, Any], now_ns: int) -> bytes:
        """Return the past of a channel of an account, which is what the queries list."""
        if channel == "userFills":
            past = self._info.answer({"type": "userFills", "user": wanted["user"]}, now_ns)
        else:
            listed = self._info.answer({"type": "userFunding", "user": wanted["user"], "startTime": 0}, now_ns)
            past = newest_first([{"time": row["time"], **row["delta"]} for row in listed])
        data = {"isSnapshot": True, "user": wanted["user"], WITH_SNAPSHOT[channel]: past}
        return frame(channel, data)

    def _first(self, channel: str, coin: str, now_ns: int) -> Iterator[bytes]:
        """Yield the first message of a channel of the market: trades begin with the past."""
        match channel:
            case "l2Book":
                yield frame(channel, self._info.book(coin, now_ns))
            case "activeAssetCtx":
                yield self.context(coin)
            case "trades" if past := self._info.trades(coin):
                yield frame(channel, past)
            case _:
                return

    def context(self, coin: str) -> bytes:
        """Return the message about the mark price of a coin."""
        return frame("activeAssetCtx", {"coin": coin, "ctx": self._info.context(coin)})

    # ---- what a line of the market causes

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the messages that follow from a line of the market."""
        coin, kind = line.symbol, line.stream.partition("@")[2]
        makers: list[Callable[[str, SymbolMarket, int], tuple[str, Any] | None]]
        makers = [self._trade] if kind == "trade" else [self._bbo, self._book]
        for make in makers:
            made = make(coin, market, now_ns)
            if made is not None and f"{made[0]}:{coin}" in wanted:
                yield Line(now_ns, f"{made[0]}:{coin}", coin, frame(*made))

    def _trade(self, coin: str, market: SymbolMarket, _now_ns: int) -> tuple[str, Any]:
        return "trades", [trade_row(coin, market.prints_last())]

    def _book(self, coin: str, _market: SymbolMarket, now_ns: int) -> tuple[str, Any] | None:
        if now_ns - self._book_ns.get(coin, -BOOK_NS) < BOOK_NS:
            return None
        self._book_ns[coin] = now_ns
        return "l2Book", self._info.book(coin, now_ns)

    def _bbo(self, coin: str, market: SymbolMarket, now_ns: int) -> tuple[str, Any] | None:
        best = [self._best(market, side) for side in (Side.BUY, Side.SELL)]
        if self._quotes.get(coin) == best:
            return None
        self._quotes[coin] = best
        return "bbo", {"coin": coin, "time": now_ns // MS, "bbo": best}

    @staticmethod
    def _best(market: SymbolMarket, side: Side) -> dict[str, Any] | None:
        price = market.best(side)
        if price is None:
            return None
        return {"px": money(price), "sz": money(market.quantity(side, price)), "n": 1}


def _stream_of(wanted: dict[str, Any]) -> str:
    about = wanted.get("coin") or str(wanted.get("user", "")).lower()
    return f"{wanted.get('type')}:{about}"
