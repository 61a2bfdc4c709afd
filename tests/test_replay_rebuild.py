"""Rebuilding gives the state of the session, runs no strategy, and uses a snapshot only if a CHECKPOINT confirms it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.lifecycle import Status
from engine.record_codec import read_checkpoint
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.strategy import loading
from journal.reader import Journal
from journal.record import Kind
from replay import snapshots
from replay.moments import UnknownMomentError, nanoseconds, parse_moment
from replay.rebuild import rebuild
from replay.state_report import describe_state, state_lines
from tests.replaying import first_record, sealed, session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sealed(tmp_path_factory.mktemp("journals") / "s")


@pytest.mark.slow
def test_rebuilt_states_have_the_digests_of_every_checkpoint(folder: Path) -> None:
    checkpoints = [record for record in Journal.open(folder).records() if record.kind is Kind.CHECKPOINT]
    assert len(checkpoints) > 5
    for checkpoint in checkpoints:
        _, state, last = rebuild(folder, until=checkpoint.seq - 1, use_snapshots=False)
        assert last.seq == state.seq == checkpoint.seq - 1
        assert state.digests() == read_checkpoint(checkpoint.body or "").parts


def test_rebuilding_runs_no_strategy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("source was run")

    monkeypatch.setattr(loading, "run_module", run)
    _, state, _ = rebuild(folder)
    assert state.account.strategies.get("quoter").state["quotes"] > 10


def test_rebuilding_a_moment_folds_all_records_before_it(folder: Path) -> None:
    record = first_record(
        folder, lambda record: record.kind is Kind.REQUEST and '"purpose":"place"' in (record.body or "")
    )
    _, state, last = rebuild(folder, until_ns=record.time_ns)
    assert last.seq >= record.seq
    assert last.time_ns == record.time_ns
    assert record.key in state.account.orders.live
    _, before, _ = rebuild(folder, until_ns=record.time_ns - 1)
    assert record.key not in before.account.orders.live


def test_a_snapshot_gives_the_same_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.rebuild.SNAPSHOT_RECORDS", 200)
    _, folded, _ = rebuild(folder)
    kept = sorted(folder.glob("state-*.cache"))
    assert kept
    journal = Journal.open(folder)
    first = journal.session_record()
    kernel, again, _ = rebuild(folder)
    assert snapshots.nearest_state(journal, kernel, first, journal.last_seq) is not None
    assert again.digests() == folded.digests()
    assert again.seq == folded.seq


def test_damaged_and_foreign_snapshots_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.rebuild.SNAPSHOT_RECORDS", 200)
    one, other = sealed(tmp_path / "a", seconds=2), sealed(tmp_path / "b", seconds=2, session="bbbbbbbb")
    _, true, _ = rebuild(one)
    rebuild(other)
    for path in one.glob("state-*.cache"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    journal = Journal.open(one)
    kernel, _, _ = rebuild(one, use_snapshots=False)
    assert snapshots.nearest_state(journal, kernel, journal.session_record(), journal.last_seq) is None
    for path in other.glob("state-*.cache"):
        (one / path.name).write_bytes(path.read_bytes())
    assert snapshots.nearest_state(journal, kernel, journal.session_record(), journal.last_seq) is None
    assert rebuild(one)[1].digests() == true.digests()


def test_ask_reports_pending_requests_and_the_next_query_of_an_unknown_order(tmp_path: Path) -> None:
    running = session(tmp_path / "s", seconds=1)
    running.venue.fault(action="drop_request", path="/api/v3/order", method="POST")
    running.run(
        20, until=lambda s: any(order.status is Status.UNKNOWN for order in s.state.account.orders.live.values())
    )
    held = describe_state(*rebuild(running.kill()))
    assert len(held["unknown_orders"]) == 1
    unknown = held["unknown_orders"][0]
    assert unknown["next_query_ns"] is not None
    assert {"timer": f"query.{unknown['client_order_id']}", "due_ns": unknown["next_query_ns"]} in held["timers"]
    assert held["session"] == "aaaaaaaa"
    assert held["markets"][0]["book"] == "synced"
    text = "\n".join(state_lines(held))
    assert f"unknown     {unknown['client_order_id']}: " in text


def test_a_pending_request_is_reported_with_its_purpose(folder: Path) -> None:
    request = first_record(
        folder, lambda record: record.kind is Kind.REQUEST and '"purpose":"open_orders"' in (record.body or "")
    )
    held = describe_state(*rebuild(folder, until=request.seq))
    asked = next(each for each in held["waiting_for"] if each["request_seq"] == request.seq)
    assert asked["why"] == "reconciliation 1"
    assert held["mode"]["mode"] == "syncing"
    assert held["mode"]["reconciling"]


@pytest.mark.parametrize(
    ("text", "seq", "when"),
    [
        ("48,212", 48_212, None),
        ("23:59:30", None, datetime(2026, 3, 4, 23, 59, 30, tzinfo=UTC)),
        ("00:00:10.250", None, datetime(2026, 3, 5, 0, 0, 10, 250_000, tzinfo=UTC)),
        ("2026-03-04T23:59:30Z", None, datetime(2026, 3, 4, 23, 59, 30, tzinfo=UTC)),
        ("2026-03-05 00:59:30+01:00", None, datetime(2026, 3, 4, 23, 59, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_record_a_time_of_the_day_or_a_date(text: str, seq: int | None, when: datetime | None) -> None:
    """Parse moments of a session that began at 23:59:20: ten past midnight is on the next day."""
    started_ns = nanoseconds(datetime(2026, 3, 4, 23, 59, 20, tzinfo=UTC)) + 500 * MILLISECOND_NS
    assert parse_moment(text, started_ns) == (seq, None if when is None else nanoseconds(when))


def test_an_unknown_moment_is_one_clear_line() -> None:
    with pytest.raises(UnknownMomentError, match="'soon' is neither a record's seq nor a time"):
        parse_moment("soon", SECOND_NS)
