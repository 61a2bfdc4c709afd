"""The check of a book against the checksum that its venue states, and the bound of its depth.

Compiled; knows no venue. A venue's codec ends each message of a book with a BOOK_CHECK row, so venues without checksums
pay nothing. Each message is checked: a check costs about a microsecond. The prices and sizes of a book are integers at
the instrument's scales, which must be those in which the venue writes the numbers of its checksum.
"""

from typing import Final

import numpy as np

from engine.market import rows as r
from engine.market.fold.books import empty_book
from engine.market.fold.dense_book import best_levels, drop_worst
from engine.market.fold.id_gaps import note_gap
from engine.market.jit import compiled, compiled_apart
from engine.market.layout import (
    B_BIDS,
    B_GAPS,
    B_ID,
    B_SEQ,
    B_SNAPSHOT_ID,
    B_STATE,
    BOOK_BROKEN,
    BOOK_NEEDS_SNAPSHOT,
    BOOK_SYNCED,
)
from engine.market.rows import Rows

# CRC32 of the best asks, then of the best bids: price and size of each level as digits, without point or leading zeros
STYLE_DIGITS: Final = 1
LEVELS_CHECKED_MAX: Final = 100
DIGITS_MAX: Final = 20
ALL_BITS: Final = 0xFFFF_FFFF


def _crc_table() -> Rows:
    """Return the CRC32 of each byte (polynomial 0xEDB88320, as zlib has it)."""
    table = np.arange(256, dtype=np.int64)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ 0xEDB8_8320, table >> 1)
    return table


CRC_TABLE: Final = _crc_table()


@compiled
def add_digits(crc: int, value: int, scratch: Rows) -> int:
    """Return the CRC after the digits of a number above 0."""
    count = 0
    while value > 0:
        scratch[count] = value % 10
        value //= 10
        count += 1
    while count > 0:
        count -= 1
        crc = CRC_TABLE[(crc ^ (48 + scratch[count])) & 255] ^ (crc >> 8)
    return int(crc)


@compiled
def add_levels(crc: int, levels: Rows, sign: int, scratch: Rows) -> int:
    """Return the CRC after price and size of each level, best first."""
    for k in range(levels.shape[1] - 1, -1, -1):
        crc = add_digits(crc, sign * levels[0, k], scratch)
        crc = add_digits(crc, levels[1, k], scratch)
    return int(crc)


@compiled
def digits_sum(t: Rows, sides: Rows, i: int, levels: int, scratch: Rows) -> int:
    """Return the checksum of a book in STYLE_DIGITS."""
    digits = scratch[:DIGITS_MAX]
    crc = int(ALL_BITS)
    for side in (r.ASK, r.BID):
        count = min(levels, t[i, B_BIDS + side])
        best = scratch[DIGITS_MAX : DIGITS_MAX + 2 * count].reshape((2, count))
        best_levels(sides[2 * i + side], t[i, B_BIDS + side], best)
        crc = add_levels(crc, best, 1 if side == r.BID else -1, digits)
    return crc ^ ALL_BITS


@compiled_apart
def check_book(row: Rows, t: Rows, sides: Rows, pending: Rows) -> int:
    """Bound the depth of the book that a message changed, and compare its checksum; return the flags raised.

    A book that differs is lost, as one with a gap. The gap's ids are those of the snapshot and of the message that
    differs: equal ids mean that the snapshot itself differs.
    """
    i = row[r.INSTRUMENT]
    if t[i, B_STATE] != BOOK_SYNCED or t[i, B_SEQ] != row[r.SEQ]:
        return 0
    depth = row[r.BOOK_CHECK_DEPTH]
    for side in range(2):
        while depth > 0 and t[i, B_BIDS + side] > depth:
            drop_worst(sides[2 * i + side], t[i, B_BIDS + side])
            t[i, B_BIDS + side] -= 1
    levels = row[r.BOOK_CHECK_LEVELS]
    if row[r.BOOK_CHECK_SUM] < 0 or levels > LEVELS_CHECKED_MAX or row[r.BOOK_CHECK_STYLE] != STYLE_DIGITS:
        return 0
    scratch = pending[i].reshape((pending.shape[1] * pending.shape[2],))  # a synchronised book keeps no diffs
    if digits_sum(t, sides, i, levels, scratch) == row[r.BOOK_CHECK_SUM]:
        return 0
    flags = note_gap(row, t, t[i, B_SNAPSHOT_ID], row[r.SEQ], row[r.TIME_NS], t[i, B_ID])
    t[i, B_GAPS] += 1
    empty_book(t, sides, i, BOOK_BROKEN)
    return flags | BOOK_NEEDS_SNAPSHOT
