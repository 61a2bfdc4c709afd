"""Packed rows come back as they were, or are not packed; a changed word is noticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market import rows as r
from engine.market.packed_rows import DISTANCE_MAX, checksum, pack_rows, unpack_rows
from engine.market.rows import COLUMNS, Rows

SECOND = 10**9


def table(records: int, *, instruments: int = 2) -> Rows:
    """Return rows of two streams an instrument, some in one record; quotes have no time of the venue."""
    rows: Rows = np.zeros((records, COLUMNS), np.int64)
    numbers = np.arange(records)
    rows[:, r.TYPE] = np.where(numbers % 3, r.QUOTE, r.TRADE)
    rows[:, r.INSTRUMENT] = numbers % instruments
    rows[:, r.SEQ] = 10**12 + np.cumsum(numbers % 5 > 0)
    rows[:, r.LAST] = np.diff(rows[:, r.SEQ], append=0) != 0
    rows[:, r.TIME_NS] = 1_700_000_000 * SECOND + rows[:, r.SEQ] % 10**9 * SECOND
    rows[:, r.VENUE_NS] = np.where(numbers % 3, 0, rows[:, r.TIME_NS] - 10**7 * (1 + numbers % 7))
    rows[:, r.FIELDS :] = numbers[:, None] * [1, 3, 0, 7, 11] + [6 * 10**9, 5, 1, 0, 2**52]
    return rows


def again(rows: Rows) -> Rows:
    packed = pack_rows(rows)
    assert packed is not None
    assert len(packed) % 8 == 0
    found, ends = unpack_rows(np.frombuffer(packed, np.int64))
    assert np.array_equal(ends, np.flatnonzero(rows[:, r.LAST]) + 1)
    return found


@pytest.mark.parametrize("records", [1, 2, 129, 3000])
def test_rows_come_back_in_a_third_of_their_size(records: int) -> None:
    rows = table(records)
    rows[-1, r.LAST] = 1
    assert np.array_equal(again(rows), rows)
    assert records < 1000 or len(pack_rows(rows) or b"") < rows.nbytes * 0.4


@settings(deadline=None, max_examples=60)
@given(
    column=st.sampled_from([r.SEQ, r.TIME_NS, r.VENUE_NS, *range(r.FIELDS, COLUMNS)]),
    row=st.integers(0, 39),
    value=st.integers(-(2**62), 2**62) | st.integers(-5, 5),
)
def test_any_number_comes_back_or_the_block_is_not_packed(column: int, row: int, value: int) -> None:
    rows = table(40)
    rows[-1, r.LAST] = 1
    rows[row, column] = value
    packed = pack_rows(rows)
    if packed is not None:
        assert np.array_equal(unpack_rows(np.frombuffer(packed, np.int64))[0], rows)


def test_the_largest_distance_fits_and_a_larger_one_does_not() -> None:
    for column in (r.TIME_NS, r.FIELDS):
        rows = np.tile(table(1), (2, 1))
        rows[:, r.LAST] = 1
        rows[1, column] += DISTANCE_MAX
        assert np.array_equal(again(rows), rows)
        rows[1, column] += 1
        assert pack_rows(rows) is None
    rows[:, r.TIME_NS] = 5, 4  # time that falls
    assert pack_rows(rows) is None


def test_a_changed_word_changes_the_checksum() -> None:
    words = np.frombuffer(pack_rows(table(30)) or b"", np.int64)
    whole = checksum(words)
    for at in range(len(words)):
        damaged = words.copy()
        damaged.view(np.uint8)[8 * at + at % 8] ^= 1 << at % 7
        damaged.setflags(write=False)
        assert checksum(damaged) != whole, at
    assert checksum(words[:-1]) != whole
