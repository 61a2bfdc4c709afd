"""Execution plans in virtual time: each is recorded, sized by its fills, survives a restart, and ends."""

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from beat_market import BeatMarket
from calm_venue import CalmVenue
from checked_sessions import check_ordered_end
from msgspec.structs import replace
from tiers import first_is_quick

from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side
from engine.session_record import SECOND_NS, EngineSettings, RiskSettings, StrategySettings, new_engine_settings
from engine.state.execution_plans import EndedPlan, ExecutionPlan
from engine.state.orders import Order
from journal.record import Kind
from replay.rebuild import rebuild
from replay.replay import replay_session
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

D = Decimal
# as of a venue without order lists: the engine watches the target (tests/test_order_lists.py has those with lists)
ALONE = replace(new_engine_settings(), order_lists=False)
BTCUSDT = "binance_spot:BTCUSDT"
PLANNER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Bracket, Cancel, Chase, Every, Level, MarketLimits, Oco, OrderType, Place, Run, Scale, Side
from verbatim import Timed, Trail, Twap

D = Decimal


class Planner:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        cancel_after: int = 0

    @dataclass
    class State:
        turns: int = 0
        started: bool = False

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        if quote is None:
            return
        state.turns += 1
        if not state.started:
            state.started = True
            yield Run(PLAN, rationale={"turn": state.turns})
        if parameters.cancel_after and state.turns == parameters.cancel_after:
            for plan in view.plans():
                yield Cancel(plan.plan_id)
"""


def planner(plan: str, **parameters: Any) -> StrategySettings:
    return from_sources({"planner": PLANNER.replace("PLAN,", f"{plan},")}, "planner", "Planner", parameters=parameters)


def start(
    tmp_path: Path,
    plan: str,
    *,
    venue: VirtualVenue | None = None,
    engine: EngineSettings | None = None,
    **parameters: Any,
) -> VirtualSession:
    strategies = [planner(plan, **parameters)]
    return VirtualSession(venue or VirtualVenue(), tmp_path / "s", strategies=strategies, engine=engine)


def running(session: VirtualSession) -> list[ExecutionPlan]:
    return session.state.account.plans.by_age()


def ended(session: VirtualSession) -> tuple[EndedPlan, ...]:
    return session.state.account.plans.ended


def orders(session: VirtualSession) -> list[Order]:
    return session.state.account.orders.all()


def position(session: VirtualSession) -> Decimal:
    return session.state.account.positions.get("planner", BTCUSDT).quantity


def finish(session: VirtualSession) -> None:
    assert session.venue.unstruck_faults() == []
    session.stop()
    check_ordered_end(session)


def test_a_timed_order_is_cancelled_when_its_time_is_over(tmp_path: Path) -> None:
    session = start(tmp_path, 'Timed("BTCUSDT", Side.BUY, D("0.01"), quote.bid - 100, lasts_ms=5_000)')
    session.run(30, until=lambda s: bool(orders(s)) and orders(s)[0].status is Status.OPEN)
    session.run(3)
    assert [order.status for order in orders(session)] == [Status.OPEN]
    session.run(5)
    [plan] = ended(session)
    assert (orders(session)[0].status, plan.reason) == (Status.CANCELED, "0.01 is not filled")
    finish(session)


def test_a_scale_rests_at_every_level_and_ends_when_all_are_filled(tmp_path: Path) -> None:
    levels = "tuple(Level(quote.bid - D('0.01') * n, D('0.001')) for n in range(3))"
    session = start(tmp_path, f'Scale("BTCUSDT", Side.BUY, D("0.003"), {levels}, post_only=False)')
    session.run(30, until=lambda s: len(orders(s)) == 3)
    session.run(600, until=lambda s: bool(ended(s)))
    assert (ended(session)[0].reason, position(session) > 0) == ("filled", True)
    finish(session)


def test_a_chase_follows_the_touch_and_never_buys_more(tmp_path: Path) -> None:
    session = start(tmp_path, 'Chase("BTCUSDT", Side.BUY, D("0.01"), offset=D(2), every_ms=500, replacements_max=900)')
    session.run(900, until=lambda s: bool(ended(s)))
    assert (ended(session)[0].reason, ended(session)[0].filled) == ("filled", D("0.01"))
    assert sum(order.filled_quantity for order in orders(session)) == D("0.01")
    assert len(orders(session)) > 1, "it was replaced"
    finish(session)


def test_a_chase_ends_at_its_cap_with_a_market_order_inside_its_limits(tmp_path: Path) -> None:
    terms = 'offset=D(500), every_ms=500, replacements_max=3, market=MarketLimits(slippage_max=D("0.01"))'
    session = start(tmp_path, f'Chase("BTCUSDT", Side.BUY, D("0.01"), {terms})')
    session.run(60, until=lambda s: bool(ended(s)))
    assert [order.order.type for order in orders(session)].count(OrderType.MARKET) == 1
    assert ended(session)[0].filled == D("0.01")
    finish(session)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("cost_max=D(1)", "it would cost"),
        ("spread_max=D('0.0000000001')", "the spread"),
        ("depth_min=D(1000)", "is offered at the touch, less than 1000"),
        ("slippage_max=D('0.0000000001')", "it would slip by"),
    ],
)
def test_a_chase_ends_without_a_market_order_outside_its_limits(tmp_path: Path, limit: str, said: str) -> None:
    size = "3" if "slippage" in limit else "0.01"
    terms = f"offset=D(500), every_ms=500, replacements_max=1, market=MarketLimits({limit})"
    session = start(tmp_path, f'Chase("BTCUSDT", Side.BUY, D("{size}"), {terms})')
    session.run(60, until=lambda s: bool(ended(s)))
    assert said in ended(session)[0].reason
    assert {order.order.type for order in orders(session)} == {OrderType.LIMIT_MAKER}
    assert position(session) == 0
    finish(session)


def test_a_twap_trades_equal_slices_at_equal_times(tmp_path: Path) -> None:
    session = start(tmp_path, 'Twap("BTCUSDT", Side.BUY, D("0.01"), slices=5, every_ms=2_000)')
    session.run(60, until=lambda s: bool(ended(s)))
    assert (ended(session)[0].reason, ended(session)[0].filled) == ("filled", D("0.01"))
    times = [order.created_ns for order in orders(session)]
    assert len(times) >= 5
    assert all(round((later - time) / 1e9) == 2 for time, later in pairwise(times))
    finish(session)


def test_a_plan_ends_when_its_strategy_cancels_it(tmp_path: Path) -> None:
    session = start(tmp_path, 'Chase("BTCUSDT", Side.BUY, D("0.01"), offset=D(500))', cancel_after=10)
    session.run(30, until=lambda s: bool(ended(s)))
    assert ended(session)[0].reason == "ordered to end"
    assert {order.status for order in orders(session)} == {Status.CANCELED}
    finish(session)


BRACKET = 'Bracket("BTCUSDT", Side.BUY, D("0.01"), stop_price=quote.bid - {}, target_price=quote.ask + {})'


@pytest.mark.parametrize(
    ("stop", "target", "exit_type"),
    [("D(2)", "D(5000)", OrderType.STOP), ("D(5000)", "D('0.05')", OrderType.LIMIT)],
    ids=["stop", "target"],
)
def test_a_bracket_closes_at_the_stop_or_at_the_target(
    tmp_path: Path, stop: str, target: str, exit_type: OrderType
) -> None:
    session = start(tmp_path, BRACKET.format(stop, target), engine=ALONE)
    session.run(30, until=lambda s: len(orders(s)) == 2)
    entry, protection = orders(session)
    assert (entry.order.type, protection.order.type) == (OrderType.MARKET, OrderType.STOP)
    session.run(1800, until=lambda s: bool(ended(s)))
    assert ended(session)[0].reason == "closed"
    closing = [order for order in orders(session) if order.order.side is Side.SELL and order.filled_quantity]
    assert closing[-1].order.type is exit_type
    assert position(session) < D("0.00001")
    assert not [order for order in orders(session) if order.status in LIVE]
    finish(session)


def test_the_stop_of_a_bracket_covers_what_its_fees_leave(tmp_path: Path) -> None:
    session = start(tmp_path, BRACKET.format("D(5000)", "D(5000)"), engine=ALONE)
    session.run(30, until=lambda s: len(orders(s)) == 2).run(1)
    entry, protection = orders(session)
    assert entry.filled_quantity == D("0.01")
    assert protection.order.quantity == D("0.00999"), "a tenth of a per cent went to the venue, in BTC"
    assert protection.status is Status.OPEN


def holding(plan: str) -> StrategySettings:
    """Return a strategy that buys at market, and runs the plan three seconds later."""
    first = 'yield Place("BTCUSDT", Side.BUY, D("0.01"), type=OrderType.MARKET)'
    source = PLANNER.replace("yield Run(", f"{first}\n        elif state.turns == 6:\n            yield Run(")
    return from_sources({"planner": source.replace("PLAN,", f"{plan},")}, "planner", "Planner")


@pytest.mark.parametrize(("stop", "target"), [("D(1)", "D(5000)"), ("D(5000)", "D('0.05')")], ids=["stop", "target"])
def test_one_cancels_the_other(tmp_path: Path, stop: str, target: str) -> None:
    plan = f'Oco("BTCUSDT", Side.SELL, D("0.01"), stop_price=quote.bid - {stop}, target_price=quote.ask + {target})'
    session = VirtualSession(VirtualVenue(seed=2), tmp_path / "s", strategies=[holding(plan)], engine=ALONE)
    session.run(60, until=lambda s: len(orders(s)) == 2).run(1)
    protection = orders(session)[1]
    assert (protection.order.type, protection.order.quantity) == (OrderType.STOP, D("0.00999"))
    session.run(1800, until=lambda s: bool(ended(s)))
    assert ended(session)[0].reason == "closed"
    sold = [order for order in orders(session) if order.order.side is Side.SELL and order.filled_quantity]
    assert sum(order.filled_quantity for order in sold) == D("0.00999"), "once"
    assert {order.order.type for order in sold} == {OrderType.STOP if target == "D(5000)" else OrderType.LIMIT}
    finish(session)


def test_a_trailing_stop_follows_and_closes(tmp_path: Path) -> None:
    plan = 'Trail("BTCUSDT", Side.SELL, D("0.01"), amount=D("0.10"))'
    session = VirtualSession(VirtualVenue(), tmp_path / "s", strategies=[holding(plan)])
    session.run(60, until=lambda s: bool(running(s)))
    session.run(1800, until=lambda s: bool(ended(s)))
    assert ended(session)[0].reason == "closed"
    marks = [D(fact["mark"]) for fact in session.facts("plan_moved") if "mark" in fact]
    assert marks == sorted(marks), "the mark of a long position only rises"
    assert len(set(marks)) > 2, "it rose"
    assert position(session) < D("0.00001")
    finish(session)


@pytest.mark.slow
@pytest.mark.parametrize("moment", first_is_quick(range(12), 3))
def test_a_bracket_survives_the_death_of_the_engine(tmp_path: Path, moment: int) -> None:
    """Kill the engine at the moment-th step after the plan began. The next session continues the plan before all else."""
    venue = CalmVenue()
    first = start(tmp_path, BRACKET.format("D(50)", "D(5000)"), venue=venue, engine=ALONE)
    first.run(30, until=lambda s: bool(running(s)))
    steps = iter(range(1_000))
    first.run(30, until=lambda _: next(steps) >= moment)
    first.kill()
    _, state, _ = rebuild(first.folder)
    venue.now_ns += 5 * SECOND_NS
    second = VirtualSession(
        venue,
        tmp_path / "t",
        strategies=[planner(BRACKET.format("D(50)", "D(5000)"))],
        previous=first,
        opening=state,
        session="bbbbbbbb",
        engine=ALONE,
    )
    second.run(20)
    stops = [order for order in orders(second) if order.order.type is OrderType.STOP and order.status is Status.OPEN]
    bought = sum(D(fill["quantity"]) for fill in venue.get("/sim/state")["fills"])
    assert bought in (0, D("0.01"))
    assert sum(order.leaves_quantity for order in stops) == (D("0.00999") if bought else 0)
    assert bool(running(second)) == bool(bought), "an entry that never reached the venue ends the plan"
    assert sorted(order["client_order_id"] for order in venue.get("/sim/state")["open_orders"]) == sorted(
        order.client_order_id for order in stops
    )
    own = [json.loads(record.body or "") for record in second.kinds(Kind.INTENT)]
    assert not own or own[0]["plan_id"] == running(second)[0].plan_id, "nothing trades before the protection is back"
    assert set(venue.get("/sim/state")["client_order_ids"].values()) <= {1}
    second.writer.wait_durable(second.records[-1].seq, 60)
    verdict = replay_session(second.folder)
    assert verdict.identical, verdict.text()


def test_a_stop_that_the_venue_refuses_closes_the_position(tmp_path: Path) -> None:
    """The market is beyond the stop already: there is nothing to wait for."""
    plan = 'Oco("BTCUSDT", Side.SELL, D("0.01"), stop_price=quote.ask + 50, target_price=quote.ask + 5000)'
    session = VirtualSession(VirtualVenue(), tmp_path / "s", strategies=[holding(plan)], engine=ALONE)
    session.run(60, until=lambda s: bool(ended(s)))
    _, refused, closing = orders(session)
    assert (refused.order.type, refused.status) == (OrderType.STOP, Status.REJECTED)
    assert (closing.order.type, closing.filled_quantity) == (OrderType.MARKET, D("0.00999"))
    finish(session)


def test_a_safety_order_ends_a_plan_and_its_orders(tmp_path: Path) -> None:
    session = start(tmp_path, 'Chase("BTCUSDT", Side.BUY, D("0.01"), offset=D(500))')
    session.run(30, until=lambda s: any(order.status is Status.OPEN for order in orders(s)))
    session.command("cancel_all").run(10)
    assert ended(session)[0].reason == "ordered to end"
    assert session.venue.get("/sim/state")["open_orders"] == []
    placed = len(orders(session))
    session.run(10)
    assert len(orders(session)) == placed, "a plan that has ended places nothing"
    finish(session)


@pytest.mark.slow
def test_a_plan_whose_orders_risk_refuses_waits_longer_each_time_and_ends(tmp_path: Path) -> None:
    plan = 'Chase("BTCUSDT", Side.BUY, D("0.01"))'
    session = VirtualSession(
        VirtualVenue(market=BeatMarket()),
        tmp_path / "s",
        strategies=[planner(plan)],
        risk=RiskSettings(order_size_max=D("0.001")),
    )
    session.run(900, until=lambda s: bool(ended(s)))
    assert (ended(session)[0].reason, orders(session)) == ("ordered to end", [])
    refused = [record.time_ns for record in session.kinds(Kind.INTENT)[1:]]
    waits = [(later - time) / SECOND_NS for time, later in pairwise(refused)]
    assert len(refused) == 20
    assert (waits[0] < 2.5, waits[-1] >= 30) == (True, True), waits
    finish(session)
