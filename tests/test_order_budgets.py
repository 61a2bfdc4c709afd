"""Budgets of cancels and replacements per minute (D19): strategies are refused with figures, plans wait, safety passes.

Placements at their edge are in tests/test_risk_rules.py. Sessions start 15 s before a minute begins.
"""

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from checked_sessions import CheckedSessions, check_books, check_ordered_end
from test_amendments import reducer
from test_budgets import refused
from test_native_terms import Desk, kinds
from test_plans import ended, orders, planner

import engine.handlers.cancel_rules
import engine.handlers.intents
import engine.handlers.run_plans
from engine.facts import BreakerScope
from engine.risk_settings import ScopeLimits
from engine.session_record import SECOND_NS, RiskSettings, StrategySettings
from engine.state.order_budgets import MINUTE_NS, BudgetKind, OrderBudgets
from journal.record import Kind
from verbatim.testing import START_NS, VirtualSession, VirtualVenue, from_sources

D = Decimal
BTCUSDT = "binance_spot:BTCUSDT"
FLICKERER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Every, Place, Side


class Flickerer:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=1500)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        quote, orders = view.quote("BTCUSDT"), view.orders("BTCUSDT")
        for order in orders:
            yield Cancel(order.client_order_id)
        if quote is not None and not orders:
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), quote.bid - 500)
"""
RUNNER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Every, Run, Side, Timed


class Runner:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=1500)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        quote, plans = view.quote("BTCUSDT"), view.plans()
        for plan in plans:
            yield Cancel(plan.plan_id)
        if quote is not None and not plans:
            yield Run(Timed("BTCUSDT", Side.BUY, Decimal("0.001"), quote.bid - 500, lasts_ms=60_000))
"""
CHASE = 'Chase("BTCUSDT", Side.BUY, D("0.01"), offset=D(500), every_ms=500, replacements_max=900{})'


def a_venue() -> VirtualVenue:
    return VirtualVenue(start_ns=START_NS // MINUTE_NS * MINUTE_NS + 45 * SECOND_NS)


def flickerer() -> StrategySettings:
    return from_sources({"flickerer": FLICKERER}, "flickerer", "Flickerer")


def per_minute(session: VirtualSession, purpose: str) -> list[int]:
    """Return how many requests of a purpose each minute saw, in order; minutes without one are left out."""
    requests = session.kinds(Kind.REQUEST)
    times = [each.time_ns for each in requests if json.loads(each.body or "")["purpose"] == purpose]
    return [count for _, count in sorted(Counter(time_ns // MINUTE_NS for time_ns in times).items())]


def cancel_verdicts(session: VirtualSession) -> list[dict[str, Any]]:
    """Return the verdicts on cancels: they alone name the rule `known`."""
    verdicts = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    return [verdict for verdict in verdicts if "known" in verdict["rules"]]


SCOPES: dict[str, tuple[RiskSettings, str, str]] = {
    "instrument": (RiskSettings(cancels_per_minute_max=3), "cancel_budget", BTCUSDT),
    "strategy": (
        RiskSettings(strategy={"flickerer": ScopeLimits(cancels_per_minute_max=3)}),
        "strategy_cancel_budget",
        "flickerer",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
def test_cancels_per_minute_at_their_edge(begin: CheckedSessions, scope: str) -> None:
    """Three cancels leave, the fourth is refused with its figures, and the next minute allows three again."""
    risk, rule, subject = SCOPES[scope]
    session = begin(a_venue(), flickerer(), risk=risk)
    session.run(15, until=lambda s: len(refused(s)) == 1)
    verdicts = cancel_verdicts(session)
    assert [verdict["approved"] for verdict in verdicts] == [True, True, True, False]
    limit = f"{'strategy.' if scope == 'strategy' else ''}cancels_per_minute_max"
    assert verdicts[-1]["rules"][rule] == f"3 cancels of {subject} in this minute, {limit} is 3"
    assert [verdict["figures"][limit] for verdict in verdicts] == [
        ["0", "3", "1"], ["1", "3", "2"], ["2", "3", "3"], ["3", "3", "4"],
    ]  # fmt: skip
    session.run(12)
    assert per_minute(session, "cancel") == [3, 3]


def test_cancels_beyond_their_budget_stay_bounded_in_the_journal(begin: CheckedSessions) -> None:
    """After 20 refusals the strategy pauses, and its further cancels leave no record."""
    eager = from_sources({"flickerer": FLICKERER.replace("1500", "200")}, "flickerer", "Flickerer")
    session = begin(a_venue(), eager, risk=RiskSettings(cancels_per_minute_max=1))
    session.run(14)
    assert 20 <= len(refused(session)) <= 30
    assert session.facts("breaker_tripped")[0]["may_run"], "its order stays: only a rate was exceeded"
    assert len(session.state.account.orders.live) == 1


@pytest.mark.slow
def test_a_strategy_that_ends_its_plans_keeps_its_budget_of_cancels(begin: CheckedSessions) -> None:
    runner = from_sources({"runner": RUNNER}, "runner", "Runner")
    session = begin(a_venue(), runner, risk=RiskSettings(cancels_per_minute_max=3)).run(70)
    assert per_minute(session, "cancel") == [3, 3]
    assert len(session.state.account.plans.running) == 1, "it ends when the budget is renewed"
    session.stop()
    assert session.venue.get("/sim/state")["open_orders"] == []


def test_a_safety_order_and_a_stop_cancel_beyond_the_budget(begin: CheckedSessions) -> None:
    venue = a_venue()
    session = begin(venue, flickerer(), risk=RiskSettings(cancels_per_minute_max=1))
    session.run(40, until=lambda s: len(refused(s)) == 1)
    assert len(venue.get("/sim/state")["open_orders"]) == 1, "the budget leaves it open"
    session.command("cancel_all").run(2)
    assert venue.get("/sim/state")["open_orders"] == []
    session.command("resume").run(3)
    assert len(venue.get("/sim/state")["open_orders"]) == 1
    assert session.venue.now_ns % MINUTE_NS < 59 * SECOND_NS, "all in one minute"
    session.stop()
    check_ordered_end(session)


def test_a_pause_cancels_beyond_the_budget(begin: CheckedSessions) -> None:
    venue = a_venue()
    session = begin(venue, flickerer(), risk=RiskSettings(cancels_per_minute_max=1))
    session.run(40, until=lambda s: len(refused(s)) == 1)
    session.command("pause_strategy", about="flickerer").run(2)
    assert venue.get("/sim/state")["open_orders"] == []


REPLACEMENTS = {
    "instrument": RiskSettings(replacements_per_minute_max=4),
    "strategy": RiskSettings(strategy={"planner": ScopeLimits(replacements_per_minute_max=4)}),
    "cancels": RiskSettings(cancels_per_minute_max=4),
    "placements": RiskSettings(instrument={"BTCUSDT": ScopeLimits(placements_per_minute_max=5)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("limit", REPLACEMENTS)
def test_a_chase_waits_for_its_budget_while_its_order_rests(tmp_path: Path, limit: str) -> None:
    """Four replacements a minute: nothing is refused, and an order rests all the time."""
    session = VirtualSession(
        a_venue(), tmp_path / "s", strategies=[planner(CHASE.format(""))], risk=REPLACEMENTS[limit]
    )
    session.run(14)
    assert (per_minute(session, "place"), len(session.state.account.orders.live)) == ([5], 1)
    session.run(12)
    placed = per_minute(session, "place")
    assert placed == [5, 5 if limit == "placements" else 4], "an order and its four replacements"
    assert max(per_minute(session, "cancel")) <= 5
    assert refused(session) == []
    moves = [fact.get("next_ns", 0) for fact in session.facts("plan_moved")]
    waits = [next_ns for next_ns in moves if next_ns and next_ns % MINUTE_NS == 0]
    assert len(waits) == len(set(waits)) == 2, "it waits once in a minute"
    assert len(session.state.account.orders.live) == 1
    session.stop()
    check_ordered_end(session)


def test_a_scale_continues_where_its_budget_ended(tmp_path: Path) -> None:
    """Three levels with two placements a minute: two, and one."""
    levels = "tuple(Level(quote.bid - 500 - n, D('0.001')) for n in range(3))"
    session = VirtualSession(
        a_venue(),
        tmp_path / "s",
        strategies=[planner(f'Scale("BTCUSDT", Side.BUY, D("0.003"), {levels}, post_only=False)')],
        risk=RiskSettings(placements_per_minute_max=2),
    )
    session.run(18)
    assert per_minute(session, "place") == [2, 1]
    assert (refused(session), ended(session), len({order.order.price for order in orders(session)})) == ([], (), 3)
    session.stop()
    check_ordered_end(session)


def test_an_exit_of_a_bracket_needs_no_budget(tmp_path: Path) -> None:
    """One placement and no cancel are left: the stop is placed, and the target cancels it and closes the position."""
    bracket = 'Bracket("BTCUSDT", Side.BUY, D("0.01"), stop_price=quote.bid - D(5000), target_price=quote.ask + D(1))'
    risk = RiskSettings(placements_per_minute_max=1, strategy={"planner": ScopeLimits(cancels_per_minute_max=1)})
    session = VirtualSession(a_venue(), tmp_path / "s", strategies=[planner(bracket)], risk=risk)
    session.run(900, until=lambda s: bool(ended(s)))
    assert (ended(session)[0].reason, refused(session)) == ("closed", [])
    session.stop()
    check_ordered_end(session)


def test_an_exit_that_is_cut_to_what_is_left_needs_no_budget(tmp_path: Path) -> None:
    """A sale of the strategy leaves half of the position to the stop of its bracket; the budget is spent."""
    bracket = 'Run(Bracket("BTCUSDT", Side.BUY, D("0.1"), stop_price=D(990), target_price=D(1200)))'
    desk = Desk(tmp_path)
    risk = RiskSettings(placements_per_minute_max=2, sell_holdings=True)
    session = desk.start('Place("BTCUSDT", Side.SELL, D("0.05"), D(1100))', bracket, risk=risk).run(4)
    assert kinds(session)[:3] == [("LIMIT", "open"), ("MARKET", "filled"), ("STOP", "open")]
    assert orders(session)[2].order.quantity == D("0.05")
    session.stop()
    check_ordered_end(session)


def test_amendments_per_minute_at_their_edge(begin: CheckedSessions) -> None:
    session = begin(
        a_venue(), reducer(sizes="0.009 0.008 0.007"), risk=RiskSettings(replacements_per_minute_max=2)
    ).run(15)
    assert per_minute(session, "amend") == [2]
    [rules] = refused(session)
    assert rules["replacement_budget"] == (
        f"2 replacements of {BTCUSDT} in this minute, replacements_per_minute_max is 2"
    )
    verdict = json.loads(session.kinds(Kind.VERDICT)[-1].body or "")
    assert verdict["figures"]["replacements_per_minute_max"] == ["2", "2", "3"]


def test_a_restart_within_the_minute_renews_no_budget(begin: CheckedSessions) -> None:
    venue, risk = a_venue(), RiskSettings(cancels_per_minute_max=2)
    first = begin(venue, flickerer(), risk=risk).run(30, until=lambda s: len(refused(s)) == 1)
    first.kill()
    second = begin(venue, flickerer(), risk=risk, previous=first, opening=first.state)
    second.run(20, until=lambda s: len(refused(s)) == 1)
    assert per_minute(second, "cancel") == []
    assert second.venue.now_ns // MINUTE_NS == first.records[0].time_ns // MINUTE_NS
    check_books(second, all_fills=False)


def test_a_session_without_budgets_counts_nothing(begin: CheckedSessions) -> None:
    session = begin(a_venue(), flickerer()).run(10)
    assert session.state.account.order_budgets == OrderBudgets()
    assert len(cancel_verdicts(session)) > 2
    assert not any("budget" in rule for verdict in cancel_verdicts(session) for rule in verdict["rules"])


MUTANTS: list[tuple[Any, str, Any, Callable[..., None], tuple[Any, ...]]] = [
    (engine.handlers.intents, "budget_rules", lambda *_, **__: {}, test_cancels_per_minute_at_their_edge, ("instrument",)),
    (engine.handlers.intents, "is_spent", lambda *_, **__: False, test_cancels_beyond_their_budget_stay_bounded_in_the_journal, ()),
]  # fmt: skip
PLAN_MUTANTS = [
    ("replacement_from_ns", test_a_chase_waits_for_its_budget_while_its_order_rests, ("instrument",)),
    ("placement_from_ns", test_a_scale_continues_where_its_budget_ended, ()),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[1])
def test_without_a_budget_of_cancels_its_test_fails(
    mutant: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module, name, instead, test, given = mutant
    monkeypatch.setattr(module, name, instead)
    with pytest.raises((AssertionError, LookupError)):
        test(CheckedSessions(tmp_path), *given)


@pytest.mark.parametrize("mutant", PLAN_MUTANTS, ids=lambda mutant: mutant[0])
def test_without_its_wait_a_plans_test_fails(
    mutant: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, test, given = mutant
    monkeypatch.setattr(engine.handlers.run_plans, name, lambda *_: 0)
    with pytest.raises(AssertionError):
        test(tmp_path, *given)


@pytest.mark.parametrize("scope", [BreakerScope.INSTRUMENT, BreakerScope.STRATEGY])
def test_what_an_earlier_minute_used_is_not_used_now(scope: BreakerScope, begin: CheckedSessions) -> None:
    session = begin(a_venue(), flickerer(), risk=RiskSettings(cancels_per_minute_max=2)).run(10)
    subject = BTCUSDT if scope is BreakerScope.INSTRUMENT else "flickerer"
    budgets, now_ns = session.state.account.order_budgets, session.venue.now_ns
    assert budgets.used(BudgetKind.CANCEL, scope, subject, now_ns) == 2
    assert budgets.used(BudgetKind.CANCEL, scope, subject, now_ns + MINUTE_NS) == 0
