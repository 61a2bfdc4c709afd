"""Exits that the venue or risk refuses for a reason that passes, and rests that are too small, in virtual time."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from checked_sessions import notes
from msgspec.structs import replace
from test_order_lists import LIMIT_BRACKET, MARKET_BRACKET, OCO, Desk, rest
from test_plans import ALONE, ended, holding, orders, position, running

import verbatim.testing
from analysis import sql_session
from engine.lifecycle import Status
from engine.live.session_status import protections
from engine.model import OrderType
from engine.session_record import SECOND_NS, RuleSettings
from engine.state.protection import ProtectedBy, protected_by
from journal.record import Kind
from replay.state_report import describe_state
from verbatim.testing import VirtualSession

D = Decimal
POST = {"method": "POST", "path": "/api/v3/order"}
PASSING = {
    "rate limit": {"action": "reject", "status": 429, "code": -1003, "msg": "Too many requests.", "retry_after_s": 2},
    "too many orders": {"action": "reject", "status": 429, "code": -1015, "msg": "Too many new orders."},
    "overload": {"action": "reject", "status": 400, "code": -1008, "msg": "Server is currently overloaded."},
    "error": {"action": "reject", "status": 503, "code": -1000, "msg": "An unknown error occurred."},
    "timestamp": {"action": "reject", "status": 400, "code": -1021, "msg": "Timestamp outside of the recvWindow."},
    "funds": {
        "action": "reject", "status": 400, "code": -2010, "msg": "Account has insufficient balance for requested action.",
    },
    "stops": {"action": "reject", "status": 400, "code": -1013, "msg": "Filter failure: MAX_NUM_ALGO_ORDERS"},
}  # fmt: skip
STAYING = {
    "trigger": {"action": "reject", "status": 400, "code": -2010, "msg": "Order would trigger immediately."},
    "filter": {"action": "reject", "status": 400, "code": -1013, "msg": "Filter failure: PRICE_FILTER"},
}
TRAIL = 'Trail("BTCUSDT", Side.SELL, D("0.01"), basis_points=100)'
NO_STOPS = {"action": "change_rules", "symbol": "BTCUSDT", "rules": {"algo_orders_max": "0"}}
STOPS = {"action": "change_rules", "symbol": "BTCUSDT", "rules": {"algo_orders_max": "5"}}

NO_STOPS_RULE = """
from verbatim import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    return "" if context.terms.trigger is None else "no stops"


no_stops = RiskRule(reject_reason)
"""


def sales(desk: Desk) -> list[tuple[OrderType, Status]]:
    return [(order.order.type, order.status) for order in desk.exits]


def bought(desk: Desk) -> None:
    """Run until the strategy has its position, and its plan has not begun."""
    desk.until(lambda s: position(s) > 0)
    assert desk.exits == []


def trailing(folder: Path) -> Desk:
    desk = Desk(folder, OCO)
    desk.session = VirtualSession(desk.venue, folder / "u", strategies=[holding(TRAIL)])
    return desk


@pytest.mark.slow
@pytest.mark.parametrize("refusal", PASSING.values(), ids=PASSING)
def test_a_stop_that_is_refused_for_a_reason_that_passes_is_placed_again(
    tmp_path: Path, refusal: dict[str, Any]
) -> None:
    desk = Desk(tmp_path, OCO, engine=ALONE)
    bought(desk)
    desk.venue.fault(**POST, **refusal, times=2)
    desk.until(lambda s: bool(desk.exits) and desk.exits[-1].status is Status.OPEN, 90)
    assert {kind for kind, _ in sales(desk)} == {OrderType.STOP}, "the position is not closed at market"
    assert (len(desk.exits), position(desk.session)) == (3, D("0.00999"))
    desk.finish(kept=1)


@pytest.mark.parametrize("refusal", STAYING.values(), ids=STAYING)
def test_a_stop_that_the_venue_will_not_take_is_closed_at_market(tmp_path: Path, refusal: dict[str, Any]) -> None:
    desk = Desk(tmp_path, OCO, engine=ALONE)
    bought(desk)
    desk.venue.fault(**POST, **refusal)
    desk.until(lambda s: bool(ended(s)))
    assert sales(desk) == [(OrderType.STOP, Status.REJECTED), (OrderType.MARKET, Status.FILLED)]
    desk.finish()


def test_a_session_of_order_rules_2_closes_at_market_as_it_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbatim.testing, "newest_rules", lambda settings: replace(settings, order_rules=2))
    desk = Desk(tmp_path, OCO, engine=replace(ALONE, order_rules=2))
    bought(desk)
    desk.venue.fault(**POST, **PASSING["funds"])
    desk.until(lambda s: bool(ended(s)))
    assert sales(desk) == [(OrderType.STOP, Status.REJECTED), (OrderType.MARKET, Status.FILLED)]
    assert not [record for record in desk.session.records if "is_temporary" in (record.body or "")]
    desk.finish()


@pytest.mark.slow
def test_the_engine_watches_the_price_of_a_stop_that_the_venue_refuses_for_long(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO, engine=ALONE)
    bought(desk)
    desk.venue.fault(**NO_STOPS)
    desk.session.run(60)
    tries = [order.created_ns for order in desk.exits]
    assert {kind for kind, _ in sales(desk)} == {OrderType.STOP}
    waits = [round((later - time) / SECOND_NS) for time, later in pairwise(tries)]
    assert waits == [1, 2, 4, 8, 16], "longer each time"
    desk.market.price = "59890"
    fell_ns = desk.venue.now_ns
    desk.until(lambda s: bool(ended(s)))
    assert sales(desk)[-1] == (OrderType.MARKET, Status.FILLED)
    assert desk.exits[-1].created_ns - fell_ns < SECOND_NS // 2, "it does not wait for the next try"
    desk.finish()


def test_a_stop_rests_at_the_venue_as_soon_as_the_venue_takes_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO, engine=ALONE)
    bought(desk)
    desk.venue.fault(**NO_STOPS)
    desk.session.run(10)
    desk.venue.fault(**STOPS)
    desk.until(lambda s: desk.exits[-1].status is Status.OPEN, 20)
    desk.finish(kept=1)


def test_the_engine_watches_stop_and_target_while_list_and_stop_are_refused(tmp_path: Path) -> None:
    """A list that is refused is followed by its stop at once; then both wait, and the list is tried again."""
    desk = Desk(tmp_path, OCO)
    bought(desk)
    desk.venue.fault(**NO_STOPS)
    desk.session.run(5)
    assert [bool(order.list_id) for order in desk.exits[:3]] == [True, True, False]
    desk.venue.fault(**STOPS)
    desk.until(lambda s: any(order.status is Status.OPEN for order in desk.exits), 30)
    assert OrderType.MARKET not in {kind for kind, _ in sales(desk)}
    desk.market.price = "59890"
    desk.until(lambda s: bool(ended(s)))
    assert sum(order.filled_quantity for order in desk.exits) == D("0.00999"), "once"
    desk.finish()


@pytest.mark.parametrize("plan", ["oco", "trail"])
def test_a_stop_that_risk_refuses_is_watched_by_the_engine(tmp_path: Path, plan: str) -> None:
    rules = (RuleSettings(name="no_stops", module="no_stops", rule="no_stops", sources={"no_stops": NO_STOPS_RULE}),)
    desk = Desk(tmp_path, OCO, engine=ALONE, rules=rules)
    if plan == "trail":
        desk.session = VirtualSession(desk.venue, tmp_path / "u", strategies=[holding(TRAIL)], rules=rules)
    bought(desk)
    desk.session.run(20)
    assert desk.exits == []
    alarms = [text for text in notes(desk.session, "alarm") if "its position is unprotected" in text]
    assert 4 <= len(alarms) <= 6, "longer waits each time"
    desk.market.price = "59890" if plan == "oco" else "59300"
    desk.until(lambda s: bool(ended(s)), 2)
    assert sales(desk) == [(OrderType.MARKET, Status.FILLED)]
    desk.finish()


def test_a_stop_that_risk_refuses_after_its_list_waits_longer_each_time(tmp_path: Path) -> None:
    alone = NO_STOPS_RULE.replace("is None else", "is None or context.linked else")
    rules = (RuleSettings(name="no_stops", module="no_stops", rule="no_stops", sources={"no_stops": alone}),)
    desk = Desk(tmp_path, OCO, rules=rules)
    bought(desk)
    desk.venue.fault(action="reject", method="POST", path="/api/v3/orderList/oco", status=400, code=-2010, msg="no")
    desk.session.run(20)
    intents = [record for record in desk.session.kinds(Kind.INTENT) if '"STOP"' in (record.body or "")]
    assert 5 <= len(intents) <= 7, "the list, and the tries of its stop"
    desk.market.price = "60110"
    desk.until(lambda s: bool(ended(s)), 2)
    assert sales(desk)[-1] == (OrderType.LIMIT, Status.FILLED), "the engine watches the target too"
    desk.finish()


def test_an_exit_at_the_target_that_the_venue_refuses_waits_longer_each_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path, OCO, engine=ALONE)
    bought(desk)
    desk.until(lambda s: bool(desk.exits) and desk.exits[0].status is Status.OPEN)
    desk.venue.fault(**POST, **PASSING["funds"], times=4)
    desk.market.price = "60110"
    desk.until(lambda s: bool(ended(s)), 40)
    tries = [order.created_ns for order in desk.exits[1:]]
    assert [round((later - time) / SECOND_NS) for time, later in pairwise(tries)] == [1, 2, 4, 8]
    desk.finish()


@pytest.mark.slow
@pytest.mark.parametrize("refusal", PASSING.values(), ids=PASSING)
def test_a_trailing_stop_that_is_refused_for_a_reason_that_passes_rests_at_the_venue_later(
    tmp_path: Path, refusal: dict[str, Any]
) -> None:
    desk = trailing(tmp_path)
    bought(desk)
    desk.venue.fault(**POST, **refusal, times=2)
    desk.until(lambda s: bool(desk.exits) and desk.exits[-1].status is Status.OPEN, 90)
    [plan] = running(desk.session)
    assert protected_by(plan, desk.session.state.account.orders.live) is ProtectedBy.VENUE
    assert {kind for kind, _ in sales(desk)} == {OrderType.STOP}
    desk.session.run(2)
    assert running(desk.session)[0].mark == 0, "the venue follows alone: the market is at its best price"
    desk.finish(kept=1)


def test_a_trailing_stop_follows_while_it_is_refused_and_the_engine_closes(tmp_path: Path) -> None:
    desk = trailing(tmp_path)
    bought(desk)
    desk.venue.fault(**NO_STOPS)
    desk.session.run(4)
    desk.market.price = "61000"
    desk.session.run(2)
    desk.market.price = "60380"
    desk.until(lambda s: bool(ended(s)), 5)
    assert sales(desk)[-1] == (OrderType.MARKET, Status.FILLED)
    desk.finish()


def test_the_engine_keeps_the_best_price_until_the_venue_has_it_too(tmp_path: Path) -> None:
    """The venue takes the stop when the market is below its best price: its own stop is lower than the plan's."""
    desk = trailing(tmp_path)
    bought(desk)
    desk.venue.fault(**NO_STOPS)
    desk.session.run(4)
    desk.market.price = "61000"
    desk.session.run(2)
    desk.market.price = "60500"
    desk.session.run(2)
    desk.venue.fault(**STOPS)
    desk.until(lambda s: desk.exits[-1].status is Status.OPEN, 30)
    assert running(desk.session)[0].mark == D("60999.99")
    desk.market.price = "60380"
    desk.until(lambda s: bool(ended(s)), 5)
    assert sales(desk)[-2:] == [(OrderType.STOP, Status.CANCELED), (OrderType.MARKET, Status.FILLED)]
    assert sum(order.filled_quantity for order in desk.exits) == D("0.00999"), "once"
    desk.finish()


# ---- rests that are too small --------------------------------------------------------------------------------------


def test_a_bracket_ends_with_a_filled_part_that_the_venue_would_not_sell(tmp_path: Path) -> None:
    plan = MARKET_BRACKET.replace("{}", ", entry_price=D(59990), entry_lasts_ms=5_000{}")
    desk = Desk(tmp_path, plan, engine=ALONE)
    desk.until(lambda s: bool(orders(s)) and orders(s)[0].status is Status.OPEN)
    desk.market.trade("59989", "0.00005")
    desk.until(lambda s: bool(ended(s)))
    assert ended(desk.session)[0].reason == "0.00004995 is left: too small to order"
    assert sales(desk) == []
    desk.finish()


def test_the_rest_of_a_target_that_is_too_small_ends_at_the_stop(tmp_path: Path) -> None:
    """It may fill at its target until then: the venue would take no other order for it."""
    desk = Desk(tmp_path, OCO)
    desk.until(rest)
    desk.market.trade("60101", "0.00991")
    desk.until(lambda s: desk.exits[0].status is Status.EXPIRED)
    desk.session.run(5)
    assert sales(desk) == [(OrderType.STOP, Status.EXPIRED), (OrderType.LIMIT_MAKER, Status.PARTIALLY_FILLED)]
    desk.market.price = "59890"
    desk.until(lambda s: bool(ended(s)))
    assert ended(desk.session)[0].reason == "closed, but 0.00008 is left: too small to order"
    assert sales(desk)[1:] == [(OrderType.LIMIT_MAKER, Status.CANCELED)]
    desk.finish()


@pytest.mark.parametrize("plan", ["stop", "trail"])
def test_a_position_below_a_new_least_notional_ends_the_plan(tmp_path: Path, plan: str) -> None:
    """The venue raises its bound while the position is open; the engine reads it after the refusal."""
    desk = Desk(tmp_path, OCO, engine=ALONE)
    if plan == "trail":
        amount = TRAIL.replace("basis_points=100", "amount=D(50)")
        desk.session = VirtualSession(desk.venue, tmp_path / "u", strategies=[holding(amount)])
    bought(desk)
    desk.venue.fault(action="change_rules", symbol="BTCUSDT", rules={"notional_min": "1000"})
    desk.session.run(3)
    desk.market.price = "59890"
    desk.until(lambda s: bool(ended(s)), 30)
    assert ended(desk.session)[0].reason == "0.00999 is left: too small to order"
    desk.finish()


def test_a_chase_ends_with_a_rest_that_is_too_small(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 'Chase("BTCUSDT", Side.BUY, D("0.01"), every_ms=500{})')
    desk.until(lambda s: bool(orders(s)) and orders(s)[0].status is Status.OPEN)
    desk.market.trade("59999", "0.00995")
    desk.until(lambda s: orders(s)[0].filled_quantity > 0)
    desk.market.price = "60001"
    desk.until(lambda s: bool(ended(s)))
    assert (len(orders(desk.session)), orders(desk.session)[0].status) == (1, Status.CANCELED)
    assert ended(desk.session)[0].reason == "0.00005 is not filled: too small to order"
    desk.finish()


def test_slices_of_a_twap_that_are_too_small_join_the_next(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 'Twap("BTCUSDT", Side.BUY, D("0.0002"), slices=5, every_ms=500{})')
    desk.until(lambda s: bool(ended(s)))
    assert [order.order.quantity for order in orders(desk.session)] == [D("0.00012")]
    assert ended(desk.session)[0].reason == "0.00008000 is not filled"
    assert not [r for r in desk.session.kinds(Kind.VERDICT) if '"approved":false' in (r.body or "")]
    desk.finish()


# ---- protected by whom ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exits_that_wait_for_their_entry_protect_nothing_in_every_reader(tmp_path: Path) -> None:
    """`ask`, the SQL views, the status line and a strategy's view name the same holder before and after the entry."""
    desk = Desk(tmp_path, LIMIT_BRACKET)
    desk.until(lambda s: len(orders(s)) == 3 and {order.status for order in orders(s)} == {Status.OPEN})
    assert holders(desk) == ([None, None, None], "engine")
    desk.market.trade("59989", "0.004")
    desk.until(lambda s: orders(s)[0].filled_quantity == D("0.004"))
    assert holders(desk) == ([None, None, None], "engine"), "the venue places the exits when the entry is filled whole"
    desk.market.price = "59980"
    desk.until(rest)
    assert holders(desk) == ([None, "venue", None], "venue")
    desk.finish(kept=2)
    assert in_sql(desk) == ([None, "venue", None], "venue"), "the exits stay at the venue"


def holders(desk: Desk) -> tuple[list[str | None], str]:
    """Return the holder of each order's stop, and of the plan's, as every reader names them."""
    session, state = desk.session, desk.session.state
    report = describe_state(session.sequencer.kernel, state, session.records[-1])
    told = [order["protected_by"] for order in report["orders"]], str(report["plans"][0]["protected_by"])
    assert protections(state) == {told[1]: 1}
    assert in_sql(desk) == told
    return told


def in_sql(desk: Desk) -> tuple[list[str | None], str]:
    desk.session.writer.wait_durable(desk.session.records[-1].seq, 60)
    connection = sql_session.connect(desk.session.folder)
    rows = sql_session.run_query(connection, "SELECT protected_by FROM orders ORDER BY client_order_id").rows
    [[plan]] = sql_session.run_query(connection, "SELECT protected_by FROM plans").rows
    return [holder for (holder,) in rows], plan
