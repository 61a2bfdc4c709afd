"""One flipped bit in every byte, and files truncated, exchanged, added and removed. `verify` finds each of them.

A reader of a changed journal raises JournalError or returns true records. Recovery refuses it or keeps true records.
"""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forgetful import FOLDER, ForgetfulDisk
from power_cuts import open_segments, record

from journal.disk import FileReader
from journal.errors import DamagedJournalError, JournalError
from journal.frames import FrameWalk
from journal.reader import Journal
from journal.record import Record
from journal.recover import recover
from journal.segments import SealedSegment
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter

OPEN, SEALED, SUMS = "000000000000.open", "000000000000.parquet", "SHA256SUMS"
TRUTH = [record(seq) for seq in range(9)]


def session(disk: ForgetfulDisk, *, segment_bytes: int = 1 << 20, records: list[Record] = TRUTH) -> ForgetfulDisk:
    """Write nine records in three frames, each synced, in segments of the given size."""
    writer = JournalWriter.create(FOLDER, disk=disk, segment_bytes=segment_bytes)
    for at in range(0, 9, 3):
        writer.append_step(records[at : at + 3], urgent=True)
        writer.wait_durable(at + 2, 60)
    writer.close()
    return disk


def put(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def flips(path: Path) -> list[tuple[int, bytes]]:
    """Return the file's content with one bit flipped in each byte in turn."""
    whole = path.read_bytes()
    found = []
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        found.append((at, bytes(flipped)))
    return found


def read(folder: Path) -> list[Record] | None:
    """Return the records, or None if the journal is refused. Any other error is a traceback for the user."""
    try:
        return list(Journal.open(folder).records())
    except JournalError:
        return None


def recovered(files: dict[str, bytes]) -> int | None:
    """Return the last record after recovery, or None if recovery refused and changed nothing."""
    disk = ForgetfulDisk({**files, "000000000009.tmp": b"half a seal"})
    before = disk.contents()
    try:
        return recover(FOLDER, disk=disk).last_seq
    except DamagedJournalError:
        assert disk.contents() == before
        return None


@pytest.mark.slow
def test_a_flipped_bit_of_an_open_segment_is_damage_or_a_torn_tail(crashed: Path) -> None:
    """Frames that a later frame states as durable are damage. The last frame has no later one, so it counts as torn."""
    path = crashed / OPEN
    whole = path.read_bytes()
    with FileReader(path) as reading:
        second = [frame.end for frame in FrameWalk(reading, 0)][1]
    for at, flipped in flips(path):
        path.write_bytes(flipped)
        report, found = verify(crashed), read(crashed)
        if at < second:
            assert not report.ok, at
            assert found is None, at
            assert recovered({OPEN: flipped}) is None, at
        else:
            assert report.torn_bytes == len(whole) - second, at
            assert found == TRUTH[:6], at
            assert at % 50 or recovered({OPEN: flipped}) == 5, at
        with suppress(DamagedJournalError):
            assert (followed := Follower(crashed).poll()) == TRUTH[: len(followed)], at


@pytest.mark.slow
def test_a_flipped_bit_of_a_sealed_file_is_found(closed: Path) -> None:
    """With SHA256SUMS every flip is found; without it every flip that changes the records."""
    path, sums = closed / SEALED, (closed / SUMS).read_bytes()
    for at, flipped in flips(path):
        path.write_bytes(flipped)
        assert not verify(closed).ok, at
        assert at % 2 or read(closed) in (None, TRUTH), at
        if at % 7 == 0:
            assert recovered({SEALED: flipped, SUMS: sums}) in (None, 8), at
            (closed / SUMS).unlink()
            assert not verify(closed).ok or read(closed) == TRUTH, at
            (closed / SUMS).write_bytes(sums)


@pytest.mark.slow
def test_a_row_that_points_beyond_its_dictionary_is_damage(closed: Path) -> None:
    """A flipped bit can shorten a dictionary, and Parquet's checksums do not cover its length."""
    path, refused = closed / SEALED, 0
    whole = path.read_bytes()
    for at in range(100, 300):
        for mask in (32, 128):
            flipped = bytearray(whole)
            flipped[at] ^= mask
            path.write_bytes(flipped)
            refused += read(closed) is None
    assert refused > 100


@pytest.mark.slow
def test_a_damaged_footer_does_not_end_the_process(closed: Path) -> None:
    """pyarrow ends the process on column statistics with a histogram of the wrong length."""
    path, met = closed / SEALED, 0
    whole = path.read_bytes()
    for at in range(len(whole) - 8 - int.from_bytes(whole[-8:-4], "little"), len(whole) - 8):
        flipped = bytearray(whole)
        flipped[at] ^= 64
        try:
            list(SealedSegment(path, bytes(flipped)).batches())
        except DamagedJournalError as error:
            if "histogram" in error.where:
                path.write_bytes(flipped)
                assert any("cannot be read" in problem for problem in verify(closed).problems)
                with suppress(DamagedJournalError):  # where it is another column's
                    assert Journal.open(closed).seq_at(4) == 4
                met += 1
    assert met > 2


@pytest.mark.slow
def test_a_flipped_bit_of_the_checksums_is_found(closed: Path) -> None:
    whole = (closed / SUMS).read_bytes()
    assert re.fullmatch(rb"[0-9a-f]{64}  000000000000\.parquet\n", whole)
    for at, flipped in flips(closed / SUMS)[:-1]:
        (closed / SUMS).write_bytes(flipped)
        report = verify(closed)
        assert not report.ok or report.notes, at
        assert read(closed) in (None, TRUTH), at


@pytest.mark.slow
@pytest.mark.parametrize("without_sums", [False, True])
def test_a_sealed_file_cut_short_anywhere_is_damage(closed: Path, *, without_sums: bool) -> None:
    whole, sums = (closed / SEALED).read_bytes(), {} if without_sums else {SUMS: (closed / SUMS).read_bytes()}
    if without_sums:
        (closed / SUMS).unlink()
    for size in range(0, len(whole), 7):
        (closed / SEALED).write_bytes(whole[:size])
        assert not verify(closed).ok, size
        assert read(closed) is None, size
        assert recovered({SEALED: whole[:size], **sums}) is None, size


def check_found(files: dict[str, bytes], folder: Path) -> None:
    """Check that every reader of the whole journal refuses it, with and without SHA256SUMS."""
    for kept in (files, {name: data for name, data in files.items() if name != SUMS}):
        shutil.rmtree(folder, ignore_errors=True)
        put(kept, folder)
        assert not verify(folder).ok, kept.keys()
        assert recovered(kept) is None, kept.keys()
        assert read(folder) is None, kept.keys()


Kept = Callable[[ForgetfulDisk], dict[str, bytes]]


def all_open(disk: ForgetfulDisk) -> dict[str, bytes]:
    return open_segments(disk.done)


def all_sealed(disk: ForgetfulDisk) -> dict[str, bytes]:
    return disk.contents()


KEPT = pytest.mark.parametrize("kept", [all_open, all_sealed])


@KEPT
def test_segments_that_change_their_names_are_found(tmp_path: Path, kept: Kept) -> None:
    files = kept(session(ForgetfulDisk(), segment_bytes=1))
    names = sorted(files.keys() - {SUMS})
    assert len(names) == 3
    for one, other in combinations(names, 2):
        check_found({**files, one: files[other], other: files[one]}, tmp_path / "s")


@KEPT
def test_a_removed_segment_is_found(tmp_path: Path, kept: Kept) -> None:
    """The last open segment is the exception, because nothing names it. A sealed one is named in SHA256SUMS."""
    files = kept(session(ForgetfulDisk(), segment_bytes=1))
    for gone in sorted(files.keys() - {SUMS})[:-1]:
        check_found({name: data for name, data in files.items() if name != gone}, tmp_path / "s")


def test_rows_that_are_not_those_of_the_footer_are_found(closed: Path) -> None:
    """The file was rewritten with one row changed, right page checksums and the old footer."""
    path = closed / SEALED
    table, footer = pq.read_table(path), pq.read_metadata(path).metadata
    rows = table.to_pylist()
    rows[4]["time_ns"] += 1
    kept = {key.decode(): value.decode() for key, value in footer.items() if key.startswith(b"journal.")}
    with pq.ParquetWriter(path, table.schema, use_dictionary=["kind", "source"], write_page_checksum=True) as parquet:
        parquet.write_table(pa.Table.from_pylist(rows, table.schema))
        parquet.add_key_value_metadata(kept)
    (closed / SUMS).unlink()
    assert verify(closed).problems == [f"{SEALED}: the rows up to record 8 do not have the hash that the footer states"]


def test_a_segment_of_another_session_is_found(tmp_path: Path) -> None:
    """It is sealed, intact and has as many records, but continues another chain."""
    ours = session(ForgetfulDisk(), segment_bytes=1).contents()
    other = [msgspec.structs.replace(record(seq), source="x") for seq in range(9)]
    theirs = session(ForgetfulDisk(), segment_bytes=1, records=other).contents()
    for name in sorted(ours.keys() - {SUMS}):
        check_found({**ours, name: theirs[name]}, tmp_path / "s")
