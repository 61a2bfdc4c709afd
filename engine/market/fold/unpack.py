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
RUN_NS: Final = 0  # the columns of a table of runs
RUN_BEGIN: Final = 1
RUN_END: Final = 2
RUN_FIELDS: Final = 3
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
def fill_rows(words: Rows, halves: NDArray[np.int32], quarters: NDArray[np.uint16], rows: Rows, ends: Rows) -> None:
    """Unpack a block, given as words, halves and quarters of words, into rows and the ends of its records."""
    lines = words[LINES : LINES + LINE_WORDS * words[2]].reshape((words[2], LINE_WORDS))
    streams = quarters[4 * words[3] :]  # unsigned, and slices in place of sums: no index can be negative
    seqs, seqs_mask = halves[2 * words[4] :], words[5]
    times, times_mask = halves[2 * words[6] :], words[7]
    stamps, stamps_mask = halves[2 * words[8] :], words[9]
    first, first_mask = halves[2 * words[10] :], words[11]
    second, second_mask = halves[2 * words[12] :], words[13]
    third, third_mask = halves[2 * words[14] :], words[15]
    fourth, fourth_mask = halves[2 * words[16] :], words[17]
    fifth, fifth_mask = halves[2 * words[18] :], words[19]
    seq = lines[0, r.SEQ]
    time_ns = lines[0, r.TIME_NS]
    records = 0
    for k in range(rows.shape[0]):
        line = lines[streams[k]]
        row = rows[k]
        time_ns += times[k & times_mask] - LEAST
        is_last = line[r.LAST]
        row[r.TYPE] = line[r.TYPE]
        row[r.INSTRUMENT] = line[r.INSTRUMENT]
        row[r.SEQ] = seq + seqs[k & seqs_mask]
        row[r.TIME_NS] = time_ns
        row[r.VENUE_NS] = line[r.VENUE_NS] + stamps[k & stamps_mask] + line[FROM_TIME] * time_ns
        row[r.LAST] = is_last
        row[r.FIELDS] = line[r.FIELDS] + first[k & first_mask]
        row[r.FIELDS + 1] = line[r.FIELDS + 1] + second[k & second_mask]
        row[r.FIELDS + 2] = line[r.FIELDS + 2] + third[k & third_mask]
        row[r.FIELDS + 3] = line[r.FIELDS + 3] + fourth[k & fourth_mask]
        row[r.FIELDS + 4] = line[r.FIELDS + 4] + fifth[k & fifth_mask]
        if is_last:
            ends[records] = k + 1
            records += 1


@compiled
def add_runs(rows: Rows, offset_ns: int, left_out: int, before: int, runs: Rows, count: int) -> int:
    """Add runs of rows that get one time: the venue's stamp plus an offset; return the new number of runs.

    A run is a time, a first row and one past the last. They are counted with the rows `before`, which have other runs.
    Rows of the type `left_out` are in no run. A row without a stamp keeps its time. A bar is stamped with its start,
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
        time_ns = rows[of, r.VENUE_NS] + offset_ns if rows[of, r.VENUE_NS] > 0 else rows[of, r.TIME_NS]
        if k == 0 or count == 0 or runs[count - 1, RUN_NS] != time_ns or runs[count - 1, RUN_END] != before + k:
            runs[count, RUN_NS] = time_ns
            runs[count, RUN_BEGIN] = before + k
            count += 1
        runs[count - 1, RUN_END] = before + k + 1
    return count


@compiled
def add_timed_runs(rows: Rows, runs: Rows) -> int:
    """Begin a table of runs with rows that have their times; return the number of runs."""
    count = 0
    for k in range(rows.shape[0]):
        if k == 0 or runs[count - 1, RUN_NS] != rows[k, r.TIME_NS]:
            runs[count, RUN_NS] = rows[k, r.TIME_NS]
            runs[count, RUN_BEGIN] = k
            count += 1
        runs[count - 1, RUN_END] = k + 1
    return count


@compiled
def copy_run(rows: Rows, begin: int, end: int, time_ns: int, table: Rows, count: int) -> None:
    """Copy rows to `table[count:]` with another time."""
    for k in range(begin, end):
        for column in range(r.COLUMNS):
            table[count + k - begin, column] = rows[k, column]
        table[count + k - begin, r.TIME_NS] = time_ns


@compiled
def copy_runs(
    runs: Rows, order: NDArray[np.int64], until_ns: int, before: Rows, rows: Rows, table: Rows
) -> tuple[int, int]:
    """Copy two tables of rows into a third one in the order of runs; return how many come by `until_ns`, and all."""
    count = done = 0
    for n in range(order.shape[0]):
        time_ns, begin, end = runs[order[n], RUN_NS], runs[order[n], RUN_BEGIN], runs[order[n], RUN_END]
        if begin < before.shape[0]:
            copy_run(before, begin, end, time_ns, table, count)
        else:
            copy_run(rows, begin - before.shape[0], end - before.shape[0], time_ns, table, count)
        count += end - begin
        if time_ns <= until_ns:
            done = count
    return done, count


@compiled
def is_sizeless(rows: Rows) -> bool:
    """Return True if a quote or a trade among the rows has no size."""
    for k in range(rows.shape[0]):
        kind = rows[k, r.TYPE]
        if kind == r.QUOTE and rows[k, r.QUOTE_BID_SIZE] + rows[k, r.QUOTE_ASK_SIZE] == 0:
            return True
        if kind == r.TRADE and rows[k, r.TRADE_SIZE] == 0:
            return True
    return False
