"""Orders that others change, fills that are listed late, answers that lag: the engine against the simulated venue.

Scenarios S3 to S5, S12, S15, S17 to S19 and cases of order reports. Each run goes through the disk: at its end the
journal verifies and its replay is identical, and every scripted fault struck.
"""

import json
from decimal import Decimal
from typing import Any

import pytest
from beat_market import BeatMarket
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, mode, notes

from engine.lifecycle import Status
from engine.model import Side
from engine.session_record import SECOND_NS, EngineSettings
from engine.state.orders import Order
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue

ORDER = {"method": "POST", "path": "/api/v3/order"}
CANCEL = {"method": "DELETE", "path": "/api/v3/order"}
BTC = "binance_spot:BTCUSDT"
D = Decimal


def the_order(session: VirtualSession) -> Order:
    [order] = [order for order in session.state.account.orders.all() if not order.adopted]
    return order


def resting(begin: CheckedSessions, venue: VirtualVenue, **settings: Any) -> VirtualSession:
    """Return a session whose only order rests far below the market."""
    session = begin(venue, "once", parameters={"below": "100", "size": "0.01"}, **settings).run(5)
    assert the_order(session).status is Status.OPEN
    return session


def sell_into(session: VirtualSession, quantity: str, mode: str) -> Any:
    """Sell as a person on the same account: what the market bids above our order, and this much of our order."""
    order, venue = the_order(session), session.venue
    offers = venue.sim.exchange.markets["BTCUSDT"].offers(Side.BUY)
    above = sum(size for price, size in offers if price >= order.order.price * 10**8)
    status, answer = venue.by_hand(
        "POST", "/api/v3/order", symbol="BTCUSDT", side="SELL", type="LIMIT", timeInForce="IOC",
        quantity=f"{D(above) / 10**8 + D(quantity):f}", price=f"{order.order.price:f}", selfTradePreventionMode=mode,
    )  # fmt: skip
    assert status == 200, answer
    return answer


# ---- orders that others change ---------------------------------------------------------------------


def amend(session: VirtualSession, quantity: str) -> None:
    order = the_order(session)
    status, answer = session.venue.by_hand(
        "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", orderId=order.venue_order_id, newQty=quantity
    )
    assert (status, answer["amendedOrder"]["clientOrderId"] != order.client_order_id) == (200, True), answer


@pytest.mark.parametrize("is_streamed", [True, False])
def test_amended_order_is_followed_and_a_stop_cancels_it(begin: CheckedSessions, is_streamed: bool) -> None:
    venue = CalmVenue()
    session = resting(begin, venue)
    if not is_streamed:
        venue.fault(action="drop_events", event="REPLACED")
    amend(session, "0.004")
    session.run(2)
    session.command("reconcile").run(2)
    assert (the_order(session).order.quantity, the_order(session).leaves_quantity) == (D("0.004"), D("0.004"))
    check_books(session)
    session.command("stop").run(20)
    assert session.closing
    assert the_order(session).status is Status.CANCELED
    assert venue.get("/sim/state")["open_orders"] == []
    check_books(session)


def test_amended_order_twice_before_its_placement_was_answered(begin: CheckedSessions) -> None:
    """The answer is cut off, and so are all events: the order is found under an id that we never gave."""
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="delay_events", event="executionReport", ms=1_500, times=3)
    session = begin(venue, "once", parameters={"below": "100", "size": "0.01"})
    session.run(until=lambda s: bool(s.facts("order_unknown")))
    order_id = str(venue.get("/sim/state")["open_orders"][0]["order_id"])
    for quantity in ("0.006", "0.003"):
        amended = venue.by_hand(
            "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", orderId=order_id, newQty=quantity
        )
        assert amended[0] == 200
    session.run(10)
    assert (the_order(session).status, the_order(session).order.quantity) == (Status.OPEN, D("0.003"))
    session.command("pause").run(5)
    check_books(session)


def test_an_order_that_self_trade_prevention_decremented_leaves_less(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "20", "size": "1"}).run(5)
    assert D(sell_into(session, "0.4", "DECREMENT")["preventedQuantity"]) == D("0.4")
    session.run(3)
    order = the_order(session)
    assert (order.order.quantity, order.prevented_quantity) == (D("0.6"), D("0.4"))
    assert order.leaves_quantity == D("0.6") - order.filled_quantity
    session.command("cancel_all").run(3)
    session.command("reconcile").run(3)
    assert the_order(session).status in (Status.CANCELED, Status.FILLED)
    check_books(session)


@pytest.mark.parametrize("is_refused", [True, False])
def test_s19_an_order_replaced_elsewhere_old_and_new_are_accounted_for(
    begin: CheckedSessions, is_refused: bool
) -> None:
    """The replacement is refused, or its events come late: the old order is over, the new one counts if it lives."""
    venue = CalmVenue()
    session = resting(begin, venue)
    order = the_order(session)
    if not is_refused:
        venue.fault(action="delay_events", event="NEW", ms=3_000)
    status, answer = venue.by_hand(
        "POST", "/api/v3/order/cancelReplace", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
        quantity="50" if is_refused else "0.02", price=f"{order.order.price:f}", newClientOrderId="web-new",
        cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=order.venue_order_id,
    )  # fmt: skip
    assert status == (409 if is_refused else 200), answer
    session.run(2)
    assert the_order(session).status is Status.CANCELED
    session.run(5)
    adopted = [order for order in session.state.account.orders.live.values() if order.adopted]
    assert [order.client_order_id for order in adopted] == ([] if is_refused else ["web-new"])
    session.command("reconcile").run(2)
    check_books(session)


# ---- fills that are listed late or share an id -----------------------------------------------------


@pytest.mark.slow
def test_lost_fill_forever_is_found_once_the_venue_lists_it(begin: CheckedSessions) -> None:
    """A market order fills in two parts; the stream delivers nothing, and the first part is listed last."""
    venue = VirtualVenue(market=BeatMarket())
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    venue.fault(action="list_late", event="TRADE", ms=150_000)
    session = begin(venue, "once", parameters={"size": "5"}).run(120)
    order = the_order(session)
    assert order.filled_quantity < order.filled_reported == 5, "the fault struck"
    assert mode(session) == "syncing"
    assert any(order.client_order_id in text and "its fills say" in text for text in notes(session, "alarm"))
    session.run(90)
    order = the_order(session)
    assert (order.status, order.filled_quantity) == (Status.FILLED, 5)
    confirmed = session.state.account.reconciling.fills_confirmed[BTC]
    assert any(int(fill) < int(confirmed) for fill in order.fill_ids)
    session.command("pause").run(10)
    assert mode(session) == "paused"
    check_books(session)


def test_two_orders_that_trade_with_each_other_share_a_fill_id(begin: CheckedSessions) -> None:
    """A person's order on the same account trades with ours: one fill id, two orders, both booked."""
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "20", "size": "1"}).run(5)
    venue.fault(action="drop_events", event="TRADE", times=0)
    assert sell_into(session, "0.4", "NONE")["status"] == "FILLED"
    session.run(3)
    session.command("reconcile").run(5)
    shared = [fill["trade_id"] for fill in venue.get("/sim/state")["fills"]]
    assert len(shared) > len(set(shared)), "the fault struck"
    assert the_order(session).filled_quantity == D("0.4")
    assert session.state.account.positions.get("once", BTC).quantity == D("0.3996")


# ---- answers that lag, access that is refused ------------------------------------------------------


def test_stale_answer_a_lagging_list_halts_nothing(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = resting(begin, venue)
    session.command("cancel_all").run(3)
    assert the_order(session).status is Status.CANCELED
    venue.fault(action="list_lag", ms=60_000)
    session.command("resume").run(20)
    session.command("reconcile").run(2)
    assert (the_order(session).status, mode(session)) == (Status.CANCELED, "running")
    asked = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    assert any(request["purpose"] == "query_order" for request in asked), "it was asked about"
    venue.fault(action="list_lag", ms=0)
    check_books(session)


def test_firewall_403_is_waited_out(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = resting(begin, venue)
    venue.fault(action="firewall", method="GET", path="/api/v3/account")
    session.command("reconcile").run(2)
    assert (mode(session), session.state.account.modes.halts) == ("syncing", ())
    assert any("refused access" in reason.text for reason in session.state.account.modes.reasons)
    session.run(70)
    assert mode(session) == "running"
    check_books(session)


@pytest.mark.slow
def test_a_firewall_that_stays_halts(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = resting(begin, venue)
    venue.fault(action="firewall", times=0)
    session.command("reconcile").run(600)
    assert mode(session) == "halted"
    assert "403 Forbidden" in session.state.account.modes.halts[0].text


def test_the_account_is_reconciled_while_the_market_is_silent_for_minutes(begin: CheckedSessions) -> None:
    """A fill that no stream delivered is found although no market link stays up."""
    venue = CalmVenue(balances={"USDT": "1000000", "BTC": "5000"})
    session = begin(venue, "once", parameters={"below": "20", "size": "1"}).run(5)
    venue.fault(action="silence", target="market", ms=900_000)
    session.run(20)
    assert mode(session) != "running"
    venue.fault(action="drop_events", event="TRADE", times=0)
    sell_into(session, "0.4", "NONE")
    assert the_order(session).filled_quantity == 0
    session.run(90)
    assert mode(session) == "syncing"
    assert the_order(session).filled_quantity > 0
    assert len(session.facts("reconciled")) >= 2


# ---- scenarios -------------------------------------------------------------------------------------


def test_s3_an_order_that_was_canceled_fills_late_and_a_person_is_told(begin: CheckedSessions) -> None:
    """The cancel is confirmed while a fill of before is still on its way: it moves the position and raises an alarm."""
    venue = CalmVenue()
    venue.fault(action="delay_events", event="TRADE", ms=20_000, times=0)
    venue.fault(action="list_late", event="TRADE", ms=20_000, times=0)
    session = begin(venue, "once", parameters={"below": "0.01", "size": "5"})
    session.run(until=lambda s: bool(s.venue.get("/sim/state")["fills"]))
    session.command("cancel_all").run(3)
    order = the_order(session)
    assert (order.status, order.filled_quantity) == (Status.CANCELED, 0), "thought gone"
    assert order.filled_reported > 0
    assert mode(session) == "syncing", "the venue counts a fill that we do not have"
    session.run(40)
    order = the_order(session)
    assert order.filled_quantity == order.filled_reported > 0
    assert session.state.account.positions.get("once", BTC).quantity > 0
    check_books(session)


def test_s4_not_found_right_after_placing_halts_nothing_however_often(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="not_found_for", ms=9_000, **ORDER)
    session = begin(venue, "once", parameters={"below": "100"}).run(1)
    for _ in range(4):
        session.command("reconcile").run(2)
    assert (the_order(session).status, session.state.account.modes.halts) == (Status.OPEN, ())
    session.run(5)
    session.command("reconcile").run(2)
    assert mode(session) == "running"
    check_books(session)


@pytest.mark.slow
def test_s5_the_instrument_is_blocked_a_person_is_told_and_an_answer_ends_it(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    venue.fault(action="error_after", method="GET", path="/api/v3/order", status=502, times=120)
    session = begin(venue, "once", parameters={"orders": 3}).run(100)
    order = the_order(session)
    placed = [record for record in session.kinds(Kind.REQUEST) if '"place"' in (record.body or "")]
    assert len(placed) == 1, "the instrument is blocked"
    assert any("was asked about" in text and order.client_order_id in text for text in notes(session, "alarm"))
    assert session.facts("order_closed") == [], "no rejection is invented"
    session.command("pause").run(80)
    assert the_order(session).status is Status.FILLED
    check_books(session)


def test_s12_the_same_round_twice_changes_nothing_the_second_time(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "pair").run(10)
    venue.fault(action="drop_events", event="TRADE", times=3)
    session.run(20)
    session.command("pause").run(5)
    session.command("reconcile").run(3)
    before, count = session.state.account, len(session.records)
    session.command("reconcile").run(3)
    after = session.state.account
    assert (before.orders.all(), before.positions, before.balances) == (
        after.orders.all(), after.positions, after.balances,
    )  # fmt: skip
    assert not any('"round_changed"' in (record.body or "") for record in session.records[count:])
    check_books(session)


@pytest.mark.slow
def test_s15_an_older_snapshot_never_undoes_a_newer_fill(begin: CheckedSessions) -> None:
    """Fills arrive while slow queries are on their way; each answer is of a time before them."""
    venue = CalmVenue()
    venue.fault(action="delay_answer", method="GET", path="/api/v3/account", ms=900, times=0)
    venue.fault(action="delay_answer", method="GET", path="/api/v3/openOrders", ms=900, times=0)
    session = begin(venue, "pair", engine=EngineSettings(reconcile_every_ns=2 * SECOND_NS))
    raced = 0
    for _ in range(40):
        session.run(1)
        queried = [pending for pending in session.state.account.requests.by_seq.values() if pending.request.round]
        if queried:
            raced += session.state.account.reconciling.round > 1
    assert raced, "the fault struck"
    positions = [json.loads(r.body or "") for r in session.kinds(Kind.FACT) if '"fact":"position"' in (r.body or "")]
    signed = sum((D(f["quantity"]) * (1 if f["side"] == "BUY" else -1) for f in session.facts("order_filled")), D(0))
    fees = sum((D(f["fee"]) for f in session.facts("order_filled") if f["fee_asset"] == "BTC"), D(0))
    assert D(positions[-1]["quantity"]) == signed - fees
    session.command("pause").run(20)
    check_books(session)


@pytest.mark.slow
def test_s18_a_cancel_races_a_fill_and_is_refused(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="delay_events", event="executionReport", ms=400, times=0)
    session = begin(venue, "pair").run(60)
    session.command("pause").run(30)
    refused = [fact["client_order_id"] for fact in session.facts("cancel_settled") if "-2011" in fact["outcome"]]
    assert refused, "a cancel came too late"
    filled = {fact["client_order_id"] for fact in session.facts("order_filled")}
    assert set(refused) & filled, "the fill won"
    check_books(session)
