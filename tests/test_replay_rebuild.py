"""Rebuilding gives the state that the session had, runs no strategy, and uses a snapshot only where its CHECKPOINT vouches for it."""

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
from replay.moments import UnknownMomentError, moment, nanoseconds
from replay.rebuild import rebuild
from replay.state_report import belief, told
from tests.replaying import first_record, sealed, session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sealed(tmp_path_factory.mktemp("journals") / "s")


def test_the_state_rebuilt_has_the_digests_of_every_checkpoint(folder: Path) -> None:
    checkpoints = [record for record in Journal.open(folder).records() if record.kind is Kind.CHECKPOINT]
    assert len(checkpoints) > 5
    for checkpoint in checkpoints:
        _, state, last = rebuild(folder, until=checkpoint.seq - 1, use_snapshots=False)
        assert last.seq == state.seq == checkpoint.seq - 1
        assert state.digests() == read_checkpoint(checkpoint.body or "").parts


def test_rebuilding_runs_no_strategy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("source was run")

    monkeypatch.setattr(loading, "_run", run)
    _, state, _ = rebuild(folder)
    assert state.account.strategies.of("quoter").state["quotes"] > 10


def test_a_moment_is_rebuilt_with_all_that_happened_by_then(folder: Path) -> None:
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
    assert snapshots.nearest(journal, kernel, first, journal.last_seq) is not None
    assert again.digests() == folded.digests()
    assert again.seq == folded.seq


def test_a_damaged_or_foreign_snapshot_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert snapshots.nearest(journal, kernel, journal.session_record(), journal.last_seq) is None
    for path in other.glob("state-*.cache"):
        (one / path.name).write_bytes(path.read_bytes())
    assert snapshots.nearest(journal, kernel, journal.session_record(), journal.last_seq) is None
    assert rebuild(one)[1].digests() == true.digests()


def test_ask_says_what_was_waited_for_and_when_an_unknown_order_is_asked_about(tmp_path: Path) -> None:
    running = session(tmp_path / "s", seconds=1)
    running.venue.fault(action="drop_request", path="/api/v3/order", method="POST")
    running.run(
        20, until=lambda s: any(order.status is Status.UNKNOWN for order in s.state.account.orders.live.values())
    )
    held = belief(*rebuild(running.kill()))
    assert len(held["unknown_orders"]) == 1
    unknown = held["unknown_orders"][0]
    assert unknown["asks_next_ns"] is not None
    assert {"timer": f"ask.{unknown['client_order_id']}", "due_ns": unknown["asks_next_ns"]} in held["timers"]
    assert held["session"] == "aaaaaaaa"
    assert held["markets"][0]["book"] == "synced"
    text = "\n".join(told(held))
    assert f"unknown     {unknown['client_order_id']}: " in text


def test_the_request_on_its_way_is_told_with_its_reason(folder: Path) -> None:
    request = first_record(
        folder, lambda record: record.kind is Kind.REQUEST and '"purpose":"open_orders"' in (record.body or "")
    )
    held = belief(*rebuild(folder, until=request.seq))
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
    """The session began at 23:59:20: ten past midnight is of the next day."""
    started_ns = nanoseconds(datetime(2026, 3, 4, 23, 59, 20, tzinfo=UTC)) + 500 * MILLISECOND_NS
    assert moment(text, started_ns) == (seq, None if when is None else nanoseconds(when))


def test_what_is_no_moment_is_one_clear_line() -> None:
    with pytest.raises(UnknownMomentError, match="'soon' is neither a record's seq nor a time"):
        moment("soon", SECOND_NS)
