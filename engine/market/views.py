"""What Python sees of the market, and what it asks the market to keep: plain values. Integers become Decimal only here."""

from decimal import Decimal
from enum import IntEnum

import msgspec

from engine.facts import SequencedStream
from engine.market.layout import M_TIME_NS, X_SEEN_BOOK_NS, X_SEEN_QUOTE_NS, X_SEEN_TRADE_NS


class Stream(IntEnum):
    """The kinds of market stream whose last arrival is kept."""

    QUOTE = X_SEEN_QUOTE_NS
    TRADE = X_SEEN_TRADE_NS
    BOOK = X_SEEN_BOOK_NS
    MARK = M_TIME_NS


class BookState(IntEnum):
    """Where a book is in its life (layout.py has the numbers)."""

    NONE = 0
    BUFFERING = 1
    SYNCED = 2
    BROKEN = 3


class BarSpec(msgspec.Struct, frozen=True):
    """Bars of trades by the venue's trade time, aligned to the epoch."""

    instrument_id: str
    interval_ns: int


class EmaSpec(msgspec.Struct, frozen=True):
    """An exponential average of the mid, moved by every change of the quote; the first mid is its first value."""

    instrument_id: str
    length: int
    source: str = "mid"

    @property
    def alpha(self) -> float:
        return 2.0 / (self.length + 1.0)


class CrossOverSpec(msgspec.Struct, frozen=True, tag=True):
    """Two averages, by their places in the list, change their order; the first time they differ is one too. Both must be warm."""

    instrument_id: str
    first: int
    second: int


class PriceMoveSpec(msgspec.Struct, frozen=True, tag=True):
    """The mid is further than `ppm` millionths from where it was when this was met last; the first quote meets it."""

    instrument_id: str
    ppm: int


class PredicateSpec(msgspec.Struct, frozen=True, tag=True):
    """A compiled strategy wants to decide, by what it is shown of an instrument: looks.py."""

    instrument_id: str
    which: int  # the instrument's place among those of the strategy
    averages: tuple[int, ...]  # by their places in the list


class TriggerSpec(msgspec.Struct, frozen=True):
    """Somebody who is due when the quote or the top of the book of an instrument changes; its place in the list is its bit."""

    name: str
    instruments: tuple[str, ...]
    throttle_ns: int = 0
    on_bar: bool = False  # a closed bar is a change too, and raises BAR_CLOSED
    conditions: tuple[
        CrossOverSpec | PriceMoveSpec | PredicateSpec, ...
    ] = ()  # where there are any, only these make it due


class Quote(msgspec.Struct, frozen=True):
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    seq: int
    time_ns: int


class Trade(msgspec.Struct, frozen=True):
    price: Decimal
    size: Decimal
    trade_id: int
    buyer_is_maker: bool
    seq: int
    time_ns: int
    venue_ns: int


class Mark(msgspec.Struct, frozen=True):
    """What the venue computes of a contract: by its price margin and unrealised P&L are reckoned, by its rate funding."""

    price: Decimal
    index: Decimal  # 0 where the venue told none, as for the next
    settle: Decimal  # estimated settlement price
    funding_rate: Decimal  # of the next funding; long pays where it is positive
    next_funding_ns: int  # in the venue's clock; 0: there is none
    seq: int
    time_ns: int
    venue_ns: int


class Bar(msgspec.Struct, frozen=True):
    start_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


class Bars(msgspec.Struct, frozen=True):
    """Closed bars never change again, oldest first; the forming one still does. `late` trades came after their bar was closed."""

    closed: tuple[Bar, ...]
    forming: Bar | None
    closed_count: int
    late: int


class BookTop(msgspec.Struct, frozen=True):
    """Levels as (price, size), best first."""

    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    update_id: int
    seq: int
    time_ns: int


class SequenceBreak(msgspec.Struct, frozen=True):
    """Between which ids of a stream messages are missing."""

    stream: SequencedStream
    last_id: int  # before it, with the record that brought it
    last_seq: int
    last_ns: int
    first_id: int  # after it


class Counters(msgspec.Struct, frozen=True):
    quotes: int
    quotes_stale: int
    trades: int
    trades_buyer_is_maker: int
    trades_repeated: int
    trade_id_gaps: int
    trade_ids_missing: int
    volume: Decimal
    notional: Decimal
    diffs_applied: int
    diffs_dropped: int
    book_gaps: int
    snapshots_refused: int


def decimal(value: int, scale: int) -> Decimal:
    """The number at its scale, exact under any context, without trailing zeros or exponent."""
    while scale > 0 and value % 10 == 0:
        value //= 10
        scale -= 1
    return Decimal(f"{value}e-{scale}") if scale else Decimal(value)
