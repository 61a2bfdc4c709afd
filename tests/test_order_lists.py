"""Native order lists in virtual time: both exits of a bracket rest at the venue as one list."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from checked_sessions import check_ordered_end
from steered_market import SteeredMarket
from test_plans import BTCUSDT, ended, holding, orders, planner, position, running

from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side
from engine.state.orders import Order
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue

D = Decimal
OCO = 'Oco("BTCUSDT", Side.SELL, D("0.01"), stop_price=D(59900), target_price=D(60100){})'
MARKET_BRACKET = 'Bracket("BTCUSDT", Side.BUY, D("0.01"), stop_price=D(59900), target_price=D(60100){})'
LIMIT_BRACKET = (
    'Bracket("BTCUSDT", Side.BUY, D("0.01"), entry_price=D(59990), stop_price=D(59900), target_price=D(60100){})'
)


class Desk:
    """A session with a market that the test steers."""

    def __init__(self, folder: Path, plan: str, *, more: str = "", **settings: Any) -> None:
        self.market = SteeredMarket()
        self.venue = VirtualVenue(market=self.market, balances=settings.pop("balances", {"USDT": "100000"}))
        make = holding if plan == OCO else planner
        self.session = VirtualSession(self.venue, folder / "s", strategies=[make(plan.format(more))], **settings)

    def until(self, condition: Any, seconds: float = 30) -> None:
        self.session.run(seconds, until=condition)
        assert condition(self.session), [(order.client_order_id, order.status) for order in orders(self.session)]

    @property
    def exits(self) -> list[Order]:
        return [order for order in orders(self.session) if order.order.side is Side.SELL]

    @property
    def open_lists(self) -> list[Any]:
        return self.venue.by_hand("GET", "/api/v3/openOrderList")[1]

    def finish(self) -> None:
        assert self.venue.unstruck_faults() == []
        self.session.stop()
        check_ordered_end(self.session)


def rest(session: VirtualSession) -> bool:
    """Return True if both exits rest at the venue."""
    exits = [order for order in orders(session) if order.order.side is Side.SELL]
    is_entered = all(order.status not in LIVE for order in orders(session) if order.order.side is Side.BUY)
    return is_entered and len(exits) == 2 and {order.status for order in exits} == {Status.OPEN}


@pytest.mark.parametrize("plan", [OCO, MARKET_BRACKET, LIMIT_BRACKET], ids=["oco", "market bracket", "limit bracket"])
def test_both_exits_rest_at_the_venue_as_one_list(tmp_path: Path, plan: str) -> None:
    desk = Desk(tmp_path, plan)
    if plan == LIMIT_BRACKET:
        desk.until(lambda s: len(orders(s)) == 3 and orders(s)[0].status is Status.OPEN)
        desk.market.price = "59980"
    desk.until(rest)
    desk.market.price = "60000"
    desk.session.run(2)
    stop, target = desk.exits
    assert (stop.order.type, stop.order.stop_price) == (OrderType.STOP, 59900)
    assert (target.order.type, target.order.price) == (OrderType.LIMIT_MAKER, 60100)
    assert {order.order.quantity for order in desk.exits} == {D("0.00999")}, "what the fees leave"
    [order_list] = desk.open_lists
    assert {each["clientOrderId"] for each in order_list["orders"]} >= {order.client_order_id for order in desk.exits}
    assert order_list["listClientOrderId"] == stop.list_id == target.list_id
    [request] = [json.loads(r.body or "") for r in desk.session.kinds(Kind.REQUEST) if '"place_list"' in (r.body or "")]
    assert request["client_order_id"] == stop.list_id
    verdicts = [record.key for record in desk.session.kinds(Kind.VERDICT)]
    assert verdicts.count(stop.list_id) == 1, "one verdict for the list"
    btc = desk.session.state.account.balances.get("BTC")
    assert (btc.free, btc.locked) == (0, D("0.00999")), "the pair is locked once"
    desk.finish()


@pytest.mark.parametrize("plan", [OCO, MARKET_BRACKET, LIMIT_BRACKET], ids=["oco", "market bracket", "limit bracket"])
@pytest.mark.parametrize("price", ["59890", "60110"], ids=["stop", "target"])
def test_one_exit_ends_the_other_and_the_plan(tmp_path: Path, plan: str, price: str) -> None:
    desk = Desk(tmp_path, plan)
    if plan == LIMIT_BRACKET:
        desk.until(lambda s: len(orders(s)) == 3 and orders(s)[0].status is Status.OPEN)
        desk.market.price = "59980"
    desk.until(rest)
    desk.market.price = price
    desk.until(lambda s: bool(ended(s)))
    stop, target = desk.exits
    filled, expired = (stop, target) if price == "59890" else (target, stop)
    assert (filled.status, expired.status) == (Status.FILLED, Status.EXPIRED)
    assert ended(desk.session)[0].reason == "closed"
    assert position(desk.session) < D("0.00001")
    assert not [order for order in orders(desk.session) if order.status in LIVE]
    assert desk.session.facts("order_amended") == [] or plan == LIMIT_BRACKET
    desk.finish()


def test_the_rest_of_a_target_that_fills_in_part_is_protected_again(tmp_path: Path) -> None:
    """The venue ends the stop with the first fill of the target, so the rest would have none."""
    desk = Desk(tmp_path, OCO)
    desk.until(rest)
    desk.market.trade("60101", "0.004")
    desk.until(lambda s: len(orders(s)) == 5)
    desk.until(lambda s: [order.status for order in orders(s)[3:]] == [Status.OPEN, Status.OPEN])
    stop, target, again, target_again = desk.exits
    assert (stop.status, target.status, target.filled_quantity) == (Status.EXPIRED, Status.CANCELED, D("0.004"))
    assert {again.order.quantity, target_again.order.quantity} == {D("0.00599")}
    desk.market.price = "60110"
    desk.until(lambda s: bool(ended(s)))
    assert (position(desk.session), ended(desk.session)[0].filled) == (0, D("0.00999"))
    desk.finish()
