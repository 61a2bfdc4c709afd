"""Hostile sessions: the whole engine and venue in virtual time, with faults drawn by seed, and what must hold after.

Here are seeds 1 to 60, the next twenty are in test_hostile_more.py, any number by benchmarks/hostile.py. A broken
engine must be found, so some tests break it, and run a plan that the healthy engine passes.
"""

from collections import Counter
from pathlib import Path

import pytest
from hostile_seeds import check_seeds
from msgspec.structs import replace
from tiers import first_is_quick

from engine.execution import order_reports, reconciliation
from engine.facts import OrderNotPlaced
from engine.handlers import policy, shutdown
from engine.lifecycle import Status
from engine.market.reader import MarketReader
from journal.reader import Journal
from journal.record import Kind
from verbatim.hostile.fault_plan import KINDS, PLACE, Fault, FaultPlan, draw_plan
from verbatim.hostile.hostile_result import HostileResult
from verbatim.hostile.hostile_run import run_plan
from verbatim.testing import run_hostile_in

pytestmark = pytest.mark.faults_may_miss("faults are drawn by seed")


@pytest.mark.parametrize("first", first_is_quick(range(1, 61, 10)))
def test_hostile_sessions_keep_every_invariant(tmp_path: Path, first: int) -> None:
    check_seeds(tmp_path, range(first, first + 10))


def test_fills_of_one_millisecond_recorded_in_another_order_are_no_drift(tmp_path: Path) -> None:
    result = run_hostile_in(tmp_path, 208144, kept=[2, 3, 4])  # order reports 6 s late, a report between two fills
    assert result.fills > 5
    assert not result.broken


def test_a_fill_under_way_while_the_books_are_compared_is_awaited(tmp_path: Path) -> None:
    result = run_hostile_in(tmp_path, 111602, kept=[0, 3, 7])  # a fill 30 ms before the comparison
    assert result.fills > 10
    assert not result.broken


@pytest.mark.slow
def test_the_same_seed_is_the_same_session(tmp_path: Path) -> None:
    first, second = (run_hostile_in(tmp_path, 5) for _ in range(2))
    assert first == second
    assert first.orders
    assert first.fills


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 17, 42])
def test_a_policy_that_skips_what_did_not_move_records_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with_skips = run_hostile_in(tmp_path, seed)
    assert with_skips.orders
    monkeypatch.setattr(policy, "_is_quiet", lambda _session, _step: False)
    # and liveness that never equals an earlier one, so that blocks are decided at every step
    monkeypatch.setattr(MarketReader, "liveness", lambda _market: object())
    assert run_hostile_in(tmp_path, seed) == with_skips


def test_the_seeds_draw_every_kind_of_fault_often() -> None:
    drawn = Counter(fault.kind for seed in range(1, 81) for fault in draw_plan(seed).faults)
    assert drawn.keys() == set(KINDS)
    assert min(drawn.values()) >= 10


def test_a_plan_without_some_faults_leaves_the_others_where_they_are() -> None:
    whole = draw_plan(10)
    assert len(whole.faults) > 2
    assert draw_plan(10, [0, 2]).faults == (whole.faults[0], whole.faults[2])


def run_busy(folder: Path, *faults: Fault) -> HostileResult:
    """Return the result of a busy session with these faults."""
    folder.mkdir()
    plan = FaultPlan(
        seed=3,
        faults=faults,
        busy=9,
        orders_max=6,
        latency_ms=1,
        wire_us=200,
        ends_by="stop",
        cancels_on_failure=False,
    )
    result = run_plan(plan, folder)
    assert result.orders > 10
    assert result.fills > 3
    assert not result.missed, "each fault struck"
    return result


def broken(folder: Path, *faults: Fault) -> set[str]:
    """Return the invariants that a busy session with these faults breaks."""
    return {each.invariant for each in run_busy(folder, *faults).broken}


UNREPORTED = Fault(0, 5_000, "drop_events", {"event": "executionReport", "times": 3})
FOREIGN = Fault(1, 5_000, "foreign_order", {"side": "BUY", "steps": 9, "lots": 100, "cancel_ms": 0})
HIDDEN = Fault(0, 5_000, "hidden_order", {"ms": 12_000})
NOT_FOUND = Fault(0, 5_000, "not_found_for", {**PLACE, "ms": 12_000})


@pytest.mark.parametrize(
    "faults",
    [(), (UNREPORTED, FOREIGN), (HIDDEN,), (NOT_FOUND,)],
    ids=lambda faults: "-".join(fault.kind for fault in faults),
)
def test_the_healthy_engine_passes_the_plans_below(tmp_path: Path, faults: tuple[Fault, ...]) -> None:
    assert broken(tmp_path / "run", *faults) == set()


@pytest.mark.slow
def test_a_position_that_is_no_sum_of_fills_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after_fill = order_reports.after_fill

    def without_fee(held, fill, instrument, **named):  # noqa: ANN001, ANN003, ANN202 - as it is declared
        return after_fill(held, replace(fill, fee=fill.fee * 0), instrument, **named)

    monkeypatch.setattr(order_reports, "after_fill", without_fee)
    run_busy(tmp_path / "halts")
    [folder] = [path.parent for path in (tmp_path / "halts").rglob("000000000000.parquet")]
    texts = [record.body or "" for record in Journal.open(folder).records(kinds=(Kind.FACT,))]
    assert any('"code":"position_drift"' in text for text in texts), "the engine finds it first, and halts"
    monkeypatch.setattr(reconciliation, "compare_books", lambda *_args, **_named: None)
    assert "position = sum of fills" in broken(tmp_path / "run")


def test_an_engine_that_reads_no_open_orders_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "apply_open_orders", lambda *_args, **_named: None)
    assert "open orders" in broken(tmp_path / "run", UNREPORTED, FOREIGN)


def test_an_engine_that_cancels_nothing_at_its_end_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "cancel_all", lambda *_args, **_named: 0)
    assert "after an ordered end none of ours is open" in broken(tmp_path / "run")


def test_an_absence_that_is_proved_too_early_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(step, name: str, *, asked_ns: int) -> bool:  # noqa: ANN001 - as it is declared
        order = step.account.orders.get(name)
        if order is not None and order.status is Status.UNKNOWN:
            step.emit(OrderNotPlaced(name, "at once"), key=name)
        return True

    monkeypatch.setattr(order_reports, "not_found", not_found)
    assert "no order is declared absent that the venue has" in broken(tmp_path / "run", HIDDEN)
