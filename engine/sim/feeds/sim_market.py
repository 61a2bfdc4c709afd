"""Where the simulated market comes from: lines with a due time, and what their bytes mean.

A market gives lines; it knows no client, order or book. `decode` reads a line's bytes as
Binance writes them, so captured, synthetic and injected messages take the same way into the venue.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from engine.sim.units import text, units, wire_units

STREAM_PREFIX: Final = b'{"stream":"'
DATA_MARK: Final = b'","data":'


class Line(NamedTuple):
    """One public message. `stream` is empty for a depth snapshot: that one is answered, never streamed."""

    due_ns: int
    stream: str
    symbol: str
    payload: bytes  # of a stream: the combined form {"stream":...,"data":...}


class SimMarket(Protocol):
    """A source of lines in the order of their due times."""

    symbols: tuple[str, ...]
    streams: frozenset[str]

    @property
    def next_due_ns(self) -> int | None:
        """When the next line is due; None at the end."""

    def next_line(self) -> Line:
        """Return the next line."""

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is a depth snapshot."""

    def shift(self, ns: int) -> None:
        """Move all lines to come by so much."""


class DepthSnapshot(NamedTuple):
    """A depth snapshot: the update id and the levels of both sides."""

    update_id: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    has_edge: bool = False  # a diff that ends at its id changes it: futures


class DepthDiff(NamedTuple):
    """A depth diff: its ids and the changed levels of both sides."""

    update_id_first: int
    update_id: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    previous_id: int = 0  # the last id of the diff before it; 0: the market does not state it


class SimQuote(NamedTuple):
    """A best bid and ask."""

    update_id: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class TradePrint(NamedTuple):
    """A public trade."""

    trade_id: int
    price: int
    quantity: int
    time_ns: int
    buyer_is_maker: bool


class MarkPrint(NamedTuple):
    """The mark price of a contract, its index, and its next funding."""

    price: int
    index_price: int
    rate: int
    next_ns: int


MarketMessage = DepthSnapshot | DepthDiff | SimQuote | TradePrint | MarkPrint


class _Depth(msgspec.Struct, gc=False):
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    pu: int = 0


class _Quote(msgspec.Struct, gc=False):
    u: int
    b: str
    B: str
    a: str
    A: str


class _Trade(msgspec.Struct, gc=False):
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"  # futures: another kind is no trade of the book


class _Mark(msgspec.Struct, gc=False):
    p: str
    r: str
    T: int
    i: str = "0"


class _Snapshot(msgspec.Struct, gc=False, rename={"last_update_id": "lastUpdateId"}):
    last_update_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    T: int = 0  # futures


_DEPTH: Final = msgspec.json.Decoder(_Depth)
_QUOTE: Final = msgspec.json.Decoder(_Quote)
_TRADE: Final = msgspec.json.Decoder(_Trade)
_MARK: Final = msgspec.json.Decoder(_Mark)
_SNAPSHOT: Final = msgspec.json.Decoder(_Snapshot)


def _levels(pairs: list[tuple[str, str]]) -> list[tuple[int, int]]:
    return [(wire_units(price), wire_units(quantity)) for price, quantity in pairs]


def data_of(line: Line) -> bytes:
    """Return the message without its combined wrapper, as a raw /ws/<stream> connection gets it."""
    return line.payload[len(STREAM_PREFIX) + len(line.stream) + len(DATA_MARK) : -1]


def decode(line: Line) -> MarketMessage | None:
    """Decode a line that changes the book, the tape or the mark price; return None for other lines."""
    if not line.stream:
        snapshot = _SNAPSHOT.decode(line.payload)
        levels = _levels(snapshot.bids), _levels(snapshot.asks)
        return DepthSnapshot(snapshot.last_update_id, *levels, has_edge=snapshot.T > 0)
    _, _, kind = line.stream.partition("@")
    match kind:
        case "bookTicker":
            quote = _QUOTE.decode(data_of(line))
            return SimQuote(quote.u, wire_units(quote.b), wire_units(quote.B), wire_units(quote.a), wire_units(quote.A))
        case "trade":
            trade = _TRADE.decode(data_of(line))
            if trade.X != "MARKET":
                return None
            return TradePrint(trade.t, wire_units(trade.p), wire_units(trade.q), trade.T * 1_000_000, trade.m)
        case "depth@100ms" | "depth@0ms":
            depth = _DEPTH.decode(data_of(line))
            return DepthDiff(depth.U, depth.u, _levels(depth.b), _levels(depth.a), depth.pu)
        case "markPrice@1s" | "markPrice":
            mark = _MARK.decode(data_of(line))
            return MarkPrint(wire_units(mark.p), wire_units(mark.i), units(mark.r), mark.T * 1_000_000)
        case _:
            return None


def combined(stream: str, data: bytes) -> bytes:
    """Return a message in the envelope of its combined stream."""
    return STREAM_PREFIX + stream.encode() + DATA_MARK + data + b"}"


def trade_data(symbol: str, trade: TradePrint) -> bytes:
    """Return a trade message as Binance writes it."""
    millis = trade.time_ns // 1_000_000
    maker = "true" if trade.buyer_is_maker else "false"
    return (
        f'{{"e":"trade","E":{millis},"s":"{symbol}","t":{trade.trade_id},"p":"{text(trade.price)}",'
        f'"q":"{text(trade.quantity)}","T":{millis},"m":{maker},"M":true}}'
    ).encode()


def quote_data(symbol: str, quote: SimQuote) -> bytes:
    """Return a bookTicker message as Binance writes it."""
    return (
        f'{{"u":{quote.update_id},"s":"{symbol}","b":"{text(quote.bid)}","B":"{text(quote.bid_quantity)}",'
        f'"a":"{text(quote.ask)}","A":"{text(quote.ask_quantity)}"}}'
    ).encode()


def _level_text(levels: list[tuple[int, int]]) -> str:
    return ",".join([f'["{text(price)}","{text(quantity)}"]' for price, quantity in levels])


def diff_data(symbol: str, diff: DepthDiff, now_ns: int) -> bytes:
    """Return a depthUpdate message as Binance writes it."""
    return (
        f'{{"e":"depthUpdate","E":{now_ns // 1_000_000},"s":"{symbol}","U":{diff.update_id_first},'
        f'"u":{diff.update_id},"b":[{_level_text(diff.bids)}],"a":[{_level_text(diff.asks)}]}}'
    ).encode()


def snapshot_data(snapshot: DepthSnapshot) -> bytes:
    """Return a depth snapshot as Binance answers it."""
    return (
        f'{{"lastUpdateId":{snapshot.update_id},"bids":[{_level_text(snapshot.bids)}],'
        f'"asks":[{_level_text(snapshot.asks)}]}}'
    ).encode()


class Wording(NamedTuple):
    """How a market's messages are written: the functions that write them. Times are nanoseconds."""

    trade: Callable[[str, TradePrint], bytes]
    quote: Callable[[str, SimQuote, int], bytes]
    diff: Callable[[str, DepthDiff, int], bytes]
    snapshot: Callable[[DepthSnapshot, int], bytes]


SPOT_WORDING: Final = Wording(
    trade=trade_data,
    quote=lambda symbol, quote, _now_ns: quote_data(symbol, quote),
    diff=diff_data,
    snapshot=lambda snapshot, _now_ns: snapshot_data(snapshot),
)


class QuietMarket:
    """A market that does nothing by itself: one snapshot per symbol. Tests inject what is to happen."""

    def __init__(self, snapshots: dict[str, DepthSnapshot], *, start_ns: int, wording: Wording = SPOT_WORDING) -> None:
        self.symbols = tuple(snapshots)
        self.streams = frozenset(
            f"{symbol.lower()}@{kind}" for symbol in snapshots for kind in ("depth@100ms", "bookTicker", "trade")
        )
        self._lines = [
            Line(start_ns, "", symbol, wording.snapshot(given, start_ns)) for symbol, given in snapshots.items()
        ]

    @property
    def next_due_ns(self) -> int | None:
        """When the next snapshot is due; None at the end."""
        return self._lines[0].due_ns if self._lines else None

    def next_line(self) -> Line:
        """Return the next snapshot."""
        return self._lines.pop(0)

    def is_snapshot_next(self) -> bool:
        """Return True if a snapshot is left."""
        return bool(self._lines)

    def shift(self, ns: int) -> None:
        """Move all snapshots to come by so much."""
        self._lines = [line._replace(due_ns=line.due_ns + ns) for line in self._lines]
