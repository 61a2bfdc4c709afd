"""Kraken's public channels as rows: book, ticker and trade. Numbers are JSON numbers; a book begins with a snapshot.

A book has no ids: the order of the link's frames is its order, so the ids are the records' own. The checksum of each
message proves the book, over the best ten levels with all decimals of the pair, which are the instrument's scales.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from engine.events import Event, Unrecognised
from engine.market import rows as r
from engine.market.fold.book_checks import STYLE_DIGITS
from engine.market.rows import VALUE_MAX, Rows
from engine.model import Instrument
from engine.venues.decoding import decode_each
from engine.venues.kraken.frames import QUIET, ChannelFrame, acknowledged
from engine.venues.kraken.values import FAILURES, amount, unrecognised
from engine.venues.row_builders import Level, RowOrigin, book_rows, check_row, quote_rows, trade_rows
from engine.venues.timestamps import nanoseconds

DEPTH: Final = 100  # levels of each side that are subscribed; the venue names none that fall behind them
CHECKED_LEVELS: Final = 10
SIDES: Final = {"sell": True, "buy": False}  # the taker's -> was the buyer the maker?


class _Level(msgspec.Struct):
    price: Decimal
    qty: Decimal


class PairBook(msgspec.Struct):
    """An element of `book`."""

    symbol: str
    bids: list[_Level] = []
    asks: list[_Level] = []
    checksum: int = -1
    timestamp: str = ""


class PairTicker(msgspec.Struct):
    """An element of `ticker`."""

    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal


class PairTrade(msgspec.Struct):
    """An element of `trade`."""

    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    timestamp: str


Origin = Callable[[str, int], RowOrigin]  # (symbol, time at the venue) -> the columns that its rows share
_FRAME = msgspec.json.Decoder(ChannelFrame)
_BOOKS = msgspec.json.Decoder(list[PairBook])
_TICKERS = msgspec.json.Decoder(list[PairTicker])
_TRADES = msgspec.json.Decoder(list[PairTrade])


class KrakenMarket:
    """An engine.venues.venue.MarketCodec."""

    def __init__(self, instruments: Sequence[Instrument], depth: int = DEPTH) -> None:
        self._by_symbol = {of.symbol: (index, of) for index, of in enumerate(instruments)}
        self._depth = depth

    def warm(self) -> None:
        """Compile nothing: frames are decoded by msgspec."""

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of a channel's message, or the events of any other frame."""
        try:
            frame = _FRAME.decode(payload)
            if not frame.channel:
                return acknowledged(payload)
            if frame.channel in QUIET:
                return ()
            return self._rows(frame, seq, time_ns)
        except FAILURES as error:
            return (unrecognised(source, error),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market messages."""
        return decode_each(self.decode, payloads, seqs, times_ns)

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return Unrecognised: snapshots are streamed."""
        del payload, seq, time_ns
        return (Unrecognised(instrument_id, "a snapshot comes over the book's channel"),)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False: no answer holds a book."""
        del payload
        return False

    def _rows(self, frame: ChannelFrame, seq: int, time_ns: int) -> Rows:
        def origin(symbol: str, venue_ns: int) -> RowOrigin:
            index, of = self._by_symbol[symbol]
            return RowOrigin(index, of, seq, time_ns, venue_ns)

        found: list[Rows]
        match frame.channel:
            case "book":
                is_snapshot = {"snapshot": True, "update": False}[frame.type]
                found = [
                    self._book(origin, book, is_snapshot=is_snapshot) for book in _joined(_BOOKS.decode(frame.data))
                ]
            case "ticker":
                found = [
                    quote_rows(
                        origin(tick.symbol, 0), *_texts(tick.bid, tick.bid_qty, tick.ask, tick.ask_qty), update_id=0
                    )
                    for tick in _TICKERS.decode(frame.data)
                ]
            case "trade":
                found = [self._trade(origin, trade) for trade in _TRADES.decode(frame.data)]
            case channel:
                raise ValueError(f"no channel {channel[:40]!r}")
        if not found:
            raise ValueError("a message without data")
        rows = np.concatenate(found)
        rows[:-1, r.LAST] = 0  # several of a kind are one record
        return rows

    @staticmethod
    def _trade(origin: Origin, trade: PairTrade) -> Rows:
        at, (price, size) = origin(trade.symbol, nanoseconds(trade.timestamp)), _texts(trade.price, trade.qty)
        return trade_rows(at, price, size, trade.trade_id, buyer_is_maker=SIDES[trade.side])

    def _book(self, origin: Origin, book: PairBook, *, is_snapshot: bool) -> Rows:
        at = origin(book.symbol, nanoseconds(book.timestamp) if book.timestamp else 0)
        kind, ids = (r.SNAPSHOT, (at.seq, 0, 0)) if is_snapshot else (r.DIFF, (0, at.seq, 0))
        if not -1 <= book.checksum < 2**32:
            raise ValueError(f"no checksum: {book.checksum}")
        rows = book_rows(kind, at, ids, _levels(book.bids, at.of), _levels(book.asks, at.of))
        if rows[0, r.TYPE] == r.BAD_VALUE:
            return rows
        check = check_row(at, book.checksum, style=STYLE_DIGITS, levels=CHECKED_LEVELS, depth=self._depth)
        return np.concatenate([rows, check])


def _joined(books: list[PairBook]) -> Iterable[PairBook]:
    """Return the books of a message, each symbol once: it may be updated in two parts, and the last one is checked."""
    found: dict[str, PairBook] = {}
    for book in books:
        first = found.setdefault(book.symbol, book)
        if first is not book:
            first.bids += book.bids
            first.asks += book.asks
            first.checksum, first.timestamp = book.checksum, book.timestamp
    return found.values()


def _levels(levels: list[_Level], of: Instrument) -> list[Level]:
    """Return levels as texts, without those at prices that no fold keeps exactly.

    Such a level is far from the market. If it mattered, the checksum would show it.
    """
    highest = Decimal(VALUE_MAX).scaleb(-of.price_scale)
    near = (level for level in levels if level.price <= highest)
    return [(f"{amount(level.price):f}", f"{amount(level.qty):f}") for level in near]


def _texts(*values: Decimal) -> list[str]:
    return [f"{amount(value):f}" for value in values]
