"""The rows that every market message becomes: one 2-D int64 table, its columns and row types. Knows no venue and no state.

A message is one or more rows that share seq and time_ns; the last one has LAST = 1. Prices and sizes are integers at the
instrument's own scales, never negative and never above VALUE_MAX: what does not fit is a BAD_VALUE row instead. What is in
a MARK row is computed, so lies on no grid of the instrument: its numbers are at MARK_SCALE.
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
VENUE_NS: Final = 4  # event or trade time in the venue's clock; 0 where none
LAST: Final = 5  # 1 on the last row of its record
A: Final = 6
B: Final = 7
C: Final = 8
D: Final = 9
E: Final = 10
COLUMNS: Final = 11

# Row types and what A ... E hold
QUOTE: Final = 1  # bid, bid size, ask, ask size, update id (0 where the venue numbers none)
TRADE: Final = 2  # price, size, trade id, buyer is maker (0 or 1), off book (1: no order of the book took part in it)
DIFF: Final = 3  # first update id U, last update id u, number of LEVEL rows that follow, id before it pu (0: none told)
SNAPSHOT: Final = 4  # last update id, 0, number of LEVEL rows that follow
LEVEL: Final = 5  # side (BID or ASK), price, size (0 removes)
BAD_VALUE: Final = 6  # the row type that could not be made
MARK: Final = (
    7  # mark price, index price, estimated settlement price, funding rate (may be negative), next funding in ns
)

BID: Final = 0
ASK: Final = 1

MARK_SCALE: Final = 8  # decimal places of what is in a MARK row

VALUE_MAX: Final = 2**53  # also exact as a float64, so that JSON, SQL and indicators agree with the fold
ID_MAX: Final = 2**62

_NUMBER = re.compile(r"[+-]?[0-9]{1,60}(?:\.[0-9]{1,60})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)


def scaled(text: str, scale: int) -> int:
    """The number as an integer at `scale`; -1 if it is none, is negative, off the grid or above VALUE_MAX. Slow and exact."""
    if not _NUMBER.fullmatch(text):
        return -1
    sign, digits, exponent = Decimal(text).as_tuple()  # the constructor is exact whatever the context says
    assert isinstance(exponent, int), exponent  # the pattern lets neither NaN nor infinity through
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


def bad_value(row_type: int, *, instrument: int, seq: int, time_ns: int, venue_ns: int) -> Rows:
    """The flag that stands for a message with a value that may not enter."""
    return np.array([[BAD_VALUE, instrument, seq, time_ns, venue_ns, 1, row_type, 0, 0, 0, 0]], np.int64)
