"""Retention, archives and exports of journals, by command."""

import base64
import csv
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from s3_server import KEY, SECRET, s3_server

from engine.live.clock import SessionClock
from engine.live.previous_session import restore_previous
from engine.live.session_config import SessionConfig
from engine.live.venue_access import VenueAccess
from engine.session_record import ClockSettings, PreviousSession, SessionBody, VenueSettings
from journal import archive as archiving
from journal.archive import reason_not_archived
from journal.archive_location import open_location
from journal.merge import merge
from journal.reader import Journal
from journal.record import Kind, Record, canonical
from journal.retention import PRUNED_SUFFIX
from journal.sessions import list_sessions, new_session_folder
from journal.verify import verify
from journal.writer import JournalWriter
from verbatim.cli import main
from verbatim.exit_codes import BAD_INPUT, DIFFERS, FAILED, USAGE

DAY_S = 86_400


def verbatim(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def output_of(result: Result, code: int = 0) -> str:
    """Return everything that a command printed, which never contains a traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def make_session(
    root: Path,
    letter: str,
    *,
    days: int,
    account: str = "main",
    after: str = "",
    close: bool = True,
    records: int = 60,
) -> Path:
    """Write a session whose id is a letter eight times, `days` ago, as the successor of `after`."""
    began_ns = time.time_ns() - days * DAY_S * 10**9
    folder = new_session_folder(root, began_ns, letter * 8)
    previous = PreviousSession(after * 8, 59, "c" * 64) if after else None
    body = SessionBody(
        letter * 8, began_ns, ClockSettings(), 1, "", {}, (VenueSettings(),), (), (), account=account, previous=previous
    )
    writer = JournalWriter.create(folder, segment_bytes=2_000)
    for seq in range(records):
        first = {"body": canonical(body)} if seq == 0 else {"payload": f"{letter} {seq} ".encode() * 20}
        writer.append_step([Record(seq, began_ns + seq, Kind.FEED if seq else Kind.SESSION, "m", **first)], urgent=True)
        if seq % 10 == 0:
            writer.wait_durable(seq, 60)
    if close:
        writer.close()
    else:
        writer.abandon()
    set_age(folder, days)
    return folder


def set_age(folder: Path, days: int) -> None:
    for path in folder.iterdir():
        os.utime(path, (time.time() - days * DAY_S,) * 2)


def ids(root: Path) -> str:
    return "".join(found.session_id[0] for found in list_sessions(root))


# ---- retention -----------------------------------------------------------------------------------------


def test_the_oldest_sessions_go_whole_and_the_first_kept_one_is_the_new_anchor(tmp_path: Path) -> None:
    make_session(tmp_path, "a", days=200)
    make_session(tmp_path, "b", days=150, after="a")
    kept = make_session(tmp_path, "c", days=50, after="b")
    make_session(tmp_path, "d", days=1, after="c")
    (tmp_path / "notes").mkdir()
    (tmp_path / f"notes{PRUNED_SUFFIX}").mkdir()
    output = output_of(verbatim("prune", "--older-than", "90d", "--journals", tmp_path))
    assert "prune: would delete 2 sessions" in output
    assert output.count("would be deleted") == 2
    assert f"new anchor: {kept.name} names bbbbbbbb before it, last record 59, chain {'c' * 64}" in output
    assert ids(tmp_path) == "abcd", "it was only listed"
    output = output_of(verbatim("prune", "--older-than", "90d", "--yes", "--journals", tmp_path))
    assert output.splitlines()[-1].startswith("prune: 2 sessions")
    assert ids(tmp_path) == "cd"
    assert sorted(path.name for path in tmp_path.iterdir() if "-" not in path.name) == [
        "notes",
        f"notes{PRUNED_SUFFIX}",
    ]
    assert all(verify(found.path).ok for found in list_sessions(tmp_path))


def test_a_size_limit_removes_no_more_than_it_must(tmp_path: Path) -> None:
    for n, letter in enumerate("abcdef"):
        make_session(tmp_path, letter, days=60 - n)
    sizes = [sum(path.stat().st_size for path in found.path.iterdir()) for found in list_sessions(tmp_path)]
    keep = sum(sizes[3:]) + 1
    output = json.loads(
        output_of(verbatim("prune", "--keep-gib", keep / 2**30, "--yes", "--json", "--journals", tmp_path))
    )
    assert ids(tmp_path) == "def"
    assert (output["bytes_before"], output["bytes_after"], output["sessions_after"]) == (sum(sizes), sum(sizes[3:]), 3)
    assert "prune: 0 sessions" in output_of(verbatim("prune", "--keep-gib", 1, "--yes", "--journals", tmp_path))
    output = output_of(verbatim("prune", "--keep-gib", 0, "--yes", "--journals", tmp_path))
    assert "it is the newest of account main at binance_spot, and the next session continues it" in output
    assert ids(tmp_path) == "f"


def test_a_needed_session_stays_at_any_age(tmp_path: Path) -> None:
    make_session(tmp_path, "a", days=400, account="spot")
    make_session(tmp_path, "b", days=390, account="main")
    alive = make_session(tmp_path, "c", days=380, account="main", close=False)
    damaged = make_session(tmp_path, "d", days=370, account="main")
    make_session(tmp_path, "e", days=2, account="main")
    (damaged / "000000000000.parquet").write_bytes(b"PAR1")
    set_age(damaged, 370)
    elsewhere = make_session(tmp_path / "elsewhere", "f", days=395, account="other")
    (tmp_path / elsewhere.name).symlink_to(elsewhere)
    alive_fd = os.open(alive, os.O_RDONLY | os.O_DIRECTORY)
    try:
        import fcntl

        fcntl.flock(alive_fd, fcntl.LOCK_EX)
        output = output_of(verbatim("prune", "--older-than", "52w", "--yes", "--journals", tmp_path))
    finally:
        os.close(alive_fd)
    assert ids(tmp_path) == "afcde"
    reasons = dict(
        line.removeprefix("kept: ").split(": ", 1) for line in output.splitlines() if line.startswith("kept")
    )
    assert {name[-8]: why for name, why in reasons.items()} == {
        "a": "it is the newest of account spot at binance_spot, and the next session continues it",
        "c": "it is being written",
        "d": "its SESSION record cannot be read, so its line is unknown",
        "f": "its folder is a symbolic link",
    }


def test_the_next_session_still_finds_the_session_to_continue(tmp_path: Path) -> None:
    """The engine's own rule finds the same previous session after a pruning."""

    venue = VenueAccess(settings=VenueSettings(), symbols=())
    config = SessionConfig(journals=tmp_path, clock=SessionClock.wall(), venues=(venue,), account="spot")
    make_session(tmp_path, "a", days=300, account="spot")
    make_session(tmp_path, "b", days=250, account="main", after="a")
    make_session(tmp_path, "c", days=200, account="main", after="b")
    before = restore_previous(config).previous
    assert before is not None
    output_of(verbatim("prune", "--older-than", "1d", "--keep-gib", 0, "--yes", "--journals", tmp_path))
    assert ids(tmp_path) == "ac"
    assert restore_previous(config).previous == before


def test_an_interrupted_pruning_is_finished_by_the_next(tmp_path: Path) -> None:
    half = make_session(tmp_path, "a", days=300)
    make_session(tmp_path, "b", days=1)
    half.rename(half.with_name(half.name + PRUNED_SUFFIX))
    assert ids(tmp_path) == "b", "no reader takes it for a session"
    output_of(verbatim("prune", "--older-than", "1d", "--yes", "--journals", tmp_path))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--older-than", "90"),
        ("--older-than", "3 years"),
        ("--keep-gib", "-1"),
        ("--keep-gib", "nan"),
        ("--keep-gib", "inf"),
    ],
)
def test_a_pruning_without_a_limit_is_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "Error" in output_of(verbatim("prune", *words, "--journals", tmp_path), USAGE)


def test_only_what_is_archived_goes(tmp_path: Path) -> None:
    root, there = tmp_path / "journals", tmp_path / "archive"
    first, second, third = (make_session(root, letter, days=300 - n) for n, letter in enumerate("abc"))
    make_session(root, "d", days=1)
    for folder in (first, second):
        output_of(verbatim("archive", folder, there))
    merge(first)  # other files, the same records: its archive still stands for it
    set_age(first, 300)
    object_of_second = there / second.name / "000000000000.parquet"
    data = bytearray(object_of_second.read_bytes())
    data[len(data) // 2] ^= 1
    object_of_second.write_bytes(data)
    words = ("prune", "--older-than", "90d", "--archived-only", there, "--yes", "--journals", root)
    output = output_of(verbatim(*words))
    assert ids(root) == "bcd"
    assert f"kept: {third.name}: the session is not archived there" in output
    assert f"kept: {second.name}: {object_of_second} differs from the manifest" in output


# ---- archives ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as query:
        yield query


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URI of an archive with %s for the path below it."""
    if request.param == "folder":
        return f"{tmp_path}/archive%s"
    return f"s3://bucket/{time.time_ns()}%s?{request.getfixturevalue('s3')}"


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_an_archived_session_comes_back_byte_for_byte(tmp_path: Path, place: str) -> None:
    session = make_session(tmp_path, "a", days=3)
    (session / "snap-000000000003.bin").write_bytes(b"a reader's cache")
    output = output_of(verbatim("archive", "aaaa", place % "", "--journals", tmp_path)).splitlines()
    assert output[-1] == (place % f"/{session.name}").partition("?")[0]
    assert "60 records" in output[0]
    back = output_of(verbatim("fetch", place % f"/{session.name}", "--into", tmp_path / "back")).splitlines()
    assert back == [str(tmp_path / "back")]
    for cache in (session / "snap-000000000003.bin", session / "captured-markets.cache"):
        cache.unlink()
    assert files_of(tmp_path / "back") == files_of(session)
    assert verify(tmp_path / "back").ok
    there = open_location(place % f"/{session.name}")
    manifest = archiving.read_manifest(there)
    assert manifest is not None
    assert (manifest.chain, manifest.closed, manifest.records) == (verify(session).chain, True, 60)
    assert {file.name: file.sha256 for file in manifest.files} == files_of(session)
    assert "exists already" in output_of(
        verbatim("fetch", place % f"/{session.name}", "--into", tmp_path / "back"), BAD_INPUT
    )
    assert "has no manifest.json" in output_of(verbatim("fetch", place % "", "--into", tmp_path / "other"), BAD_INPUT)


def test_an_interrupted_archive_is_resumed_and_another_one_is_refused(tmp_path: Path, place: str) -> None:
    session = make_session(tmp_path, "a", days=3)
    done = archiving.archive(session, open_location(place % ""))
    there = open_location(place % f"/{session.name}")
    segments = [file.name for file in done.manifest.files]
    assert len(segments) > 3
    assert archiving.archive(session, open_location(place % "")).copied == 0
    merge_free = files_of(session)

    there.filesystem.delete_file(there.child("manifest.json").path)
    there.filesystem.delete_file(there.child(segments[-1]).path)
    half = (session / segments[1]).read_bytes()[:700]
    there.child(segments[1]).write(iter([half]))
    assert "has no manifest.json" in output_of(
        verbatim("fetch", place % f"/{session.name}", "--into", tmp_path / "x"), BAD_INPUT
    )
    assert archiving.archive(session, open_location(place % "")).copied == 2
    assert files_of(archiving.fetch(there, into=tmp_path / "back", journals=tmp_path)) == merge_free

    there.filesystem.delete_file(there.child("manifest.json").path)
    there.child(segments[1]).write(iter([b"another" * 200]))
    output = output_of(verbatim("archive", session, place % ""), BAD_INPUT)
    assert "exists with other content" in output
    assert b"".join(there.child(segments[1]).chunks()) == b"another" * 200
    assert archiving.read_manifest(there) is None

    other = make_session(tmp_path / "elsewhere", "a", days=3).rename(tmp_path / "elsewhere" / session.name)
    output_of(verbatim("archive", session, place % "/2"))
    assert "holds another session of that name" in output_of(verbatim("archive", other, place % "/2"), BAD_INPUT)


def test_an_unsealed_or_damaged_session_is_not_archived(tmp_path: Path) -> None:
    crashed = make_session(tmp_path, "a", days=3, close=False)
    assert "is not sealed" in output_of(verbatim("archive", crashed, tmp_path / "there"), BAD_INPUT)
    damaged = make_session(tmp_path, "b", days=2)
    data = bytearray((damaged / "000000000000.parquet").read_bytes())
    data[200] ^= 1
    (damaged / "000000000000.parquet").write_bytes(data)
    assert "is damaged" in output_of(verbatim("archive", damaged, tmp_path / "there"), BAD_INPUT)
    writer = JournalWriter.create(tmp_path / "live")
    assert "is being written" in output_of(verbatim("archive", tmp_path / "live", tmp_path / "there"), BAD_INPUT)
    writer.abandon()
    assert not (tmp_path / "there").exists()


def test_a_damaged_archive_is_one_clear_line(tmp_path: Path, place: str) -> None:
    session = make_session(tmp_path, "a", days=3)
    output_of(verbatim("archive", session, place % ""))
    there = open_location(place % f"/{session.name}")
    manifest = b"".join(there.child("manifest.json").chunks())

    def fetched(code: int) -> str:
        output = output_of(verbatim("fetch", place % f"/{session.name}", "--into", tmp_path / "back"), code)
        assert not list(tmp_path.glob("back*"))
        assert len(output.splitlines()) == 1
        return output

    segment = there.child("000000000000.parquet")
    whole = b"".join(segment.chunks())
    for bad in (whole[:-1], whole + b"x", whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]):
        segment.write(iter([bad]))
        assert "differs from the manifest" in fetched(DIFFERS)
    segment.write(iter([whole]))
    for bad in (
        manifest[:100],
        manifest.replace(b'"000000000000.parquet"', b'"../../000000000000.parquet"'),
        manifest.replace(session.name.encode(), b"../" + session.name.encode()),
        manifest.replace(b'"version": 1', b'"version": 2'),
    ):
        there.child("manifest.json").write(iter([bad]))
        assert "is not an archive's manifest" in fetched(DIFFERS)
    there.child("manifest.json").write(iter([manifest.replace(b'"records": 60', b'"records": 61')]))
    assert "its records differ from the manifest" in fetched(DIFFERS)
    there.child("manifest.json").write(iter([manifest]))
    there.filesystem.delete_file(segment.path)
    assert "reading failed" in fetched(FAILED)


def test_no_message_contains_a_credential(tmp_path: Path, s3: str) -> None:
    session = make_session(tmp_path, "a", days=3)
    for uri in (f"s3://{KEY}:{SECRET}@bucket/x?{s3}", f"s3://{KEY}@bucket/x?{s3}", f"ftp://me:{SECRET}@host/x"):
        output = output_of(verbatim("archive", session, uri), BAD_INPUT)
        assert "the URI contains a key" in output
        assert SECRET not in output
        assert KEY not in output
    assert SECRET not in output_of(
        verbatim("archive", session, f"nosuch://host/{SECRET}?token={SECRET}"), BAD_INPUT
    ).replace(f"host/{SECRET}", "")
    output = output_of(verbatim("archive", session, f"s3://no-such-bucket/x?{s3}&allow_bucket_creation=false"), FAILED)
    assert output.startswith("verbatim: s3://no-such-bucket/x/")
    assert "NO_SUCH_BUCKET" in output
    assert SECRET not in output
    output_of(verbatim("archive", session, f"s3://bucket/secrets?{s3}"))
    there = open_location(f"s3://bucket/secrets/{session.name}?{s3}")
    (session / "captured-markets.cache").unlink()
    for name in (*files_of(session), "manifest.json"):
        data = b"".join(there.child(name).chunks())
        assert SECRET.encode() not in data
        assert KEY.encode() not in data


# ---- exports -------------------------------------------------------------------------------------------

RECORDS = [
    Record(0, 5, Kind.SESSION, "shell", body='{"session":"aaaaaaaa","price":"0.10","rate":1.50}'),
    Record(1, 10, Kind.FEED, "m.0", recv_ns=11, payload='{"b":"60000.00000000","é":1}'.encode()),
    Record(2, 20, Kind.BROKER, "m.1", cause=1, key="k-1", meta='{"status":200}', recv_ns=21, payload=b'\xff\x00, "\n'),
    Record(3, 20, Kind.NOTE, "m.1", cause=1, body='{"level":"info","text":"with, commas\\nand \\"quotes\\""}'),
    Record(4, 30, Kind.FEED, "m.1", payload=b""),
]


@pytest.fixture
def five(tmp_path: Path) -> Path:
    writer = JournalWriter.create(tmp_path / "five")
    writer.append_step(RECORDS)
    writer.close()
    return tmp_path / "five"


def exported(folder: Path, target: Path, *words: str) -> Path:
    assert output_of(verbatim("export", folder, target, *words)).splitlines()[-1] == str(target)
    return target


def test_a_journal_as_one_parquet_file_is_its_records(tmp_path: Path, five: Path) -> None:
    table = pq.read_table(exported(five, tmp_path / "all.parquet"))
    assert table.to_pylist() == [{name: getattr(record, name) for name in table.column_names} for record in RECORDS]
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".partial"]
    (tmp_path / "more.parquet.partial").write_bytes(b"another's")
    assert "another export is at work" in output_of(verbatim("export", five, tmp_path / "more.parquet"), BAD_INPUT)
    assert (tmp_path / "more.parquet.partial").read_bytes() == b"another's"


def test_json_lines_hold_every_byte(tmp_path: Path, five: Path) -> None:
    """Our JSON stays JSON with unchanged numbers. The wire's bytes are text, or base64 if they are not UTF-8."""
    text = exported(five, tmp_path / "all.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert '"rate":1.50' in text
    assert lines[0] == {
        "seq": 0, "time_ns": 5, "kind": "SESSION", "source": "shell",
        "body": {"session": "aaaaaaaa", "price": "0.10", "rate": 1.5},
    }  # fmt: skip
    assert lines[1]["payload"].encode() == RECORDS[1].payload
    assert lines[2] == {
        "seq": 2, "time_ns": 20, "recv_ns": 21, "kind": "BROKER", "source": "m.1", "cause": 1, "key": "k-1",
        "meta": {"status": 200}, "payload_base64": "/wAsICIK",
    }  # fmt: skip
    assert base64.b64decode(lines[2]["payload_base64"]) == RECORDS[2].payload
    assert lines[3]["body"]["text"] == 'with, commas\nand "quotes"'
    assert lines[4]["payload"] == ""
    writer = JournalWriter.create(tmp_path / "odd")
    writer.append_step([Record(0, 5, Kind.NOTE, "m", body="{no JSON")])
    writer.close()
    assert json.loads(exported(tmp_path / "odd", tmp_path / "odd.jsonl").read_text())["body"] == "{no JSON"


def test_csv_holds_every_byte(tmp_path: Path, five: Path) -> None:
    with exported(five, tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["body"] or None for row in rows] == [record.body for record in RECORDS]
    assert [row["payload"].encode() for row in rows] == [b"", RECORDS[1].payload, b"", b"", b""]
    assert [base64.b64decode(row["payload_base64"]) for row in rows] == [b"", b"", RECORDS[2].payload, b"", b""]
    assert [row["recv_ns"] for row in rows] == ["", "11", "21", "", ""]


def test_an_export_can_be_of_some_records(tmp_path: Path) -> None:
    session = make_session(tmp_path, "a", days=3)
    began_ns = Journal.open(session).session_record().time_ns

    def seqs(*words: object) -> list[int]:
        target = exported(session, tmp_path / "some.parquet", *map(str, words))
        found: list[int] = pq.read_table(target, columns=["seq"])["seq"].to_pylist()
        target.unlink()
        return found

    assert seqs("--from", 20, "--to", 22) == [20, 21, 22]
    assert seqs("--from", began_ns + 20, "--to", began_ns + 22) == [20, 21, 22]
    assert seqs("--kinds", "session,note") == [0]
    assert seqs("--sources", "m,n", "--from", 59) == [59]
    assert seqs("--sources", "n") == []
    assert "is not a moment of the session" in output_of(
        verbatim("export", session, tmp_path / "x.csv", "--from", 60), BAD_INPUT
    )
    assert "no record is between" in output_of(
        verbatim("export", session, tmp_path / "x.csv", "--from", 9, "--to", 8), BAD_INPUT
    )


@pytest.mark.slow
def test_a_folder_gets_every_view(tmp_path: Path, five: Path) -> None:
    target = exported(five, tmp_path / "views")
    listed = json.loads(output_of(verbatim("sql", five, "--json")))
    assert sorted(path.stem for path in target.iterdir()) == sorted(view["view"] for view in listed)
    assert pq.read_table(target / "records.parquet").num_rows == 5
    assert "without --kinds" in output_of(verbatim("export", five, tmp_path / "x", "--kinds", "feed"), USAGE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all.parquet", "all.csv", "all.jsonl", "views"])
def test_an_export_appears_complete_or_not_at_all(tmp_path: Path, five: Path, name: str) -> None:
    exported(five, tmp_path / name)
    assert "nothing is overwritten" in output_of(verbatim("export", five, tmp_path / name), BAD_INPUT)
    assert "cannot be written" in output_of(verbatim("export", five, tmp_path / "no" / name), FAILED)
    assert "the suffix names no export format" in output_of(verbatim("export", five, tmp_path / "all.xls"), BAD_INPUT)
    damaged = make_session(tmp_path, "b", days=2)
    sealed = sorted(damaged.glob("*.parquet"))[2]
    data = bytearray(sealed.read_bytes())
    data[4:400] = bytes(396)
    sealed.write_bytes(data)
    before = sorted(tmp_path.iterdir())
    assert sealed.name in output_of(verbatim("export", damaged, tmp_path / f"2{name}"), DIFFERS)
    assert sorted(tmp_path.iterdir()) == before


def test_a_session_is_never_its_own_archive(tmp_path: Path, five: Path) -> None:
    """Otherwise `prune --archived-only` would accept it as archived and remove the only copy."""
    for place in (five.parent, five, five / "within"):
        output = output_of(verbatim("archive", five, place), BAD_INPUT)
        assert "it would not be a copy" in output
    link = tmp_path / "link"
    link.symlink_to(five.parent)
    assert "it would not be a copy" in output_of(verbatim("archive", five, link), BAD_INPUT)
    assert "the session's own folder and not a copy" in reason_not_archived(open_location(str(five.parent)), five)


@pytest.mark.slow
def test_a_folder_whose_name_is_not_a_date_is_not_a_session(five: Path) -> None:
    (five.parent / "20261399T000000Z-cccccccc").mkdir()
    output_of(verbatim("sessions", "--journals", five.parent))
    assert "no session" in output_of(verbatim("verify", "x" * 5000, "--journals", five.parent), BAD_INPUT)
