"""Packed rows come back as they were, or are not packed; a changed word is noticed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market import rows as r
from engine.market.packed_rows import DISTANCE_MAX, checksum, pack_rows, unpack_rows
from engine.market.rows import COLUMNS, Rows
from journal.record import Kind, Record
from replay.row_blocks import BLOCK_ROWS_MIN, Projection, decode, encode, facts_of, rows_by_stamp

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


# ---- blocks that cannot be packed whole


def through_a_cache(rows: Rows) -> tuple[Projection, int]:
    """Return a projection of one block after it was encoded and decoded, and the number of its blocks then."""
    ends = np.flatnonzero(rows[:, r.LAST]) + 1
    facts = np.array([[0, rows[0, r.SEQ], *facts_of(rows)]])
    made = Projection(facts, len(ends), np.array([[5, 0], [6, 0]]), lambda _: (rows, ends))
    made.stored_others = [Record(5, 1, Kind.FEED, "a", payload=b"snapshot"), Record(6, 2, Kind.LINK, "a", body="{}")]
    index, blocks = encode(made)
    read = decode(memoryview(index), memoryview(b"".join(blocks)), lambda: made)
    assert read.stored_others == made.stored_others
    assert (read.other_seqs.tolist(), read.other_places.tolist()) == ([5, 6], [0, 0])
    assert np.array_equal(np.concatenate([part for part, _ in read.rows(0, read.records)]), rows)
    assert [read.count_before(int(seq)) for seq in rows[ends[::97] - 1, r.SEQ]] == list(range(0, len(ends), 97))
    return read, len(blocks)


def single_records(count: int) -> Rows:
    rows = table(count)
    rows[:, r.LAST] = 1
    rows[:, r.SEQ] = np.arange(count)
    rows[:, r.TIME_NS] = rows[0, r.TIME_NS] + np.arange(count) * SECOND
    rows[:, r.VENUE_NS] = 0
    return rows


@pytest.mark.parametrize("jump", [BLOCK_ROWS_MIN + 1, 1000, 2999])
def test_a_jump_of_ids_begins_a_part(jump: int) -> None:
    rows = single_records(3000)
    assert through_a_cache(rows)[1] == 1
    rows[jump:, r.QUOTE_ID] += 2**40
    read, blocks = through_a_cache(rows)
    assert blocks == 2
    assert [part.records for part in read.parts(0, 3000)] == [jump, 3000 - jump]
    assert [part.records for part in read.parts(jump - 1, jump + 1)] == [1, 1]


def test_a_quiet_market_is_compressed_in_one_part() -> None:
    rows = single_records(3000)
    rows[:, r.TIME_NS] = np.arange(3000) * 60 * SECOND
    assert through_a_cache(rows)[1] == 1


# ---- the order of the venue's stamps


@pytest.mark.parametrize("stale", [None, 900, 2999])  # a message with a stamp from before all others
@pytest.mark.parametrize("left_out", [r.QUOTE, -1])
def test_blocks_in_the_order_of_stamps_are_as_all_rows_sorted(left_out: int, stale: int | None) -> None:
    rows = single_records(3000)
    rows[:, r.TIME_NS] = 10**18 + np.arange(3000) // 4 * SECOND
    trades = rows[:, r.TYPE] == r.TRADE
    rows[trades, r.VENUE_NS] = rows[trades, r.TIME_NS] - np.arange(1000) * 7 % 40 * SECOND - 3 * SECOND
    if stale is not None:
        rows[stale, r.VENUE_NS] = 5 * SECOND
    ends = np.arange(1, 3001)
    cuts = [0, 257, 702, 1501, 2200, 3000]  # rows of one time are in two blocks
    facts = [[a, rows[a, r.SEQ], *facts_of(rows[a:b])] for a, b in pairwise(cuts)]
    blocks = [(rows[a:b], ends[: b - a]) for a, b in pairwise(cuts)]
    parts = list(Projection(np.array(facts), 3000, np.empty((0, 2), np.int64), blocks.__getitem__).parts(100, 2900))
    found = list(rows_by_stamp(parts, 3 * SECOND, left_out))
    kept = rows[100:2900][rows[100:2900, r.TYPE] != left_out]
    kept[:, r.TIME_NS] = np.where(kept[:, r.VENUE_NS] > 0, kept[:, r.VENUE_NS] + 3 * SECOND, kept[:, r.TIME_NS])
    assert np.array_equal(np.concatenate(found), kept[np.argsort(kept[:, r.TIME_NS], kind="stable")])
    assert len(found) > 1 or stale in range(2200, 2900)
