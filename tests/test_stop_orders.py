"""Stops and take-profits through the engine: placed, held by the venue, triggered by its market, replayed.

The synthetic market moves by itself, so each stop near the price is reached within minutes.
"""

import json
from collections import Counter
from decimal import Decimal

import pytest
from checked_sessions import CheckedSessions

from engine.lifecycle import Status
from engine.model import OrderType
from engine.state.orders import Order
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue


class Desk:
    """Sessions of one account, one after the other."""

    def __init__(self, begin: CheckedSessions) -> None:
        self.begin, self.venue = begin, VirtualVenue(fees=("0", "0"))

    def start(self, *, previous: VirtualSession | None = None, **parameters: str) -> VirtualSession:
        opening = None if previous is None else previous.state
        return self.begin(self.venue, "protected", parameters=parameters, previous=previous, opening=opening)

    def venue_orders(self) -> list[dict[str, str]]:
        return self.venue.get("/sim/state")["open_orders"]


@pytest.fixture
def desk(begin: CheckedSessions) -> Desk:
    return Desk(begin)


def stop_of(session: VirtualSession) -> Order | None:
    return next((order for order in session.state.account.orders.all() if order.order.terms.trigger), None)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (OrderType.STOP, {"distance": "0.05"}),
        (OrderType.STOP_LIMIT, {"distance": "0.05", "limit": "5"}),
        (OrderType.TAKE_PROFIT, {"distance": "-0.05"}),
        (OrderType.TAKE_PROFIT_LIMIT, {"distance": "-0.05", "limit": "5"}),
    ],
)
def test_a_protected_position_is_closed_once_the_market_reaches_the_stop(
    desk: Desk, kind: OrderType, parameters: dict[str, str]
) -> None:
    session = desk.start(type=kind.value, **parameters)
    session.run(60, until=lambda s: stop_of(s) is not None and stop_of(s).status is Status.OPEN)
    stop = stop_of(session)
    assert stop is not None
    assert (stop.order.type, stop.status) == (kind, Status.OPEN)
    assert stop.client_order_id in [order["client_order_id"] for order in desk.venue_orders()]
    session.run(1800, until=lambda s: stop_of(s).status is Status.FILLED)
    stop = stop_of(session)
    assert stop.status is Status.FILLED
    assert session.state.account.positions.net("binance_spot:BTCUSDT") == 0
    assert desk.venue_orders() == []
    requests = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    assert Counter(request["purpose"] for request in requests)["place"] == 2


def test_a_held_stop_outlives_the_session_and_is_known_to_the_next(desk: Desk) -> None:
    first = desk.start(type="STOP", distance="5000")
    first.run(60, until=lambda s: stop_of(s) is not None and stop_of(s).status is Status.OPEN)
    name = stop_of(first).client_order_id
    second = desk.start(previous=first, type="STOP", distance="5000").run(10)
    stop = second.state.account.orders.known(name)
    assert (stop.status, stop.adopted, stop.order.terms.trigger) == (Status.OPEN, False, stop.order.stop_price)
    assert [order["client_order_id"] for order in desk.venue_orders()] == [name]


def test_a_stop_on_the_wrong_side_is_refused_by_the_venue_and_said(desk: Desk) -> None:
    session = desk.start(type="STOP", distance="-50").run(
        60, until=lambda s: stop_of(s) is not None and stop_of(s).status is Status.REJECTED
    )
    closed = session.facts("order_closed")[-1]
    assert (closed["status"], closed["reason"]) == ("rejected", "-2010 Order would trigger immediately.")
    assert session.state.account.positions.net("binance_spot:BTCUSDT") == Decimal("0.01")


def test_a_held_stop_that_is_cancelled_was_never_triggered(desk: Desk) -> None:
    session = desk.start(type="STOP", distance="500")
    session.run(60, until=lambda s: stop_of(s) is not None and stop_of(s).status is Status.OPEN)
    name = stop_of(session).client_order_id
    desk.venue.fault(action="events_before_answer")
    session.command("cancel_all").run(3)
    assert session.state.account.orders.get(name).status is Status.CANCELED
    assert session.facts("order_triggered") == []
