"""Amendments: an order is reduced in place, and its terms follow the venue's reports alone."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import check_ordered_end

from engine.lifecycle import Status
from engine.session_record import StrategySettings
from engine.state.orders import Order
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

D = Decimal
REDUCER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Amend, Every, Place, Side


class Reducer:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=1000)

    @dataclass
    class Parameters:
        below: Decimal = Decimal(100)
        sizes: str = "0.004"

    @dataclass
    class State:
        asked: int = 0
        placed: bool = False

    @staticmethod
    def decide(view, state, parameters):
        orders = view.orders("BTCUSDT")
        quote = view.quote("BTCUSDT")
        if not state.placed and quote is not None:
            state.placed = True
            yield Place("BTCUSDT", Side.BUY, Decimal("0.01"), quote.bid - parameters.below)
        sizes = parameters.sizes.split()
        if orders and state.asked < len(sizes):
            yield Amend(orders[0].client_order_id, Decimal(sizes[state.asked]), rationale={"asked": state.asked})
            state.asked += 1
"""
AMEND = {"method": "PUT", "path": "/api/v3/order/amend/keepPriority"}


def reducer(**parameters: Any) -> StrategySettings:
    return from_sources({"reducer": REDUCER}, "reducer", "Reducer", parameters=parameters)


def started(tmp_path: Path, venue: VirtualVenue, **parameters: Any) -> VirtualSession:
    session = VirtualSession(venue, tmp_path / "s", strategies=[reducer(**parameters)])
    return session.run(30, until=lambda s: s.state.account.strategies.get("reducer").state.get("asked", 0) > 0).run(3)


def the_order(session: VirtualSession) -> Order:
    [order] = session.state.account.orders.all()
    return order


def ended(session: VirtualSession) -> None:
    assert session.venue.unstruck_faults() == []
    session.stop()
    check_ordered_end(session)


def requests(session: VirtualSession) -> Counter[str]:
    return Counter(json.loads(record.body or "")["purpose"] for record in session.kinds(Kind.REQUEST))


def test_an_order_is_reduced_in_place(tmp_path: Path) -> None:
    """The order keeps its ids, at the venue too. Our own amendment is no alarm."""
    session = started(tmp_path, CalmVenue())
    order = the_order(session)
    assert (order.status, order.order.quantity, order.venue_client_id) == (Status.OPEN, D("0.004"), "")
    [theirs] = session.venue.get("/sim/state")["open_orders"]
    assert (theirs["client_order_id"], D(theirs["quantity"])) == (order.client_order_id, D("0.004"))
    assert requests(session)["amend"] == 1
    assert [fact["quantity"] for fact in session.facts("order_amended")] == ["0.004"]
    assert not [note for note in session.kinds(Kind.NOTE) if "at the venue" in (note.body or "")]
    ended(session)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ("0.01", "quantity 0.01 is not below 0.01: place another order for more"),
        ("0.02", "quantity 0.02 is not below 0.01: place another order for more"),
        ("0.0000001", "quantity 1E-7 is not a multiple of the lot 0.00001"),
        ("0.00001", "is below 5"),
    ],
)
def test_an_amendment_is_refused_before_it_is_sent(tmp_path: Path, size: str, reason: str) -> None:
    session = started(tmp_path, CalmVenue(), sizes=size)
    verdict = json.loads(session.kinds(Kind.VERDICT)[-1].body or "")
    assert not verdict["approved"]
    assert reason in "; ".join(verdict["rules"].values())
    assert requests(session)["amend"] == 0
    assert the_order(session).order.quantity == D("0.01")
    ended(session)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "cut_answer", **AMEND},
        {"action": "drop_events", "event": "REPLACED"},
        {"action": "delay_answer", "ms": 2_500, **AMEND},
        {"action": "duplicate_events", "event": "REPLACED"},
    ],
    ids=lambda fault: fault["action"],
)
def test_an_amendment_is_known_whatever_is_lost(tmp_path: Path, fault: dict[str, Any]) -> None:
    venue = CalmVenue()
    venue.fault(**fault)
    session = started(tmp_path, venue).run(5)
    assert the_order(session).order.quantity == D("0.004")
    assert requests(session)["amend"] == 1, "it is not sent again"
    ended(session)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"action": "drop_request", **AMEND}, "unknown"),
        ({"action": "error_after", "status": 503, "code": -1000, "msg": "busy", **AMEND}, "unknown"),
        ({"action": "reject", "status": 400, "code": -2038, "msg": "Order amend rejected.", **AMEND}, "refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["action"],
)
def test_an_amendment_that_failed_is_said_and_the_venue_is_believed(
    tmp_path: Path, fault: dict[str, Any], word: str
) -> None:
    venue = CalmVenue()
    venue.fault(**fault)
    session = started(tmp_path, venue).run(15)
    theirs = venue.get("/sim/state")["open_orders"]
    assert [D(order["quantity"]) for order in theirs] == [the_order(session).order.quantity]
    assert (the_order(session).order.quantity == D("0.004")) == (fault["action"] == "error_after")
    [note] = [note.body or "" for note in session.kinds(Kind.NOTE) if "is not amended" in (note.body or "")]
    assert f"is not amended: {word}" in note
    assert requests(session)["query_order"] == (word == "unknown")
    ended(session)
