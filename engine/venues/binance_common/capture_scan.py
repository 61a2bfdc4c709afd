"""What the messages of a capture show of its market: symbols, grids, the largest numbers, the streams of trades.

Reads every message: the finest tick may be in the last one. Knows no venue; capture.py decides what was captured.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from engine.venues.binance_common.market import SNAPSHOT_MARK
from engine.venues.row_builders import Level

ENVELOPE = b'{"stream":"'
DATA_MARK = b'","data":'
FUTURES_ALONE = frozenset({"bookTicker", "markPriceUpdate"})  # Spot's ticker has no event name
DIFFS = re.compile(rb"[^@]*@depth(@.*)?", re.DOTALL)  # not a partial book (@depth5), which looks the same
_KINDS = frozenset({"trade", "aggTrade", "depthUpdate", "bookTicker", "markPriceUpdate"})
METADATA_MARK = b'"symbols":['
METADATA_HEAD = 8_000  # bytes of an answer in which the mark is: its rate limits come first


class _Message(msgspec.Struct, gc=False):
    """The fields of any stream message that show an instrument's grid."""

    e: str = ""
    s: str = ""
    b: str | list[Level] = ""  # a price, or levels
    a: str | int | list[Level] = ""  # or the id of an aggregate trade
    B: str = ""
    A: str = ""
    p: str = ""
    q: str = ""
    u: int = 0
    pu: int | None = None


class _BookSnapshot(msgspec.Struct, gc=False, rename="camel"):
    last_update_id: int
    bids: list[Level]
    asks: list[Level]


class Numbers:
    """The grid and the largest of some numbers, which are texts of a venue."""

    def __init__(self) -> None:
        self.places = 0  # decimal places, without trailing zeros
        self.whole = ""  # the largest whole part

    def add(self, number: str) -> None:
        """Add a number."""
        whole, _, part = number.partition(".")
        if len(part) > self.places:
            self.places = max(self.places, len(part.rstrip("0")))
        if len(whole) > len(self.whole) or (len(whole) == len(self.whole) and whole > self.whole):
            self.whole = whole

    def merge(self, other: "Numbers") -> None:
        """Add all numbers of another file."""
        self.places = max(self.places, other.places)
        self.whole = max(self.whole, other.whole, key=lambda whole: (len(whole), whole))

    @property
    def largest(self) -> Decimal:
        """A bound of all numbers: the largest whole part, plus one."""
        return Decimal(self.whole if self.whole.isdecimal() else 0) + 1


class SymbolScan:
    """What the messages of one symbol show."""

    def __init__(self) -> None:
        self.prices = Numbers()
        self.sizes = Numbers()
        self.trades = 0  # messages of the stream `trade`
        self.aggregates = 0  # messages of the stream `aggTrade`
        self.id_first = 0  # of the updates of its book and quotes
        self.id_last = 0

    def merge(self, other: "SymbolScan") -> None:
        """Add what another file shows of the same symbol."""
        self.prices.merge(other.prices)
        self.sizes.merge(other.sizes)
        self.trades += other.trades
        self.aggregates += other.aggregates

    def distance(self, update_id: int) -> int:
        """Return how far an update id is from those of the symbol; 0 within them."""
        return max(self.id_first - update_id, update_id - self.id_last, 0)

    def add_levels(self, levels: Iterable[Level]) -> None:
        """Add the levels of one side of a book."""
        add_price, add_size = self.prices.add, self.sizes.add
        for price, size, *_ in levels:
            add_price(price)
            add_size(size)


class FileScan:
    """What the stream messages of one file show."""

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolScan] = {}
        self.is_future = False
        self.has_books = False

    def add(self, message: _Message) -> None:
        """Add a message."""
        self.is_future |= message.pu is not None or message.e in FUTURES_ALONE
        seen = self.symbols.setdefault(message.s, SymbolScan())
        if message.u:
            seen.id_first = seen.id_first or message.u
            seen.id_last = message.u
        if isinstance(message.b, list):
            self.has_books = True
            seen.add_levels(message.b)
            if isinstance(message.a, list):
                seen.add_levels(message.a)
        elif message.B and isinstance(message.a, str):  # a best bid and ask
            seen.prices.add(message.b)
            seen.prices.add(message.a)
            seen.sizes.add(message.B)
            seen.sizes.add(message.A)
        elif message.q:
            seen.trades += message.e == "trade"
            seen.aggregates += message.e == "aggTrade"
            seen.prices.add(message.p)
            seen.sizes.add(message.q)


class CaptureScan:
    """What all messages of a capture show, by file."""

    def __init__(self, messages: Iterable[tuple[str, bytes]]) -> None:
        self.files: dict[str, FileScan] = {}
        self.metadata: list[bytes] = []  # answers to exchangeInfo
        snapshots: list[_BookSnapshot] = []
        for source, message in _read(messages):
            if isinstance(message, _Message):
                self.files.setdefault(source, FileScan()).add(message)
            elif isinstance(message, _BookSnapshot):
                snapshots.append(message)
            else:
                self.metadata.append(message)
        for snapshot in snapshots:  # after the stream messages, whose ids show the symbol of each
            self._add_snapshot(snapshot)

    def _add_snapshot(self, snapshot: _BookSnapshot) -> None:
        """Add a snapshot to the symbol whose update ids are nearest to its own: it names none."""
        symbols = [seen for file in self.files.values() for seen in file.symbols.values()]
        if symbols:
            nearest = min(symbols, key=lambda seen: seen.distance(snapshot.last_update_id))
            nearest.add_levels(snapshot.bids)
            nearest.add_levels(snapshot.asks)


def _read(messages: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, _Message | _BookSnapshot | bytes]]:
    """Yield the stream messages of instruments, the snapshots, and the answers to exchangeInfo as they are."""
    decode = msgspec.json.Decoder(_Message).decode
    decode_snapshot = msgspec.json.Decoder(_BookSnapshot).decode
    for source, payload in messages:
        data = payload
        if payload.startswith(ENVELOPE):
            mark = payload.find(DATA_MARK)
            stream = payload[len(ENVELOPE) : mark]
            if mark < 0 or (b"@depth" in stream and not DIFFS.fullmatch(stream)):
                continue  # a partial book
            data = payload[mark + len(DATA_MARK) : -1]
        elif METADATA_MARK in payload[:METADATA_HEAD]:
            yield source, payload
            continue
        try:
            if data.startswith(SNAPSHOT_MARK):
                yield source, decode_snapshot(data)
                continue
            message = decode(data)
        except msgspec.MsgspecError:
            continue  # another stream's: it shows nothing
        if message.s and (message.e in _KINDS or (not message.e and message.B)):
            yield source, message
