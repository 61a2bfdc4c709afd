"""A session repeated in pieces gives the result of one replay, for a difference in any piece."""

import json
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from replaying import first_record, reseal, sealed

from journal.reader import Journal
from journal.record import Kind, Record, canonical
from replay.parallel import replay_in_pieces, snapshot_cuts
from replay.rebuild import rebuild
from replay.replay import ReplayResult, replay_session
from verbatim.cli import main

PIECES = 3


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.rebuild.SNAPSHOT_RECORDS", 500)


@pytest.fixture(scope="module")
def long_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session of about 5,000 records without a snapshot."""
    folder = sealed(tmp_path_factory.mktemp("journals") / "s", seconds=14.5)
    assert Journal.open(folder).last_seq > 5_000
    return folder


def comparable(verdict: ReplayResult) -> ReplayResult:
    """Return the result without its duration and its number of pieces."""
    return msgspec.structs.replace(verdict, start_seconds=0, seconds=0, pieces=1)


def replay_in_one(folder: Path, **until: int) -> ReplayResult:
    found = replay_in_pieces(folder, workers=PIECES, **until)
    assert comparable(found) == comparable(replay_session(folder, **until))
    return found


@pytest.mark.slow
def test_a_first_replay_writes_the_snapshots_at_which_the_next_is_cut(long_session: Path) -> None:
    assert replay_in_one(long_session).pieces == 1
    assert len(list(long_session.glob("state-*.cache"))) > 5
    found = replay_in_one(long_session)
    assert (found.pieces, found.identical) == (PIECES, True)
    last = Journal.open(long_session).last_seq
    lengths = [
        end - begin for begin, end in pairwise([0, *snapshot_cuts(Journal.open(long_session), last, PIECES), last])
    ]
    assert max(lengths) < 1.5 * min(lengths)
    assert f", in {PIECES} pieces" in found.text()
    intent = first_record(long_session, lambda record: record.kind is Kind.INTENT and record.seq > last // 2)
    assert replay_in_one(long_session, until=intent.seq).pieces == PIECES, "and it may end in the middle of a step"


def with_altered_intent(folder: Path, new: Path, after: int) -> tuple[Path, Record]:
    """Alter an INTENT, which no state holds: all CHECKPOINTs stay correct, and the snapshots usable."""
    intent = first_record(folder, lambda record: record.kind is Kind.INTENT and record.seq > after)
    altered = reseal(
        folder, new, intent.seq, body=canonical(json.loads(intent.body or "") | {"because": {"quotes": -1}})
    )
    rebuild(altered)
    return altered, intent


@pytest.mark.slow
@pytest.mark.parametrize("number", range(PIECES))
def test_pieces_find_the_same_difference_as_one_replay(long_session: Path, tmp_path: Path, number: int) -> None:
    last = Journal.open(long_session).last_seq
    altered, intent = with_altered_intent(
        long_session, tmp_path / "altered", last * number // PIECES + last // (2 * PIECES)
    )
    found = replay_in_one(altered)
    assert found.pieces == PIECES
    assert found.difference is not None
    assert found.difference.seq == intent.seq
    assert found.difference.chain


@pytest.mark.slow
def test_the_first_of_several_differences_is_reported(long_session: Path, tmp_path: Path) -> None:
    last = Journal.open(long_session).last_seq
    once, _ = with_altered_intent(long_session, tmp_path / "once", last * 5 // 6)
    twice, first = with_altered_intent(once, tmp_path / "twice", last // 2)
    found = replay_in_one(twice)
    assert found.pieces == PIECES
    assert found.difference is not None
    assert found.difference.seq == first.seq


@pytest.mark.slow
def test_no_piece_begins_after_an_altered_input(long_session: Path, tmp_path: Path) -> None:
    """Fold an altered frame: later states lack the digests of their CHECKPOINTs, so only the part before it is cut."""
    last = Journal.open(long_session).last_seq
    feed = first_record(
        long_session,
        lambda record: (
            record.kind is Kind.FEED
            and record.meta is None
            and b'"E":' in (record.payload or b"")
            and record.seq > last // 2
        ),
    )
    at = (feed.payload or b"").index(b'"E":') + 10
    payload = bytearray(feed.payload or b"")
    payload[at] = ord("7") if payload[at] != ord("7") else ord("8")
    altered = reseal(long_session, tmp_path / "altered", feed.seq, payload=bytes(payload))
    rebuild(altered)
    assert all(seq < feed.seq for seq in snapshot_cuts(Journal.open(altered), last, PIECES))
    found = replay_in_one(altered)
    assert found.pieces > 1
    assert found.difference is not None
    assert "inputs" in found.difference.what


@pytest.mark.slow
def test_no_piece_begins_at_a_damaged_snapshot(long_session: Path, tmp_path: Path) -> None:
    copy = reseal(long_session, tmp_path / "copy")
    rebuild(copy)
    for path in copy.glob("state-*.cache"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    assert replay_in_one(copy).pieces == 1


@pytest.mark.slow
def test_the_command_reports_the_number_of_pieces(long_session: Path, tmp_path: Path) -> None:
    copy = reseal(long_session, tmp_path / "copy", until=3_000)

    def verbatim(*words: object) -> tuple[int, str]:
        ended = CliRunner().invoke(main, ["replay", str(copy), "--trust-code", *map(str, words)])
        return ended.exit_code, ended.output

    until = ("--until", 2_900)
    assert "in one piece; a long session's snapshots are kept now" in verbatim(*until, "--workers", 2)[1]
    code, told = verbatim(*until, "--workers", 2)
    assert (code, told.splitlines()[-1]) == (0, "replay: identical")
    assert ", in 2 pieces" in told.splitlines()[0]
    assert verbatim(*until)[1].splitlines()[1:] == told.splitlines()[1:]
    assert json.loads(verbatim(*until, "--workers", 2, "--json")[1])["pieces"] == 2
    assert verbatim("--workers", 2, "--set", "risk.order_size_max=1")[0] == 2
