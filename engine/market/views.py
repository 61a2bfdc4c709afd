"""Plain values of the market: declarations of computed values, and the values themselves.

Integers become Decimal only here.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from enum import IntEnum
from functools import lru_cache

import msgspec

from engine.facts import SequencedStream
from engine.market.layout import M_TIME_NS, X_SEEN_BOOK_NS, X_SEEN_QUOTE_NS, X_SEEN_TRADE_NS


class Stream(IntEnum):
    """A kind of market stream; the value is the column of its last arrival."""

    QUOTE = X_SEEN_QUOTE_NS
    TRADE = X_SEEN_TRADE_NS
    BOOK = X_SEEN_BOOK_NS
    MARK = M_TIME_NS


class BookState(IntEnum):
    """The state of a book, with the numbers of layout.py."""

    NONE = 0
    BUFFERING = 1
    SYNCED = 2
    BROKEN = 3


class BarSpec(msgspec.Struct, frozen=True):
    """Bars of trades by the venue's trade time, aligned to the epoch."""

    instrument_id: str
    interval_ns: int


class CrossOverSpec(msgspec.Struct, frozen=True, tag=True):
    """Two warm indicators, by index, change their order; the first time they differ counts too."""

    instrument_id: str
    first: int
    second: int


class PriceMoveSpec(msgspec.Struct, frozen=True, tag=True):
    """The mid moved by more than `ppm` millionths since this condition was last met; the first quote meets it."""

    instrument_id: str
    ppm: int


class PredicateSpec(msgspec.Struct, frozen=True, tag=True):
    """The strategy's compiled predicate returns True for an instrument (predicates.py)."""

    instrument_id: str
    which: int  # index of the instrument among those of the strategy
    indicators: tuple[int, ...]  # indexes among all declared


class StreamSpec(msgspec.Struct, frozen=True, tag=True):
    """Any trade of an instrument, or any change of its book."""

    instrument_id: str
    stream: Stream  # TRADE or BOOK


class TriggerSpec(msgspec.Struct, frozen=True):
    """A strategy that is due when the quote or the book's top of an instrument changes; its index is its bit."""

    name: str
    instruments: tuple[str, ...]
    throttle_ns: int = 0
    on_bar: bool = False  # a closed bar is a change too, and raises BAR_CLOSED
    # with conditions, only these make it due
    conditions: tuple[CrossOverSpec | PriceMoveSpec | PredicateSpec | StreamSpec, ...] = ()
    bars_ns: tuple[int, ...] = ()  # with these intervals, only the end of such a bar makes it due


class Quote(msgspec.Struct, frozen=True):
    """The best bid and ask."""

    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    seq: int
    time_ns: int
    age_ns: int = (
        0  # of a quote that a strategy reads: time since a message stated it, its own or a book's with this top
    )


class Trade(msgspec.Struct, frozen=True):
    """One trade of the market."""

    price: Decimal
    size: Decimal
    trade_id: int
    buyer_is_maker: bool
    seq: int
    time_ns: int
    venue_ns: int


class Mark(msgspec.Struct, frozen=True):
    """The venue's figures of a contract: its price decides margin and unrealised P&L, its rate decides funding."""

    price: Decimal
    index: Decimal  # 0 if the venue sent none; so is settle
    settle: Decimal  # estimated settlement price
    funding_rate: Decimal  # of the next funding; longs pay if it is positive
    next_funding_ns: int  # in the venue's clock; 0: no funding
    seq: int
    time_ns: int
    venue_ns: int


class Bar(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """Trades of one interval. Without a trade its prices are the last close.

    `complete` is True if it is closed and no trade of its interval can be missing.
    """

    start_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    complete: bool = False


class Bars(msgspec.Struct, frozen=True):
    """Closed bars, oldest first and final, and the forming one.

    `late` counts trades that came after their bar was closed.
    """

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
    """A gap in the ids of a stream."""

    stream: SequencedStream
    last_id: int  # before the gap, with the seq and time of its record
    last_seq: int
    last_ns: int
    first_id: int  # after it


class Counters(msgspec.Struct, frozen=True):
    """Counts of one instrument's messages."""

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


_EXACT = Context(prec=200, Emin=MIN_EMIN, Emax=MAX_EMAX)  # no number of the market has as many digits
_scaleb, _normalize = _EXACT.scaleb, _EXACT.normalize
DECIMALS_KEPT = 8192  # the newest of those that `kept_decimal` returned: quotes repeat most of their prices


def decimal(value: int, scale: int) -> Decimal:
    """Return the number at its scale, exact under any context, without trailing zeros or exponent."""
    one = 10**scale
    if not value % one:
        return Decimal(value // one)
    return _normalize(_scaleb(value, -scale))


kept_decimal = lru_cache(maxsize=DECIMALS_KEPT)(decimal)
