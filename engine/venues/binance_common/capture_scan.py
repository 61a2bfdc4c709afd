"""What the messages of a capture show of its market: symbols, grids, the largest numbers, kinds, streams of trades.

Reads every message: the finest tick may be in the last one. Knows no venue; capture.py decides what was captured.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import msgspec

from engine.venues.binance_common.market import SNAPSHOT_MARK
from engine.venues.captured_market import CaptureMessage
from engine.venues.row_builders import Level

ENVELOPE = b'{"stream":"'
DATA_MARK = b'","data":'
FUTURES_ALONE = frozenset({"bookTicker", "markPriceUpdate"})  # Spot's ticker has no event name
DIFFS = re.compile(r"[^@]*@depth(@.*)?", re.DOTALL)  # not a partial book (@depth5), which looks the same
_KINDS = frozenset({"trade", "aggTrade", "depthUpdate", "bookTicker", "markPriceUpdate"})
METADATA_MARK = b'"symbols":['
METADATA_HEAD = 8_000  # bytes of an answer in which the mark is: its rate limits come first
ASKED = re.compile(r"[?&]symbol=([^&\"]+)")  # in the address of an answer
NEAR = 1.01  # ratio of two prices up to which they may be of either symbol


class MarketKind(StrEnum):
    """Kinds of markets whose messages differ."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"


class _Message(msgspec.Struct, gc=False):
    """The fields of any stream message that show an instrument's grid, or of an envelope around one."""

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
    M: bool | None = None  # of Spot's trades alone
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


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
        """A bound of all numbers: the largest whole part, plus one if there are decimal places."""
        return Decimal(self.whole if self.whole.isdecimal() else 0) + (1 if self.places else 0)


class SymbolScan:
    """What the messages of one symbol, in one file or all, show."""

    def __init__(self) -> None:
        self.prices = Numbers()
        self.sizes = Numbers()
        self.trades = 0  # messages of the stream `trade`
        self.aggregates = 0  # messages of the stream `aggTrade`
        self.has_books = False
        self.has_quotes = False
        self.is_future = False  # by a field that only futures have
        self.is_spot = False  # by the lack of such a field
        self.lacks_flag = False  # a trade without the flag of Spot's trades
        self.price_first = self.price_last = 0.0
        self.id_first = self.id_last = 0  # of the updates of its book and quotes

    def merge(self, other: "SymbolScan") -> None:
        """Add what another file shows of the same symbol."""
        self.prices.merge(other.prices)
        self.sizes.merge(other.sizes)
        self.trades += other.trades
        self.aggregates += other.aggregates
        self.has_books |= other.has_books
        self.has_quotes |= other.has_quotes

    def add(self, message: _Message) -> None:
        """Add a stream message."""
        if message.u:
            self.id_first = self.id_first or message.u
            self.id_last = message.u
        if isinstance(message.b, list):
            self.has_books = True
            self.is_future |= message.pu is not None
            self.is_spot |= message.pu is None
            _add_levels(self.prices, self.sizes, message.b)
            if isinstance(message.a, list):
                _add_levels(self.prices, self.sizes, message.a)
        elif message.B and isinstance(message.a, str):  # a best bid and ask
            self.has_quotes = True
            self.is_future |= message.e in FUTURES_ALONE
            self.is_spot |= not message.e
            self.prices.add(message.b)
            self.prices.add(message.a)
            self.sizes.add(message.B)
            self.sizes.add(message.A)
            self._note_price(message.b)
        elif message.e in FUTURES_ALONE:
            self.is_future = True
        elif message.q:
            self.trades += message.e == "trade"
            self.aggregates += message.e == "aggTrade"
            self.lacks_flag |= message.M is None
            self.prices.add(message.p)
            self.sizes.add(message.q)
            self._note_price(message.p)

    def _note_price(self, text: str) -> None:
        try:
            self.price_last = float(text)
        except ValueError:
            return
        self.price_first = self.price_first or self.price_last


class _SnapshotSeen(NamedTuple):
    """A book snapshot, whose body names no symbol, and what was known of each symbol when it came."""

    message: CaptureMessage
    update_id: int
    best_bid: str
    prices: Numbers
    sizes: Numbers
    known: dict[tuple[str, str], tuple[float, int]]  # (file, symbol) -> last price, last update id


class CaptureScan:
    """What all messages of a capture show, by file and symbol."""

    def __init__(self, messages: Iterable[CaptureMessage]) -> None:
        self.found: dict[tuple[str, str], SymbolScan] = {}
        self.metadata: list[bytes] = []  # answers to exchangeInfo
        self.snapshots: list[tuple[int, str]] = []  # the record of each book snapshot, and its symbol
        snapshots = []
        for message, read in _read(messages):
            if isinstance(read, _Message):
                self.found.setdefault((message.source, read.s), SymbolScan()).add(read)
            elif isinstance(read, _BookSnapshot):
                snapshots.append(self._prepared(message, read))
            else:
                self.metadata.append(read)
        for snapshot in snapshots:  # after the stream messages, which show the symbols
            self._add_snapshot(snapshot)

    def kinds(self) -> dict[tuple[str, str], MarketKind]:
        """Return the kind of market of each symbol in each file.

        Trades alone show it by a flag that only Spot has; other messages of the same symbol decide before it.
        """
        certain = {key: scan.is_future for key, scan in self.found.items() if scan.is_future or scan.is_spot}
        kinds = {}
        for key, scan in self.found.items():
            others = {is_future for (_, symbol), is_future in certain.items() if symbol == key[1]}
            is_future = certain.get(key, others.pop() if len(others) == 1 else scan.lacks_flag)
            is_inverse = is_future and "USD_" in key[1]
            kinds[key] = MarketKind.INVERSE if is_inverse else MarketKind.LINEAR if is_future else MarketKind.SPOT
        return kinds

    def _prepared(self, message: CaptureMessage, read: _BookSnapshot) -> _SnapshotSeen:
        prices, sizes = Numbers(), Numbers()
        _add_levels(prices, sizes, read.bids)
        _add_levels(prices, sizes, read.asks)
        known = {key: (scan.price_last, scan.id_last) for key, scan in self.found.items()}
        best = read.bids[0][0] if read.bids else "0"
        return _SnapshotSeen(message._replace(payload=b""), read.last_update_id, best, prices, sizes, known)

    def _add_snapshot(self, snapshot: _SnapshotSeen) -> None:
        """Add a snapshot to its symbol, if there is one."""
        key = self._symbol_of(snapshot)
        if key is not None:
            self.found[key].prices.merge(snapshot.prices)
            self.found[key].sizes.merge(snapshot.sizes)
            self.snapshots.append((snapshot.message.seq, key[1]))

    def _symbol_of(self, snapshot: _SnapshotSeen) -> tuple[str, str] | None:
        """Return file and symbol of a snapshot.

        It is the symbol in the address of the request, or the only one of its file. Of several, it is the one whose
        price is nearest to its best bid; of several with such a price, the one whose update id is nearest to its own.
        (The ids of Spot are apart by symbol; those of futures are not.)
        """
        asked = ASKED.search(snapshot.message.meta or "")
        named = [key for key in self.found if asked is not None and key[1] == asked[1]]
        own = [key for key in self.found if key[0] == snapshot.message.source]
        candidates = named or own or list(self.found)
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        ratios = {key: _ratio(self._known(snapshot, key)[0], snapshot.best_bid) for key in candidates}
        least = min(ratios.values())
        near = [key for key, ratio in ratios.items() if ratio <= least * NEAR]
        return min(near, key=lambda key: abs(self._known(snapshot, key)[1] - snapshot.update_id))

    def _known(self, snapshot: _SnapshotSeen, key: tuple[str, str]) -> tuple[float, int]:
        """Return price and update id of a symbol at a snapshot: the last before it, or the first after it."""
        price, update_id = snapshot.known.get(key, (0.0, 0))
        return price or self.found[key].price_first, update_id or self.found[key].id_first


def _ratio(price: float, best_bid: str) -> float:
    try:
        best = float(best_bid)
    except ValueError:
        return float("inf")
    return max(price, best) / min(price, best) if price > 0 and best > 0 else float("inf")


def _add_levels(prices: Numbers, sizes: Numbers, levels: Iterable[Level]) -> None:
    add_price, add_size = prices.add, sizes.add
    for price, size, *_ in levels:
        add_price(price)
        add_size(size)


def _read(messages: Iterable[CaptureMessage]) -> Iterator[tuple[CaptureMessage, _Message | _BookSnapshot | bytes]]:
    """Yield the stream messages of instruments, the snapshots, and the answers to exchangeInfo as they are."""
    decode = msgspec.json.Decoder(_Message).decode
    decode_snapshot = msgspec.json.Decoder(_BookSnapshot).decode
    for message in messages:
        payload = message.payload
        if not payload.startswith(ENVELOPE) and METADATA_MARK in payload[:METADATA_HEAD]:
            yield message, payload
            continue
        try:
            if payload.startswith(SNAPSHOT_MARK):
                yield message, decode_snapshot(payload)
                continue
            mark = payload.find(DATA_MARK) if payload.startswith(ENVELOPE) else -1
            if mark > 0 and payload.endswith(b"}"):
                stream, read = payload[len(ENVELOPE) : mark].decode(), decode(payload[mark + len(DATA_MARK) : -1])
            else:  # bare, or an envelope in another spelling
                read = decode(payload)
                stream, read = read.stream, decode(read.data) if bytes(read.data) else read
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # another stream's: it shows nothing
        if read.e == "depthUpdate" and stream and not DIFFS.fullmatch(stream):
            continue  # a partial book
        if read.s and (read.e in _KINDS or (not read.e and read.B)):
            yield message, read
