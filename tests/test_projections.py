"""A projection equals the segment's messages decoded one by one, and is rebuilt if it was made from other input."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.kernel import rebuilder_of
from engine.market.rows import COLUMNS, LAST, SEQ, Rows
from engine.session_context import SessionContext
from journal import caches
from journal.reader import Journal
from journal.record import Kind
from journal.segments import SealedSegment
from replay import projections
from replay.projections import load_projection
from replay.row_blocks import Projection
from tests.replaying import sealed


@pytest.fixture
def segment(tmp_path: Path) -> tuple[SealedSegment, SessionContext]:
    folder = sealed(tmp_path / "s", seconds=3)
    journal = Journal.open(folder)
    return SealedSegment(journal.sealed_paths()[0]), rebuilder_of(journal.session_record()).session


def one_by_one(found: SealedSegment, program: SessionContext) -> Rows:
    rows = []
    for record in Journal.open(found.path.parent).records(kinds=[Kind.FEED]):
        if record.meta is None and record.payload is not None:
            decoded = program.venue_of(record.source).market.decode_many(
                [record.payload], np.array([record.seq]), np.array([record.time_ns])
            )
            rows += [] if decoded is None else [decoded[0]]
    return np.concatenate(rows)


def rows_of(found: Projection) -> Rows:
    return np.concatenate([rows for rows, _ in found.rows(0, found.records)])


def test_rows_are_those_of_the_messages_and_come_from_the_cache_the_second_time(
    segment: tuple[SealedSegment, SessionContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = one_by_one(*segment)
    assert len(np.unique(wanted[:, SEQ])) > 100
    assert np.array_equal(rows_of(load_projection(*segment)), wanted)
    monkeypatch.setattr(projections, "decode_frames", None)
    again = load_projection(*segment)
    assert np.array_equal(rows_of(again), wanted)
    assert again.records == len(np.unique(wanted[:, SEQ]))
    assert np.array_equal(again.seqs, np.unique(wanted[:, SEQ]))


@pytest.mark.parametrize("block_rows", [1, 7, 100, 1_000_000])
def test_blocks_hold_whole_records_and_any_part_is_that_of_the_whole(
    segment: tuple[SealedSegment, SessionContext], monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr(projections, "BLOCK_ROWS", block_rows)
    wanted = one_by_one(*segment)
    ends = np.flatnonzero(wanted[:, LAST]) + 1
    for found in (load_projection(*segment), load_projection(*segment)):  # made, and from the cache
        for first, last in ((0, len(ends)), (0, 1), (3, 4), (5, 90), (len(ends) - 1, len(ends)), (7, 7)):
            begin = int(ends[first - 1]) if first else 0
            parts = [(rows, ends + 0) for rows, ends in found.rows(first, last)]
            assert all(
                rows[ends - 1, LAST].all() and rows[:, LAST].sum() == len(ends) == len(np.unique(rows[:, SEQ]))
                for rows, ends in parts
            )
            assert np.array_equal(
                np.concatenate([np.empty((0, COLUMNS), np.int64), *(rows for rows, _ in parts)]),
                wanted[begin : int(ends[last - 1]) if last > first else begin],
            )


def test_a_damaged_cache_and_one_of_something_else_are_as_if_they_were_not_there(
    segment: tuple[SealedSegment, SessionContext],
) -> None:
    found, program = segment
    wanted = rows_of(load_projection(found, program))
    (path,) = found.path.parent.glob("rows-*.cache")
    whole = path.read_bytes()
    for at in (0, 5, 40, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        assert np.array_equal(rows_of(load_projection(found, program)), wanted), at
        assert path.read_bytes() == whole  # and was rebuilt
    path.write_bytes(whole[:50])
    assert np.array_equal(rows_of(load_projection(found, program)), wanted)
    coarser = tuple(msgspec.structs.replace(each, tick_size=each.tick_size * 10) for each in program.body.instruments)
    other = SessionContext(msgspec.structs.replace(program.body, instruments=coarser), {})
    load_projection(found, other)
    assert path.read_bytes() != whole


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    caches.save(tmp_path / "nowhere", "a", "from", b"body")
    assert caches.load(tmp_path / "nowhere", "a", "from") is None
    caches.save(tmp_path, "a", "from", b"body")
    assert caches.load(tmp_path, "a", "from") == b"body"
    assert caches.load(tmp_path, "a", "from something else") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.cache"]
