"""A replay of inputs as columns, beside the replay that steps each record alone: the same state and differences."""

from pathlib import Path
from typing import Any

import pytest
from replaying import first_record, reseal, session

from engine.record_codec import read_timer
from engine.recorded_loop import RecordedLoop
from engine.session_record import read_session
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from replay.compare import Difference
from replay.replay import SessionReplay

QUIET = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OnQuote, Place, Side


class Quiet:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = (Every(ms=100), OnQuote(throttle_ms=250))

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote and view.time_ns // 100_000_000 % 23 == 0 and not view.orders("BTCUSDT"):
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), quote.bid)
"""
DECIDE, THROTTLE, CHECK = '"timer":"decide.', '"timer":"throttle.', '"timer":"check"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns") / "s"
    session(folder, source=QUIET.replace("Quiet", "Quoter"), seconds=12, checkpoint_every=400).stop()
    return folder


def quiet_timer(folder: Path, name: str) -> Record:
    """Return a TIMER that led to nothing, with others behind it."""
    records = list(Journal.open(folder).records())
    pairs = zip(records[len(records) // 3 :], records[len(records) // 3 + 1 :], strict=False)
    return next(one for one, two in pairs if name in (one.body or "") and two.kind in INPUTS)


def replayed(folder: Path, *, alone: bool) -> tuple[Difference | None, int, int, dict[str, tuple[int, str]]]:
    """Replay a session. Return the first difference, the counts of inputs and outputs, and the state's digests."""
    journal = Journal.open(folder)
    body = read_session(journal.session_record().body or "")
    found = SessionReplay(journal, body, (lambda step: step) if alone else None)
    difference = found.run(journal.last_seq, None)
    return difference, found.counts.inputs, found.counts.outputs, found.state.digests()


def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the names of the TIMERs which pass without a record."""
    names: list[str] = []
    passes = RecordedLoop._passes

    def noted(loop: RecordedLoop, place: int) -> bool:
        found = passes(loop, place)
        if found:
            names.append(read_timer(loop._inputs.columns.record(place).body or "").timer.split(".", maxsplit=1)[0])
        return found

    monkeypatch.setattr(RecordedLoop, "_passes", noted)
    return names


def test_columns_leave_the_state_that_single_records_leave(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = passed(monkeypatch)
    single = replayed(folder, alone=True)
    assert single[0] is None
    assert not names
    assert replayed(folder, alone=False) == single
    assert names.count("decide") > 50
    assert names.count("throttle") > 5
    assert names.count("check") > 5


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (CHECK, {"source": "other"}),
        (CHECK, {"cause": -1}),
        (THROTTLE, {"key": "None"}),
        (CHECK, {"recv_ns": 1}),
        (THROTTLE, {"meta": '{"late_ns":7}'}),  # as a TIMER may be late: only the hash differs
        (DECIDE, {"meta": '{"late_ns": 7}'}),
        (CHECK, {"meta": '{"late_ns":9000000000}'}),  # periods would be missed
        (DECIDE, {"time_ns": 1}),
        (CHECK, {"body": -1}),
    ],
)
def test_columns_find_the_differences_that_single_records_find(
    name: str, changes: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    timer = quiet_timer(folder, name)
    if "time_ns" in changes:
        changes = {"time_ns": timer.time_ns + changes["time_ns"]}
    if "body" in changes:
        due = str(timer.time_ns)
        changes = {"body": (timer.body or "").replace(due, str(timer.time_ns + changes["body"]))}
    copy = reseal(folder, tmp_path / "copy", timer.seq, **changes)
    single = replayed(copy, alone=True)
    assert single[0] is not None
    assert replayed(copy, alone=False)[0] == single[0]


def test_a_frame_of_an_unknown_venue_is_the_same_difference(folder: Path, tmp_path: Path) -> None:
    frame = first_record(folder, lambda record: record.kind is Kind.FEED and record.meta is None and record.seq > 100)
    copy = reseal(folder, tmp_path / "copy", frame.seq, source="other")
    single = replayed(copy, alone=True)
    assert single[0] is not None
    assert single[0].replayed is not None
    assert "KeyError: 'other'" in (single[0].replayed.body or "")
    assert replayed(copy, alone=False)[0] == single[0]


def test_columns_find_a_timer_before_its_time(folder: Path, tmp_path: Path) -> None:
    """Exchange a quiet TIMER and the frame before it, whose time is earlier."""
    timer = quiet_timer(folder, DECIDE)
    frame = first_record(folder, lambda record: record.seq == timer.seq - 1)
    assert frame.kind is Kind.FEED
    fields = ("kind", "source", "cause", "meta", "payload", "body", "recv_ns", "time_ns")
    one = reseal(folder, tmp_path / "one", timer.seq, **{field: getattr(frame, field) for field in fields})
    both = reseal(one, tmp_path / "both", frame.seq, **{field: getattr(timer, field) for field in fields})
    single = replayed(both, alone=True)
    assert single[0] is not None
    assert replayed(both, alone=False)[0] == single[0]
