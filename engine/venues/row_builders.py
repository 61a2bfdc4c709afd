"""Decoded values as market rows, for the codecs of every venue.

Exact: a value that may not enter makes the message a flag. Names no venue and reads no bytes.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from engine.market import rows as r
from engine.market.rows import COLUMNS, Rows
from engine.model import Instrument

LEVELS_IN_MESSAGE_MAX: Final = 100_000  # a snapshot has at most 5000 a side; beyond this it is no book message

Level = tuple[str, str]  # price, size


class RowOrigin(NamedTuple):
    """The columns that all rows of a message share, and the message's instrument."""

    i: int
    of: Instrument
    seq: int
    time_ns: int
    venue_ns: int


def quote_rows(at: RowOrigin, bid: str, bid_size: str, ask: str, ask_size: str, *, update_id: int) -> Rows:
    """Return the row of a quote, or a flag if a value may not enter."""
    price_scale, size_scale = at.of.price_scale, at.of.size_scale
    values = [
        r.scaled(bid, price_scale),
        r.scaled(bid_size, size_scale),
        r.scaled(ask, price_scale),
        r.scaled(ask_size, size_scale),
    ]
    if min(values) < 0:
        return _bad_value(r.QUOTE, at)
    return np.array([[r.QUOTE, at.i, at.seq, at.time_ns, at.venue_ns, 1, *values, update_id]], np.int64)


def trade_rows(
    at: RowOrigin,
    price: str,
    size: str,
    trade_id: int,
    *,
    buyer_is_maker: bool,
    off_book: bool = False,
    stream: str = "",
) -> Rows:
    """Return the row of a trade, or a flag if a value may not enter.

    Args:
        at: The columns that all rows share.
        price: As the venue writes it.
        size: As the venue writes it.
        trade_id: The venue's id.
        buyer_is_maker: The seller was the taker.
        off_book: No order of the book took part.
        stream: The kind of its stream, where the venue has two that report each trade: only one of them counts.

    """
    values = [r.scaled(price, at.of.price_scale), r.scaled(size, at.of.size_scale)]
    if min(values) < 0:
        return _bad_value(r.TRADE, at)
    kind = r.RETOLD if stream and at.of.trade_stream not in ("", stream) else r.TRADE
    row = [kind, at.i, at.seq, at.time_ns, at.venue_ns, 1, *values, trade_id, int(buyer_is_maker), int(off_book)]
    return np.array([row], np.int64)


def page_rows(trades: Sequence[Rows], *, has_holes: bool = False) -> Rows:
    """Return a page of trades, oldest first, as one message.

    Args:
        trades: The rows of each trade.
        has_holes: The venue's ids rise, but not by one: only a page that lacks the last known trade is a gap.

    """
    rows = np.concatenate([np.empty((0, COLUMNS), np.int64), *trades])
    rows[:-1, r.LAST] = 0
    if has_holes:
        marked = rows[:, r.TYPE] == r.TRADE
        rows[marked, r.TRADE_OFF_BOOK] = r.TRADE_FOLLOWS
        rows[:1][marked[:1], r.TRADE_OFF_BOOK] = r.TRADE_OF_PAGE
    return rows


def book_rows(kind: int, at: RowOrigin, ids: tuple[int, int, int], bids: list[Level], asks: list[Level]) -> Rows:
    """Return header and levels of a DIFF (first, last and previous id) or SNAPSHOT (id, 0, 0).

    One value that may not enter, and the whole message is a flag.
    """
    count = len(bids) + len(asks)
    if count > LEVELS_IN_MESSAGE_MAX:
        raise ValueError(f"{count} levels in one message, at most {LEVELS_IN_MESSAGE_MAX} are taken")
    first_id, last_id, previous_id = ids
    table = np.zeros((1 + count, COLUMNS), np.int64)
    table[:, : r.LAST] = r.LEVEL, at.i, at.seq, at.time_ns, at.venue_ns
    table[0, r.TYPE] = kind
    table[0, r.DIFF_FIRST_ID : r.DIFF_PREVIOUS_ID + 1] = first_id, last_id, count, previous_id
    values = [
        (side, r.scaled(price, at.of.price_scale), r.scaled(size, at.of.size_scale))
        for side, levels in ((r.BID, bids), (r.ASK, asks))
        for price, size in levels
    ]
    if any(price < 0 or size < 0 for _, price, size in values):
        return _bad_value(kind, at)
    if values:
        table[1:, r.LEVEL_SIDE : r.LEVEL_SIZE + 1] = values
    table[-1, r.LAST] = 1
    return table


def check_row(at: RowOrigin, checksum: int, *, style: int, levels: int, depth: int) -> Rows:
    """Return the row with the checksum of a book after a message, which it ends.

    Args:
        at: The columns that all rows share.
        checksum: As the venue states it, unsigned; -1: not stated.
        style: How the levels are written (engine/market/fold/book_checks.py).
        levels: The levels of each side that it covers.
        depth: The levels of each side that the venue keeps up to date; 0: all.

    """
    row = [r.BOOK_CHECK, at.i, at.seq, at.time_ns, at.venue_ns, 1, style, checksum, levels, depth, 0]
    return np.array([row], np.int64)


def _bad_value(kind: int, at: RowOrigin) -> Rows:
    return r.bad_value(kind, instrument=at.i, seq=at.seq, time_ns=at.time_ns, venue_ns=at.venue_ns)
