"""Hostile sessions: the whole engine and venue in virtual time, with faults drawn by seed, and what must hold after.

Here are seeds 1 to 100, the next hundred are in test_hostile_more.py, any number by benchmarks/hostile.py. A broken
engine must be found, so some tests break it.
"""

from pathlib import Path

import pytest
from hostile_seeds import check_seeds
from tiers import first_is_quick

from engine.execution import order_reports, reconciliation
from engine.facts import OrderFilled, OrderNotPlaced
from engine.handlers import shutdown
from engine.lifecycle import Status
from verbatim.hostile.fault_plan import KINDS, draw_plan
from verbatim.testing import run_hostile_in, shrink_hostile

pytestmark = pytest.mark.faults_may_miss("faults are drawn by seed")


@pytest.mark.parametrize("first", first_is_quick(range(1, 101, 10)))
def test_hostile_sessions_keep_every_invariant(tmp_path: Path, first: int) -> None:
    check_seeds(tmp_path, range(first, first + 10))


def test_the_same_seed_is_the_same_session(tmp_path: Path) -> None:
    first, second = (run_hostile_in(tmp_path, 5) for _ in range(2))
    assert first == second
    assert first.orders
    assert first.fills


def test_two_hundred_seeds_draw_every_kind_of_fault() -> None:
    drawn = {fault.kind for seed in range(1, 201) for fault in draw_plan(seed).faults}
    assert drawn == set(KINDS)


def test_a_plan_without_some_faults_leaves_the_others_where_they_are() -> None:
    whole = draw_plan(10)
    assert len(whole.faults) > 2
    assert draw_plan(10, [0, 2]).faults == (whole.faults[0], whole.faults[2])


def first_failure(tmp_path: Path, invariant: str, seeds: int = 60) -> list[str]:
    """Return the kinds of the faults of the first failing seed, shrunk."""
    for seed in range(1, seeds):
        result = run_hostile_in(tmp_path, seed)
        if invariant in {broken.invariant for broken in result.broken}:
            smallest = shrink_hostile(tmp_path, result, invariant=invariant)
            return [fault.kind for fault in smallest.plan.faults]
    raise AssertionError(f"no seed below {seeds} breaks {invariant!r}")


def test_a_position_that_is_no_sum_of_fills_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after_fill = order_reports.after_fill

    def without_fee(held, fill: OrderFilled, instrument):  # noqa: ANN001, ANN202 - as it is declared
        return after_fill(
            held,
            order_reports.OrderFilled(
                **{name: getattr(fill, name) for name in fill.__struct_fields__} | {"fee": fill.fee * 0}
            ),
            instrument,
        )

    monkeypatch.setattr(order_reports, "after_fill", without_fee)
    assert first_failure(tmp_path, "position = sum of fills") == []


def test_an_engine_that_reads_no_open_orders_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "open_orders", lambda *_args, **_named: None)
    assert first_failure(tmp_path, "open orders")


def test_an_engine_that_cancels_nothing_at_its_end_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "cancel_all", lambda *_args, **_named: 0)
    assert first_failure(tmp_path, "after an ordered end none of ours is open") == []


def test_an_absence_that_is_proved_too_early_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(step, name: str, *, asked_ns: int) -> bool:  # noqa: ANN001 - as it is declared
        order = step.account.orders.get(name)
        if order is not None and order.status is Status.UNKNOWN:
            step.emit(OrderNotPlaced(name, "at once"), key=name)
        return True

    monkeypatch.setattr(order_reports, "not_found", not_found)
    kinds = first_failure(tmp_path, "no order is declared absent that the venue has", seeds=200)
    assert len(kinds) <= 2, kinds
