"""Repair of a damaged journal: the records before the damage make a new one, and no byte of the old one changes."""

import os
import subprocess
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from journal import seal
from journal.disk import FileReader
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.frames import FrameWalk
from journal.reader import Journal
from journal.record import Kind, Record
from journal.repair import repair
from journal.sealer import Sealer
from journal.signing import Signer
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter
from verbatim.cli import main

RECORDS = [Record(seq, seq * 10, Kind.FEED, "m", recv_ns=seq, payload=b"%06d" % seq * 9) for seq in range(100)]


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(seal, "GROUP_ROWS", 8)
    return write(tmp_path / "s", close=True)


def write(folder: Path, *, close: bool, segment_bytes: int = 5000) -> Path:
    writer = JournalWriter.create(folder, segment_bytes=segment_bytes)
    for record in RECORDS:
        writer.append_step([record], urgent=record.seq % 5 == 4)
        if record.seq % 5 == 4:
            writer.wait_durable(record.seq, 60)
    if close:
        writer.close()
    else:
        writer.abandon()
    return folder


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 8
    path.write_bytes(data)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_whole_journal_is_copied_byte_for_byte(sealed: Path, tmp_path: Path) -> None:
    done = repair(sealed, tmp_path / "new")
    assert (done.last_seq, done.proved_seq, done.damage) == (99, 99, "")
    assert content(tmp_path / "new") == content(sealed)


def test_records_before_a_damaged_page_are_kept_and_none_behind_it(sealed: Path, tmp_path: Path) -> None:
    paths = sorted(sealed.glob("*.parquet"))
    assert len(paths) >= 3
    payloads = pq.read_metadata(paths[1]).row_group(1).column(8)
    flip(paths[1], payloads.data_page_offset + payloads.total_compressed_size - 3)
    before = content(sealed)
    (problem, *_) = verify(sealed).problems
    assert problem.startswith(paths[1].name)
    done = repair(sealed, tmp_path / "new")
    first = int(paths[1].stem)
    assert done.proved_seq == first - 1
    assert first <= done.last_seq < int(paths[2].stem) - 1
    assert done.damage.startswith(f"{paths[1].name}: row group")
    assert list(Journal.open(tmp_path / "new").records()) == RECORDS[: done.last_seq + 1]
    report = verify(tmp_path / "new")
    assert (report.problems, report.closed, report.records) == ([], False, done.last_seq + 1)
    assert content(sealed) == before


def test_a_file_with_intact_rows_is_rewritten_under_the_same_chain(sealed: Path, tmp_path: Path) -> None:
    """A flipped byte in the footer's statistics would mislead a query, so it must not get a new checksum."""
    last = max(sealed.glob("*.parquet"))
    flip(last, last.read_bytes().rindex(b"%06d" % 99 * 9))
    assert "its bytes do not have the checksum" in verify(sealed).problems[0]
    done = repair(sealed, tmp_path / "new")
    assert (done.last_seq, done.damage) == (99, "")
    report = verify(tmp_path / "new")
    assert (report.problems, report.closed, report.chain) == ([], False, verify(sealed).chain)
    assert (tmp_path / "new" / last.name).read_bytes() != last.read_bytes()


def test_a_missing_segment_ends_it(sealed: Path, tmp_path: Path) -> None:
    second = sorted(sealed.glob("*.parquet"))[1]
    second.unlink()
    done = repair(sealed, tmp_path / "new")
    assert done.last_seq == done.proved_seq == int(second.stem) - 1
    assert "are missing" in done.damage
    assert verify(tmp_path / "new").ok


@pytest.mark.parametrize("place", ["frame", "tear"])
def test_an_open_segment_is_sealed_up_to_its_damage(tmp_path: Path, place: str) -> None:
    folder = write(tmp_path / "s", close=False, segment_bytes=1 << 20)
    (opened,) = folder.glob("*.open")
    with FileReader(opened) as reading:
        _, _, third, fourth, *_ = [frame.end for frame in FrameWalk(reading, 0)]
    if place == "frame":
        flip(opened, fourth - 1)  # which later frames call durable
    else:
        opened.write_bytes(opened.read_bytes()[: fourth - 1])
    before = content(folder)
    done = repair(folder, tmp_path / "new")
    assert done.damage == f"{opened.name}: the frame at byte {third} is not whole"
    assert (done.last_seq, done.proved_seq) == (14, -1)
    assert list(Journal.open(tmp_path / "new").records()) == RECORDS[:15]
    assert verify(tmp_path / "new").ok
    assert content(folder) == before


def test_every_open_segment_that_is_whole_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed writer may leave several if its sealer was behind; here the sealer never runs."""
    monkeypatch.setattr(Sealer, "_seal_all", lambda _: None)
    folder = write(tmp_path / "s", close=False)
    assert len(list(folder.glob("*.open"))) > 2
    done = repair(folder, tmp_path / "new")
    assert (done.last_seq, done.damage) == (99, "")
    assert list(Journal.open(tmp_path / "new").records()) == RECORDS
    assert verify(tmp_path / "new").ok


def test_a_refused_repair_is_one_line(sealed: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalFailedError, match="exists already"):
        repair(sealed, sealed)
    with pytest.raises(NotAJournalError):
        repair(tmp_path, tmp_path / "new")
    first = min(sealed.glob("*.parquet"))
    flip(first, 500)  # nothing is whole before it
    with pytest.raises(NotAJournalError, match="has no intact record"):
        repair(sealed, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_repairs_elsewhere_and_still_reports_damage(sealed: Path, tmp_path: Path) -> None:
    flip(sorted(sealed.glob("*.parquet"))[1], 500)
    ended = CliRunner().invoke(main, ["verify", str(sealed), "--repair", str(tmp_path / "new")])
    assert ended.exit_code == 1
    assert "repair: records 0 to" in ended.stderr
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "new")]).exit_code == 0
    again = CliRunner().invoke(main, ["verify", str(sealed), "--repair", str(tmp_path / "new")])
    assert again.exit_code == 3
    assert "exists already" in again.stderr


def test_crashed_sessions_are_recovered_and_merged_by_command(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", close=False)
    refused = CliRunner().invoke(main, ["merge", str(folder)])
    assert (refused.exit_code, "verbatim recover" in refused.stderr) == (4, True)
    done = CliRunner().invoke(main, ["recover", str(folder)])
    assert done.stdout.startswith("recover: sealed up to record 99 (not closed)")
    merged = CliRunner().invoke(main, ["merge", str(folder)])
    assert "to 1 segments" in merged.stdout
    assert verify(folder).ok


def test_a_follower_reports_that_the_next_record_is_damaged_or_missing(sealed: Path, tmp_path: Path) -> None:
    """Otherwise it would wait forever, and its user would believe that nothing happens."""
    folder = write(tmp_path / "open", close=False, segment_bytes=1 << 20)
    (opened,) = folder.glob("*.open")
    with FileReader(opened) as reading:
        _, second, *_ = [frame.end for frame in FrameWalk(reading, 0)]
    flip(opened, second + 50)
    follower = Follower(folder)
    assert follower.poll() == RECORDS[:10]
    with pytest.raises(DamagedJournalError, match=r"record 10 was durable .* byte \d+ is not whole"):
        follower.poll()
    second_segment = sorted(sealed.glob("*.parquet"))[1]
    second_segment.unlink()
    follower = Follower(sealed)
    assert follower.poll() == RECORDS[: int(second_segment.stem)]
    with pytest.raises(DamagedJournalError, match=f"record {int(second_segment.stem)} and later records are missing"):
        follower.poll()


def test_a_follower_waits_for_a_frame_that_is_being_written(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", close=False, segment_bytes=1 << 20)
    (opened,) = folder.glob("*.open")
    data = opened.read_bytes()
    opened.write_bytes(data[:-10])
    follower = Follower(folder)
    assert follower.poll() == RECORDS[:95]
    assert follower.poll() == []
    with opened.open("ab") as file:
        file.write(data[-10:])
    assert follower.poll() == RECORDS[95:]


def test_recover_signs_with_the_key_it_is_given(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    folder = write(tmp_path / "s", close=False)
    key.chmod(0o644)
    refused = CliRunner().invoke(main, ["recover", str(folder), "--signing-key", str(key)])
    assert (refused.exit_code, "can be read by other users" in refused.stderr) == (3, True)
    key.chmod(0o600)
    assert CliRunner().invoke(main, ["recover", str(folder), "--signing-key", str(key)]).exit_code == 0
    public = Signer.from_pem(key.read_bytes()).public_key
    assert CliRunner().invoke(main, ["verify", str(folder), "--signer", public]).exit_code == 0


def swapped(tmp_path: Path, sealed: Path) -> Path:
    """Replace the second segment by an intact one of another session with as many records."""
    other = tmp_path / "other"
    writer = JournalWriter.create(other, segment_bytes=5000)
    for record in RECORDS:
        writer.append_step([msgspec.structs.replace(record, source="x")], urgent=record.seq % 5 == 4)
        if record.seq % 5 == 4:
            writer.wait_durable(record.seq, 60)
    writer.close()
    second = sorted(sealed.glob("*.parquet"))[1]
    assert (other / second.name).exists()
    second.write_bytes((other / second.name).read_bytes())
    return second


def test_a_segment_of_another_session_is_not_repaired_into_this_one(sealed: Path, tmp_path: Path) -> None:
    second = swapped(tmp_path, sealed)
    done = repair(sealed, tmp_path / "new")
    assert done.damage == f"{second.name}: it is intact, but continues another journal"
    assert done.last_seq == done.proved_seq == int(second.stem) - 1
    assert list(Journal.open(tmp_path / "new").records()) == RECORDS[: done.last_seq + 1]
    follower = Follower(sealed)
    assert follower.poll() == RECORDS[: int(second.stem)]
    with pytest.raises(DamagedJournalError, match="its chain does not continue the segment before it"):
        follower.poll()


def test_a_follower_reports_that_an_open_segment_lacks_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sealer, "_seal_all", lambda _: None)
    folder = write(tmp_path / "s", close=False)
    first = min(folder.glob("*.open"))
    with FileReader(first) as reading:
        end = next(frame.end for frame in FrameWalk(reading, 0))
    whole = first.read_bytes()
    for kept in (end, 0):
        first.write_bytes(whole[:kept])
        follower = Follower(folder)
        if kept:
            assert follower.poll() == RECORDS[:5]
        with pytest.raises(DamagedJournalError, match=f"but the frame at byte {kept} is not whole"):
            follower.poll()


def test_a_follower_notices_that_the_last_segment_is_missing(sealed: Path) -> None:
    last = max(sealed.glob("*.parquet"))
    last.unlink()
    follower = Follower(sealed)
    assert follower.poll() == RECORDS[: int(last.stem)]
    with pytest.raises(DamagedJournalError, match=f"record {int(last.stem)} and later records are missing"):
        follower.poll()


def test_a_folder_or_pipe_in_place_of_a_file_is_damage_and_never_blocks(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", close=True)
    (folder / "000000000100.open").mkdir()
    follower = Follower(folder)
    assert follower.poll() == RECORDS
    with pytest.raises(DamagedJournalError, match="record 100 cannot be read"):
        follower.poll()
    (folder / "000000000100.open").rmdir()
    os.mkfifo(folder / "000000000100.open")
    assert CliRunner().invoke(main, ["verify", str(folder)]).exit_code == 1
    assert CliRunner().invoke(main, ["recover", str(folder)]).exit_code != 0


def test_repair_stays_out_of_the_damaged_journal(sealed: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalFailedError, match="is inside the damaged journal"):
        repair(sealed, sealed / "new")
    empty = JournalWriter.create(tmp_path / "empty")
    empty.close()
    assert repair(tmp_path / "empty", tmp_path / "as-empty").last_seq == -1


def test_a_malformed_public_key_is_refused(sealed: Path) -> None:
    for key in ("", "zz", " " + "0" * 63):
        assert CliRunner().invoke(main, ["verify", str(sealed), "--signer", key]).exit_code == 2
