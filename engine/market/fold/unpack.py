"""Unpacks the blocks that engine/market/packed_rows.py describes, and stamps rows. Compiled; folds nothing."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.rows import Rows

HEAD: Final = 4  # words before the places of the columns
LINES: Final = HEAD + 2 * (r.COLUMNS - 3)  # the first word of the streams' lines
FROM_TIME: Final = r.COLUMNS  # in a stream's line after its columns: 1 if the venue's time counts from the time
LINE_WORDS: Final = r.COLUMNS + 1
LEAST: Final = -(2**31)  # distances are stored as signed numbers above it
_STEP: Final = 0x4A8BE9229ED9BA3A  # even: words are multiplied with odd numbers, which can be undone


@compiled
def mix_words(words: Rows) -> int:
    """Mix all words into one number; its last 64 bits count. Another word always gives another number."""
    sums = int(words.shape[0])
    for k in range(words.shape[0]):
        word = int(words[k])
        sums += (word ^ (word >> 32 & 0xFFFFFFFF)) * (k * _STEP + 1)
    return sums


@compiled
def fill_rows(words: Rows, halves: NDArray[np.int32], quarters: NDArray[np.int16], rows: Rows, ends: Rows) -> None:
    """Unpack a block, given as words, halves and quarters of words, into rows and the ends of its records."""
    streams = 4 * words[3]
    seqs = 2 * words[4]
    seqs_mask = words[5]
    times = 2 * words[6]
    times_mask = words[7]
    stamps = 2 * words[8]
    stamps_mask = words[9]
    first = 2 * words[10]
    first_mask = words[11]
    second = 2 * words[12]
    second_mask = words[13]
    third = 2 * words[14]
    third_mask = words[15]
    fourth = 2 * words[16]
    fourth_mask = words[17]
    fifth = 2 * words[18]
    fifth_mask = words[19]
    seq = words[LINES + r.SEQ]
    time_ns = words[LINES + r.TIME_NS]
    records = 0
    for k in range(rows.shape[0]):
        line = LINES + LINE_WORDS * quarters[streams + k]
        time_ns += halves[times + (k & times_mask)] - LEAST
        is_last = words[line + r.LAST]
        rows[k, r.TYPE] = words[line]
        rows[k, r.INSTRUMENT] = words[line + r.INSTRUMENT]
        rows[k, r.SEQ] = seq + halves[seqs + (k & seqs_mask)]
        rows[k, r.TIME_NS] = time_ns
        stamp = words[line + r.VENUE_NS] + halves[stamps + (k & stamps_mask)]
        rows[k, r.VENUE_NS] = stamp + words[line + FROM_TIME] * time_ns
        rows[k, r.LAST] = is_last
        rows[k, r.FIELDS] = words[line + r.FIELDS] + halves[first + (k & first_mask)]
        rows[k, r.FIELDS + 1] = words[line + r.FIELDS + 1] + halves[second + (k & second_mask)]
        rows[k, r.FIELDS + 2] = words[line + r.FIELDS + 2] + halves[third + (k & third_mask)]
        rows[k, r.FIELDS + 3] = words[line + r.FIELDS + 3] + halves[fourth + (k & fourth_mask)]
        rows[k, r.FIELDS + 4] = words[line + r.FIELDS + 4] + halves[fifth + (k & fifth_mask)]
        if is_last:
            ends[records] = k + 1
            records += 1


@compiled
def append_stamped(rows: Rows, offset_ns: int, left_out: int, table: Rows, count: int) -> int:
    """Copy rows to `table[count:]`, with the venue's stamp plus an offset as the time; return the new count.

    Rows of the type `left_out` are not copied. A row without a stamp keeps its time. A bar is stamped with its start,
    and is known at its end: with its quote, it gets the stamp of the row after it.
    """
    bar = -3  # the last one
    for k in range(rows.shape[0]):
        kind = rows[k, r.TYPE]
        if kind == left_out:
            continue
        of = k
        if kind == r.BAR:
            bar = k
            of = k + 1
        elif k - bar == 2 and not rows[k - 1, r.LAST]:
            of = k - 1
        for column in range(r.COLUMNS):
            table[count, column] = rows[k, column]
        if rows[of, r.VENUE_NS] > 0:
            table[count, r.TIME_NS] = rows[of, r.VENUE_NS] + offset_ns
        else:
            table[count, r.TIME_NS] = rows[of, r.TIME_NS]
        count += 1
    return count
