"""Brine's public channels as rows. Numbers are JSON numbers, a book begins with a snapshot, and each message has a
sequence number.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np

from brine.frames import FAILURES, acknowledged, nanoseconds
from engine.events import Event, Unrecognised
from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Instrument
from engine.venues.decoding import decode_each
from engine.venues.row_builders import Level, RowOrigin, book_rows, quote_rows, trade_rows

QUIET = ("heartbeat", "status")


class _Level(msgspec.Struct):
    price: Decimal
    qty: Decimal


class _Book(msgspec.Struct):
    symbol: str
    seq: int
    time: str
    bids: list[_Level] = []
    asks: list[_Level] = []


class _Ticker(msgspec.Struct):
    symbol: str
    seq: int
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal


class _Trade(msgspec.Struct):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    time: str


class _Frame(msgspec.Struct):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class BrineMarket:
    """An engine.venues.venue.MarketCodec."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_symbol = {of.symbol: (index, of) for index, of in enumerate(instruments)}

    def warm(self) -> None:
        """Nothing here is compiled."""

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of a channel's message, or the events of any other."""
        try:
            frame = msgspec.json.decode(payload, type=_Frame)
            if not frame.channel:
                return acknowledged(payload)
            if frame.channel in QUIET:
                return ()
            return self._rows(frame, seq, time_ns)
        except FAILURES as error:
            return (Unrecognised(source, f"{type(error).__name__}: {error}"[:200]),)

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market messages."""
        return decode_each(self.decode, payloads, seqs, times_ns)

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return Unrecognised: snapshots are streamed."""
        return (Unrecognised(instrument_id, "a snapshot comes over the book's channel"),)

    def is_snapshot(self, payload: bytes) -> bool:
        """Return False: no answer holds a book."""
        return False

    def _rows(self, frame: _Frame, seq: int, time_ns: int) -> Rows:
        def place(symbol: str, venue_ns: int) -> RowOrigin:
            index, of = self._by_symbol[symbol]
            return RowOrigin(index, of, seq, time_ns, venue_ns)

        found: list[Rows] = []
        match frame.channel:
            case "book":
                for book in msgspec.json.decode(frame.data, type=list[_Book]):
                    kind = r.SNAPSHOT if frame.type == "snapshot" else r.DIFF
                    ids = (book.seq, 0, 0) if kind == r.SNAPSHOT else (book.seq, book.seq, 0)
                    at = place(book.symbol, nanoseconds(book.time))
                    found.append(book_rows(kind, at, ids, _levels(book.bids), _levels(book.asks)))
            case "ticker":
                for tick in msgspec.json.decode(frame.data, type=list[_Ticker]):
                    values = (f"{value:f}" for value in (tick.bid, tick.bid_qty, tick.ask, tick.ask_qty))
                    found.append(quote_rows(place(tick.symbol, 0), *values, update_id=tick.seq))
            case "trade":
                for trade in msgspec.json.decode(frame.data, type=list[_Trade]):
                    at = place(trade.symbol, nanoseconds(trade.time))
                    is_sell = {"sell": True, "buy": False}[trade.side]
                    found.append(
                        trade_rows(at, f"{trade.price:f}", f"{trade.qty:f}", trade.trade_id, buyer_is_maker=is_sell)
                    )
            case channel:
                raise ValueError(f"no channel {channel[:40]!r}")
        if not found:
            raise ValueError("a message without data")
        rows = np.concatenate(found)
        rows[:-1, r.LAST] = 0  # several of a kind are one record
        return rows


def _levels(levels: list[_Level]) -> list[Level]:
    return [(f"{level.price:f}", f"{level.qty:f}") for level in levels]
