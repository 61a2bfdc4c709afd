"""Sessions on the simulated Alpaca in virtual time: each trap of the venue strikes, and our books equal the venue's.

docs/venue-alpaca.md names the test of each trap.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from broker_venue import BrokerVenue, check_broker_books
from checked_sessions import CheckedSessions, check_journal, mode, notes, of_tests

from engine.lifecycle import Status
from engine.mode_reasons import Mode, ReasonCode
from engine.model import OrderType, TimeInForce
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from journal.record import Kind
from verbatim.testing import VirtualSession

AAPL, BTC = "alpaca:AAPL", "alpaca:BTC/USD"
PRIVATE, STOCKS = "alpaca.private.0", "alpaca.stocks.0"
RICH = {"USD": "10000000"}


@pytest.fixture
def trade(tmp_path: Path) -> Iterator[Any]:
    """Return a function that begins a session of the script. At the end journals and the last one's books are checked."""
    sessions = CheckedSessions(tmp_path)

    def begin(venue: BrokerVenue, steps: str, **settings: Any) -> VirtualSession:
        return sessions(venue, of_tests("script", {"steps": steps}), **settings)

    yield begin
    for session in sessions.begun:
        check_journal(session)
    venue = sessions.begun[-1].venue
    assert isinstance(venue, BrokerVenue)
    check_broker_books(sessions.begun[-1], venue)


def requests(session: VirtualSession, purpose: Purpose) -> list[dict[str, Any]]:
    """Return the bodies of a session's requests of one purpose."""
    bodies = (json.loads(record.body or "") for record in session.kinds(Kind.REQUEST))
    return [body for body in bodies if body["purpose"] == purpose]


def placed(session: VirtualSession) -> list[dict[str, str]]:
    """Return the parameters of each placement."""
    return [dict(body["unsigned"]["params"]) for body in requests(session, Purpose.PLACE)]


def orders(session: VirtualSession) -> list[Any]:
    return sorted(session.state.account.orders.all(), key=lambda order: order.created_ns)


def test_stocks_and_crypto_trade_through_a_kill_and_a_restart(trade: Any) -> None:
    """A session is killed with an order at rest, which is filled meanwhile; the next one learns of it by its own id."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    first = trade(venue, "buy 1.5; buy 2 limit -2; wait; wait")
    first.run(6)
    [resting] = first.state.account.orders.live.values()
    assert resting.status is Status.OPEN
    opening = first.state
    first.kill()
    venue.trade("AAPL", "58000", "2")
    venue.now_ns += 2 * SECOND_NS
    second = trade(venue, "wait; wait; wait; wait; wait; wait; close", previous=first, opening=opening)
    second.run(8)
    assert mode(second) is Mode.RUNNING
    assert second.state.account.orders.get(resting.client_order_id).status is Status.FILLED
    filled = second.facts("order_filled")
    assert resting.client_order_id in {each["client_order_id"] for each in filled}
    sold = [each for each in filled if each["side"] == "SELL"]
    assert sold, "the book takes a part of it"
    bought = sum(order.filled_quantity for order in orders(first)) + 2
    assert second.state.account.positions.net(AAPL) == bought - sum(Decimal(each["quantity"]) for each in sold)


def test_a_504_after_a_placement_leaves_one_order(trade: Any) -> None:
    """Trap 1: the answer is lost, the order is there. It is found by our id, and never sent again."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    venue.fault(action="error_after", method="POST", path="/v2/orders", status=504)
    venue.fault(action="drop_events", event="trade_updates", times=2)
    session = trade(venue, "buy 1 limit -1; wait; wait")
    session.run(8)
    assert len(placed(session)) == 1
    assert all(each["client_order_id"] for each in placed(session))
    [order] = orders(session)
    assert order.status is Status.OPEN
    assert requests(session, Purpose.QUERY_ORDER)[0]["unsigned"]["path"] == "/v2/orders:by_client_order_id"


def test_a_lost_request_is_proven_absent(trade: Any) -> None:
    venue = BrokerVenue(["AAPL"], balances=RICH)
    venue.fault(action="drop_request", method="POST", path="/v2/orders")
    session = trade(venue, "buy 1 limit -1; wait")
    session.run(60)
    [order] = orders(session)
    assert order.status is Status.NOT_PLACED


def test_reconnects_are_apart_and_a_mute_stream_is_noticed(trade: Any) -> None:
    """Trap 2: a refused connection is tried again in growing waits, and a silent one is no longer believed."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "wait")
    session.run(5)
    session.cut("engine.venues.alpaca:Alpaca")
    session.run(40)
    links = [json.loads(record.body or "") for record in session.kinds(Kind.LINK) if record.source == STOCKS]
    refused = [link["reason"] for link in links if link["state"] == "down"][1:]  # the first was open
    tried_ns = [
        record.time_ns
        for record in session.kinds(Kind.REQUEST)
        if (body := json.loads(record.body or ""))["purpose"] == Purpose.CONNECT and body["source"] == STOCKS
    ]
    waits_ns = [after - before for before, after in pairwise(tried_ns[1:])]
    assert len(refused) == len(tried_ns) - 1 >= 4, (refused, tried_ns)
    assert all(after > before for before, after in pairwise(waits_ns)), waits_ns
    assert waits_ns[-1] > 4 * waits_ns[0], waits_ns
    session.restore("engine.venues.alpaca:Alpaca")
    session.run(40)
    assert mode(session) is Mode.RUNNING
    venue.fault(action="silence", target="market", ms=60_000)
    session.run(40)
    assert session.facts("market_gap") or notes(session, "alarm")
    reasons = session.state.account.modes.reasons
    assert ReasonCode.INSTRUMENT_BLOCKED in {each.code for each in reasons}
    session.run(60)
    assert mode(session) is Mode.RUNNING


def test_fills_while_the_stream_was_down_are_found(trade: Any) -> None:
    """Trap 3: nothing is replayed, so a round queries orders and activities before the session trades again."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 3 limit -2; wait; wait; wait; wait; wait")
    session.run(4)
    session.cut("engine.venues.alpaca:Alpaca")
    venue.trade("AAPL", "58000", "1")
    session.run(2)
    session.restore("engine.venues.alpaca:Alpaca")
    session.run(6)
    assert mode(session) is Mode.RUNNING
    [order] = orders(session)
    assert (order.status, order.filled_quantity) == (Status.PARTIALLY_FILLED, 1)


def test_a_place_that_is_taken_is_waited_for(trade: Any) -> None:
    """Trap 4: the connection before still holds the only place (406)."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    venue.broker.slot_linger_ns = 12 * SECOND_NS
    session = trade(venue, "wait")
    session.run(5)
    venue.fault(action="disconnect", target="market")
    session.run(40)
    assert any("406" in text for text in notes(session, "alarm"))
    connects = [body for body in requests(session, Purpose.CONNECT) if body["source"] == STOCKS]
    assert len(connects) <= 8
    assert mode(session) is Mode.RUNNING


def test_a_rounded_fraction_of_a_share_is_accepted(tmp_path: Path) -> None:
    """60 USD buy a fraction of a share without end: the face takes as many places as its asset states."""
    venue, sessions = BrokerVenue(["AAPL"], balances=RICH), CheckedSessions(tmp_path)
    session = sessions(venue, "restless", own_symbols={"AAPL": "BTCUSDT"}).run(5)
    [instrument] = venue.instruments()
    assert any(Decimal(each["qty"]) % (10 * instrument.lot_size) for each in placed(session)), "the last place is used"
    assert [order.reason for order in orders(session) if "decimal places" in order.reason] == []
    assert session.facts("order_filled")
    session.command("pause").run(5)
    check_journal(session)
    check_broker_books(session, venue)


def test_crypto_is_sold_by_what_is_there_after_the_fee(trade: Any) -> None:
    """Trap 6: a fill of 0.1 brings 0.09975. The fee is recorded, and the position is what can be sold."""
    venue = BrokerVenue(["BTC/USD"], balances=RICH)
    session = trade(venue, "buy 0.1; wait; wait; close; wait; wait; wait")
    session.run(10)
    assert mode(session) is Mode.RUNNING, session.state.account.modes.reasons
    charged = session.facts("fee_charged")
    assert [(each["asset"], each["reason"]) for each in charged] == [("BTC", "fee"), ("USD", "fee")]
    assert charged[0]["amount"] == "0.00025"
    sold = [each for each in session.facts("order_filled") if each["side"] == "SELL"]
    assert sum(Decimal(each["quantity"]) for each in sold) == Decimal("0.09975")
    assert session.state.account.positions.net(BTC) == 0
    books = session.facts("books_compared")
    assert {each["drift"] for each in books} == {"0"}
    assert not any(each.get("wrong") for each in books)


def test_a_balance_that_lacks_more_than_a_fee_is_a_drift(trade: Any) -> None:
    venue = BrokerVenue(["BTC/USD"], balances=RICH)
    session = trade(venue, "buy 0.1; wait; wait; wait; wait; wait; wait")
    session.run(5)
    venue.move_balance("BTC", "-0.001")
    session.run(80)
    assert mode(session) is Mode.HALTED
    assert session.facts("balance_drift")[0]["difference"] == "-0.001"


def test_an_order_that_another_program_replaced_goes_on_as_its_order(trade: Any) -> None:
    """Trap 7: the old id ends with its fills, and the new one is not ours."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 4 limit -1; wait; wait; wait")
    session.run(4)
    [order] = orders(session)
    venue.trade("AAPL", str(order.order.price), "1")
    session.run(1)
    status, new = venue.ask("PATCH", f"/v2/orders/{order.venue_order_id}", {"qty": "2"})
    assert status == 200
    session.run(3)
    old, other = orders(session)
    assert (old.status, old.filled_quantity) == (Status.CANCELED, 1)
    assert (other.venue_order_id, other.adopted, other.order.quantity) == (new["id"], True, 2)
    assert session.state.account.positions.net(AAPL) == 1


def test_a_cancel_that_lasts_keeps_the_order_and_its_fills(trade: Any) -> None:
    """Trap 8: 204 is a request. While it lasts the order is open, and is filled."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    venue.broker.desk.cancel_wait_ns = 20 * SECOND_NS
    session = trade(venue, "buy 4 limit -1; wait; cancel; wait; wait")
    session.run(6)
    [order] = orders(session)
    assert order.client_order_id in session.state.account.orders.live
    venue.trade("AAPL", str(order.order.price), "1")
    session.run(2)
    assert session.state.account.positions.net(AAPL) == 1
    session.run(30)
    [order] = orders(session)
    assert (order.status, order.filled_quantity) == (Status.CANCELED, 1)


def test_no_client_order_id_is_used_twice(trade: Any) -> None:
    """Trap 10: an id is taken for the account's whole life."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 1 limit -1; cancel; buy 1 limit -1; cancel; buy 1 limit -1; cancel; wait")
    session.run(12)
    names = [each["client_order_id"] for each in placed(session)]
    assert len(names) == len(set(names)) == 3
    assert {order.status for order in orders(session)} == {Status.CANCELED}


def test_prices_are_exact_and_on_the_step(trade: Any) -> None:
    """Trap 11: no float touches a price, and every price is on the step."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 0.3 limit -1.2345; wait; wait")
    session.run(5)
    [sent] = placed(session)
    assert Decimal(sent["limit_price"]) % Decimal("0.01") == 0
    assert (sent["qty"], sent["time_in_force"]) == ("0.3", "day"), "a fraction of a share is an order of the day"
    assert next(iter(session.state.account.orders.live.values())).status is Status.OPEN


def test_partial_fills_have_their_own_prices(trade: Any) -> None:
    """Trap 12: the price of a partial fill is of that fill, and the order's average is of all."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 1.2; wait; wait; wait")
    session.run(6)
    fills = session.facts("order_filled")
    assert len({each["price"] for each in fills}) > 1
    spent = sum(Decimal(each["price"]) * Decimal(each["quantity"]) for each in fills)
    assert session.state.account.balances.get("USD").total == Decimal(RICH["USD"]) - spent


def test_a_list_that_stops_is_not_believed(trade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 14: orders of another program fill the list (here of 20, not of 500), so an order that it lacks is not closed."""
    monkeypatch.setattr("engine.venues.alpaca.account.ORDERS_LISTED_MAX", 20)
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 1 limit -1; wait; wait; wait; wait; wait; wait; wait; wait")
    session.run(4)
    for _ in range(20):
        venue.order(limit_price="1")
    session.run(70)
    assert any("it is not whole" in text for text in notes(session, "warning"))
    assert session.facts("reconcile_failed")
    ours = [order for order in orders(session) if not order.adopted]
    assert [order.status for order in ours] == [Status.OPEN]
    for order in venue.broker.desk.orders.open():
        if order.client_order_id.startswith("broker-"):
            venue.ask("DELETE", f"/v2/orders/{order.order_id}")
    session.run(70)
    assert mode(session) is Mode.RUNNING


def test_a_fill_that_is_taken_back_halts(trade: Any) -> None:
    """Trap 15: no record of ours can undo a fill, so the difference of the balances stops the session."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 1; wait; wait; wait; wait; wait; wait")
    session.run(20)
    assert mode(session) is Mode.RUNNING
    [order] = orders(session)
    [found] = venue.broker.desk.orders.list_all("test")
    told = {"event": "trade_bust", "timestamp": "2026-09-18T13:31:00Z", "order": found.body(), "qty": "1", "price": "1"}
    frame = json.dumps({"stream": "trade_updates", "data": told}).encode()
    venue.move_balance("AAPL", "-1")
    venue.move_balance("USD", str(order.filled_notional))
    session._shell._frame_arrived(PRIVATE, frame)
    session.run(20)
    assert any("trade_bust" in text for text in notes(session, "warning"))
    assert mode(session) is Mode.HALTED
    assert {each["asset"] for each in session.facts("balance_drift")} == {"AAPL", "USD"}


def test_orders_of_other_programs_are_left_alone(trade: Any) -> None:
    """Trap 16: the venue's own cancel of all is never sent; a cancel-all ends our orders one by one."""
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "buy 1 limit -1; buy 1 limit -2; wait; wait; wait")
    session.run(5)
    _, theirs = venue.order()
    session.command("cancel_all").run(5)
    assert [order.order_id for order in venue.broker.desk.orders.open()] == [theirs["id"]]
    sent = [body["unsigned"] for body in requests(session, Purpose.CANCEL)]
    assert {each["method"] for each in sent} == {"DELETE"}
    assert all(each["path"].startswith("/v2/orders/0000") for each in sent)
    session.run(5)


def test_a_limited_request_waits_until_the_stated_second(trade: Any) -> None:
    venue = BrokerVenue(["AAPL"], balances=RICH)
    session = trade(venue, "wait; wait; wait; buy 1 limit -1; wait; wait")
    session.run(4)
    venue.fault(action="reject", method="POST", path="/v2/orders", status=429)
    session.run(3)
    blocked = session.state.account.limits.get("alpaca").blocked_until_ns
    assert blocked % (60 * SECOND_NS) < SECOND_NS // 1000, "the reset of the answer's header"
    session.run(70)
    assert mode(session) is Mode.RUNNING


def test_types_that_an_instrument_lacks_are_refused_here(trade: Any) -> None:
    venue = BrokerVenue(["BTC/USD"], balances=RICH | {"BTC": "1"})
    session = trade(venue, "stop 0.1 -5; wait; wait")
    session.run(5)
    assert placed(session) == []
    verdicts = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    assert "places no STOP orders of BTC/USD" in json.dumps(verdicts)
    instrument = session.body.instruments[0]
    assert (instrument.lacks_types, instrument.lacks_times) == ((OrderType.STOP,), (TimeInForce.FOK,))


def test_stops_and_trailing_stops_of_stocks(trade: Any) -> None:
    venue = BrokerVenue(["AAPL"], balances=RICH | {"AAPL": "5"})
    session = trade(venue, "buy 2; stop 1 -5; trail 1 200; wait; wait; cancel; wait; wait")
    session.run(12)
    kinds = [(each["type"], each["time_in_force"]) for each in placed(session)]
    assert kinds == [("market", "ioc"), ("stop", "gtc"), ("trailing_stop", "gtc")]
    assert placed(session)[2]["trail_percent"] == "2"
    assert [order.status for order in orders(session)[1:]] == [Status.CANCELED, Status.CANCELED]
