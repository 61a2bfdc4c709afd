"""The rows of decoded market messages: one 2-D int64 table, its columns and row types. Knows no venue and no state.

A message is one or more rows that share seq and time_ns; the last one has LAST = 1. Prices and sizes are integers at
the instrument's scales, never negative and never above VALUE_MAX; a message with any other value becomes a BAD_VALUE
row. The venue computes the numbers of a MARK row off the instrument's grid: they are integers at MARK_SCALE.
"""

import re
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

# Columns
TYPE: Final = 0
INSTRUMENT: Final = 1  # index in the session's list of instruments
SEQ: Final = 2
TIME_NS: Final = 3  # the record's session time
VENUE_NS: Final = 4  # event or trade time in the venue's clock; 0 if unknown
LAST: Final = 5  # 1 on the last row of its record
FIELDS: Final = 6  # from here on, the columns that depend on the row type
COLUMNS: Final = 11

# Row types, and the columns of each
QUOTE: Final = 1
QUOTE_BID: Final = 6
QUOTE_BID_SIZE: Final = 7
QUOTE_ASK: Final = 8
QUOTE_ASK_SIZE: Final = 9
QUOTE_ID: Final = 10  # update id; 0 if the venue numbers no quotes
TRADE: Final = 2
TRADE_PRICE: Final = 6
TRADE_SIZE: Final = 7
TRADE_ID: Final = 8  # -1 if the source numbers no trades; BY_TIME if it lists them by time, none twice
TRADE_BUYER_IS_MAKER: Final = 9  # 0 or 1
TRADE_OFF_BOOK: Final = 10  # 1: no order of the book took part; or one of the following
# of a polled page of a venue whose ids rise with holes: its first trade, which must have been in the page before, and
# another trade, which follows the row before it
TRADE_OF_PAGE: Final = 2
TRADE_FOLLOWS: Final = 3
DIFF: Final = 3  # the header of as many LEVEL rows
DIFF_FIRST_ID: Final = 6
DIFF_LAST_ID: Final = 7
DIFF_LEVELS: Final = 8
DIFF_PREVIOUS_ID: Final = 9  # last id of the diff before it; 0 if the venue sends none
SNAPSHOT: Final = 4  # the header of as many LEVEL rows
SNAPSHOT_ID: Final = 6
SNAPSHOT_LEVELS: Final = DIFF_LEVELS  # the same column, because the fold reads both headers
# in the last row of a snapshot: 1 if a diff that ends at the snapshot's id changes it (futures)
SNAPSHOT_EDGE: Final = 9
LEVEL: Final = 5
LEVEL_SIDE: Final = 6  # BID or ASK
LEVEL_PRICE: Final = 7
LEVEL_SIZE: Final = 8  # 0 removes the level
BAD_VALUE: Final = 6
BAD_VALUE_TYPE: Final = 6  # the row type that could not be made
MARK: Final = 7
MARK_PRICE: Final = 6
MARK_INDEX: Final = 7
MARK_SETTLE: Final = 8  # estimated settlement price
MARK_RATE: Final = 9  # of the next funding; may be negative
MARK_NEXT_NS: Final = 10  # time of the next funding

CLOCK: Final = 8  # of no message: time passed
CLOCK_END_NS: Final = 6  # the bars that end at or before it close

RETOLD: Final = 9  # of no effect: a trade that another stream of the capture reports; the columns of a TRADE

# a bar of a source that has no trades: these two rows, the bar and its end. VENUE_NS is its start, or its end
BAR: Final = 10
BAR_OPEN: Final = 6
BAR_HIGH: Final = 7
BAR_LOW: Final = 8
BAR_CLOSE: Final = 9
BAR_VOLUME: Final = 10
BAR_END: Final = 11
BAR_END_NS: Final = 6
# of the simulated venue alone: the quote at which a bar opens, or at which it has ended; the columns of a QUOTE, and
# its size is all that the bar fills
BAR_START: Final = 12

# a change by one order of an order-by-order book. A DIFF has it in place of a LEVEL row, a SNAPSHOT never
ORDER: Final = 13
ORDER_SIDE: Final = LEVEL_SIDE
ORDER_PRICE: Final = LEVEL_PRICE
ORDER_SIZE: Final = LEVEL_SIZE  # of this change, not of the level
ORDER_ID: Final = 9
ORDER_ACTION: Final = 10
ORDER_ADDED: Final = 0  # to the end of the queue at its price
ORDER_CANCELLED: Final = 1  # the order, or a part of it: the rest keeps its place
ORDER_FILLED: Final = 2  # the TRADE row is before the DIFF

# the last row of a book message of a venue that states a checksum of its books, or bounds their depth
BOOK_CHECK: Final = 15
BOOK_CHECK_STYLE: Final = 6  # how the levels are written: a STYLE of engine/market/fold/book_checks.py
BOOK_CHECK_SUM: Final = 7  # the venue's checksum of the book after the message; -1: not stated
BOOK_CHECK_LEVELS: Final = 8  # of each side that the checksum covers
BOOK_CHECK_DEPTH: Final = 9  # levels of each side that the venue keeps up to date: deeper ones are stale. 0: all

# of a link whose frames are numbered over all its channels: the number of a frame that changes no level of the
# instrument's book. It continues the ids of the book's DIFFs, and a missing number breaks the book
NUMBERED: Final = 14
NUMBERED_ID: Final = DIFF_LAST_ID

BID: Final = 0
ASK: Final = 1

MARK_SCALE: Final = 8  # decimal places of the numbers in a MARK row

BY_TIME: Final = -2  # the TRADE_ID of trades whose times rise: one that is not younger than the last is repeated

VALUE_MAX: Final = 2**53  # exact as a float64 too: JSON, SQL and indicators agree with the fold
ID_MAX: Final = 2**62

_NUMBER = re.compile(r"[+-]?[0-9]{1,60}(?:\.[0-9]{1,60})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)


def scaled(text: str, scale: int) -> int:
    """Convert a number's text to an integer at `scale`, exactly.

    Returns:
        The integer; -1 if the text is not a number, or the number is negative, off the grid or above VALUE_MAX.

    """
    if not _NUMBER.fullmatch(text):
        return -1
    sign, digits, exponent = Decimal(text).as_tuple()  # the constructor is exact under any context
    assert isinstance(exponent, int), exponent  # the pattern excludes NaN and infinity
    shift = exponent + scale
    value = int("".join(map(str, digits)))
    if shift >= 0:
        for _ in range(shift):
            value *= 10
    else:
        for _ in range(-shift):
            value, rest = divmod(value, 10)
            if rest:
                return -1
    if value > VALUE_MAX or (sign and value):
        return -1
    return value


def fitting_scale(wanted: int, least: int, largest: Decimal) -> int:
    """Return the decimals wanted, or fewer if the largest value would overflow at them; never fewer than `least`."""
    scale = wanted
    while scale > least and largest * 10**scale > VALUE_MAX:
        scale -= 1
    return max(scale, least)


def bad_value(row_type: int, *, instrument: int, seq: int, time_ns: int, venue_ns: int) -> Rows:
    """Make the row of a message with a value that may not enter the fold."""
    return np.array([[BAD_VALUE, instrument, seq, time_ns, venue_ns, 1, row_type, 0, 0, 0, 0]], np.int64)
