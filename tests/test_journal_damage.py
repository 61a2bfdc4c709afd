"""Crashes and flipped bits: durable records are kept or their loss is reported, and a torn tail is dropped and counted."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from power_cuts import record

from analysis.sql_session import connect
from journal.disk import FileReader
from journal.errors import (
    AmbiguousSessionError,
    DamagedJournalError,
    JournalError,
    NotAJournalError,
    UnknownSessionError,
)
from journal.frames import FrameWalk
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import Recovered, recover
from journal.sessions import find_session, list_sessions, new_session_folder
from journal.verify import verify
from journal.writer import JournalWriter

OPEN = "000000000000.open"
SEALED = "000000000000.parquet"


def ends_of_frames(folder: Path) -> list[int]:
    with FileReader(folder / OPEN) as reading:
        return [frame.end for frame in FrameWalk(reading, 0)]


@pytest.mark.slow
def test_a_tail_torn_at_any_byte_is_dropped_and_counted(crashed: Path, tmp_path: Path) -> None:
    whole = (crashed / OPEN).read_bytes()
    _, second, third = ends_of_frames(crashed)
    assert third == len(whole)
    folder = tmp_path / "cut"
    folder.mkdir()
    for cut in range(second, third):
        (folder / OPEN).write_bytes(whole[:cut])
        opened = Journal.open(folder)
        assert (opened.last_seq, opened.torn_bytes) == (5, cut - second)
        if cut % 20 == 0 or cut < second + 45:  # every byte of the header, and some of the body's
            recovered = recover(folder)
            assert (recovered.last_seq, recovered.dropped_bytes) == (5, cut - second)
            assert Journal.open(folder).last_seq == 5
            (folder / SEALED).unlink()
        assert [row.seq for row in opened.records()] == [0, 1, 2, 3, 4, 5]


def test_a_second_recovery_changes_nothing_and_reports_the_same(crashed: Path) -> None:
    with (crashed / OPEN).open("ab") as file:
        file.write(b"VJ1\n torn")
    first = recover(crashed)
    files = {path.name: path.read_bytes() for path in crashed.iterdir()}
    second = recover(crashed)
    assert first.dropped_bytes == 9
    assert (first.sealed_now, second.sealed_now) == (1, 0)
    assert second == Recovered(
        last_seq=8, chain=first.chain, dropped_bytes=9, dropped_rows_known=0, was_closed=False, sealed_now=0
    )
    assert {path.name: path.read_bytes() for path in crashed.iterdir()} == files
    report = verify(crashed)
    assert (report.ok, report.closed, report.torn_bytes, report.chain) == (True, False, 9, first.chain)


def test_damage_before_a_durable_record_is_refused_and_nothing_is_changed(crashed: Path) -> None:
    data = bytearray((crashed / OPEN).read_bytes())
    data[ends_of_frames(crashed)[0] + 60] ^= 1
    (crashed / OPEN).write_bytes(data)
    (crashed / "000000000000.tmp").write_bytes(b"half a seal")
    for read in (recover, Journal.open):
        with pytest.raises(DamagedJournalError, match=r"record 3 was durable.*What to do: restore"):
            read(crashed)
    assert any("record 3 was durable" in problem for problem in verify(crashed).problems)
    assert (crashed / OPEN).read_bytes() == data
    assert (crashed / "000000000000.tmp").exists()


def test_frames_behind_a_tear_are_dropped_if_nothing_lost_was_durable(tmp_path: Path) -> None:
    """Two frames were written and not synced, and the disk kept only the second. Both are dropped and counted."""
    writer = JournalWriter.create(tmp_path / "s", sync_delay_s=60, group_delay_s=0)
    for at in range(0, 9, 3):
        writer.append_step([record(seq) for seq in range(at, at + 3)], urgent=at == 0)
        while writer.written_seq < at + 2 or (at == 0 and writer.durable_seq < 2):
            pass
    writer.abandon()
    first, second, third = ends_of_frames(tmp_path / "s")
    data = bytearray((tmp_path / "s" / OPEN).read_bytes())
    data[first : first + 100] = bytes(100)
    (tmp_path / "s" / OPEN).write_bytes(data)
    recovered = recover(tmp_path / "s")
    assert (recovered.last_seq, recovered.dropped_bytes, recovered.dropped_rows_known) == (2, third - first, 3)
    assert second < third


def test_coreutils_agree_with_the_checksums(closed: Path) -> None:
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=closed, check=False).returncode == 0


def test_a_resealed_segment_with_other_rows_breaks_the_chain(tmp_path: Path) -> None:
    """An attacker who reseals a changed segment with right checksums must reseal all later ones too."""

    def write(folder: Path, changed: int | None) -> Path:
        writer = JournalWriter.create(folder, segment_bytes=1)
        for seq in range(6):
            written = record(seq) if seq != changed else Record(seq, seq, Kind.NOTE, "m", body='"other"')
            writer.append_step([written], urgent=True)
            writer.wait_durable(seq, 60)
        writer.close()
        return folder

    ours, theirs = write(tmp_path / "ours", None), write(tmp_path / "theirs", 2)
    shutil.copy(theirs / "000000000002.parquet", ours / "000000000002.parquet")
    (ours / "SHA256SUMS").unlink()
    assert verify(ours).problems == [
        "000000000003.parquet: its chain does not continue the segment before it",
    ]


def read_all(folder: Path) -> list[Record]:
    return list(Journal.open(folder).records())


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=1)
    for seq in range(5):
        writer.append_step([record(seq)], urgent=True)
        writer.wait_durable(seq, 60)
    writer.close()
    (tmp_path / "s" / "000000000002.parquet").unlink()
    assert any("record 2 was expected" in problem for problem in verify(tmp_path / "s").problems)
    checksums = (tmp_path / "s" / "SHA256SUMS").read_bytes()
    for message in ("SHA256SUMS names 000000000002.parquet, which is missing", "records 2 to 2 are missing"):
        for read in (recover, read_all, connect):
            with pytest.raises(DamagedJournalError, match=message):
                read(tmp_path / "s")
        (tmp_path / "s" / "SHA256SUMS").unlink(missing_ok=True)  # found without it too
    (tmp_path / "s" / "SHA256SUMS").write_bytes(checksums)
    (tmp_path / "s" / "000000000004.parquet").unlink()
    assert any("names 000000000004.parquet, which is missing" in problem for problem in verify(tmp_path / "s").problems)


def test_a_missing_last_or_only_segment_is_found_by_its_checksum(closed: Path) -> None:
    (closed / SEALED).unlink()
    for read in (recover, Journal.open):
        with pytest.raises(DamagedJournalError, match=f"SHA256SUMS names {SEALED}, which is missing"):
            read(closed)
    assert verify(closed).problems == [f"SHA256SUMS: names {SEALED}, which is missing"]
    assert find_session(closed.parent, str(closed)) == closed


@pytest.mark.parametrize(
    "crash", ["before the rename", "before the checksum", "before the unlink", "sealed file damaged since"]
)
def test_a_crash_while_sealing_loses_nothing(crashed: Path, crash: str) -> None:
    kept = (crashed / OPEN).read_bytes()
    expected_chain = recover(crashed).chain
    sealed = (crashed / SEALED).read_bytes()
    (crashed / OPEN).write_bytes(kept)
    if crash == "before the rename":
        (crashed / SEALED).unlink()
        (crashed / "SHA256SUMS").unlink()
        (crashed / "000000000000.tmp").write_bytes(sealed[:1000])
    elif crash == "before the checksum":
        (crashed / "SHA256SUMS").unlink()
    elif crash == "sealed file damaged since":
        (crashed / SEALED).write_bytes(sealed[:50] + b"\xff" + sealed[51:])
    assert recover(crashed).chain == expected_chain
    assert sorted(path.name for path in crashed.iterdir()) == [SEALED, "SHA256SUMS"]
    assert list(Journal.open(crashed).records()) == [record(seq) for seq in range(9)]
    report = verify(crashed)
    assert (report.ok, report.notes) == (True, [])


@pytest.mark.parametrize("operation", [Journal.open, recover, verify])
def test_a_folder_without_a_journal_is_refused(tmp_path: Path, operation: Callable[[Path], object]) -> None:
    (tmp_path / "notes.txt").write_text("no journal")
    for folder in (tmp_path, tmp_path / "absent", tmp_path / "notes.txt"):
        with pytest.raises(NotAJournalError, match=r"What to do: ."):
            operation(folder)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 500, b"PAR1" + b"\x00" * 100 + b"PAR1"])
def test_a_file_that_only_has_a_segments_name_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SEALED).write_bytes(content)
    assert len(verify(tmp_path).problems) == 1
    for read in (Journal.open, recover):
        with pytest.raises(DamagedJournalError) as refused:
            read(tmp_path)
        assert "\n" not in str(refused.value)


def test_sessions_are_found_by_path_name_or_id(tmp_path: Path) -> None:
    first = new_session_folder(tmp_path, 1_723_161_253_937_085_768, "abcdefg2")
    second = new_session_folder(tmp_path, 1_723_161_254_000_000_000, "abcdefg3")
    assert first.name == "20240808T235413Z-abcdefg2"
    for folder in (second, first):
        JournalWriter.create(folder).close()
    (tmp_path / "something else").mkdir()
    assert [session.session_id for session in list_sessions(tmp_path)] == ["abcdefg2", "abcdefg3"]
    assert list_sessions(tmp_path / "absent") == []
    for name in (str(first), first.name, "abcdefg2"):
        assert find_session(tmp_path, name) == first
    with pytest.raises(AmbiguousSessionError, match="matches 2 sessions"):
        find_session(tmp_path, "abcd")
    with pytest.raises(UnknownSessionError, match="no session 'zzz' among the 2"):
        find_session(tmp_path, "zzz")
    with pytest.raises(NotAJournalError):
        find_session(tmp_path, str(tmp_path / "something else"))
    assert issubclass(UnknownSessionError, JournalError)
