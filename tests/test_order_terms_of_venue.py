"""An order's quantity, price and id are the venue's word: amended, decremented and replaced orders are followed.

The venue's messages are written by hand. After every step a second kernel that only rebuilds must agree.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, PRIVATE, ByHand, report, row, shown, trade

from engine.lifecycle import Status

D = Decimal


@pytest.fixture(autouse=True)
def _proofs(tmp_path: Path) -> Iterator[None]:
    """Prove the journal of each session at the end of its test."""
    ByHand.begun = []
    yield
    begun, ByHand.begun = ByHand.begun, None
    for number, hand in enumerate(begun):
        hand.prove(tmp_path / f"journal{number}")


def opened(**settings: Any) -> tuple[ByHand, str]:
    """Return a session with one resting order, acknowledged by answer and stream."""
    hand = ByHand(**settings)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name)).private(report(name, "NEW", "NEW"))
    return hand, name


def amended(hand: ByHand, name: str, quantity: str = "0.4") -> None:
    """A person reduces the order at the venue: it keeps its id there and gets another client id."""
    hand.private(report("web_amend1", "REPLACED", "NEW", q=quantity, C=name))
    assert hand.facts("order_amended"), "the fault struck"


def cancels_by_venue_id(request: Any) -> Any:
    """Answer as the venue does: it does not know our client id any more."""
    if dict(request.unsigned.params).get("orderId") != "7":
        return 400, {"code": -2011, "msg": "Unknown order sent."}
    return shown("cancel", "CANCELED", origQty="0.4", origClientOrderId="web_amend1")


def queries_by_venue_id(status: str, filled: str) -> Any:
    def answer(request: Any) -> Any:
        if dict(request.unsigned.params).get("orderId") != "7":
            return 400, {"code": -2013, "msg": "Order does not exist."}
        return shown("web_amend1", status, filled, origQty="0.4")

    return answer


def test_an_amended_order_has_the_venues_quantity_and_id() -> None:
    hand, name = opened()
    amended(hand, name)
    order = hand.order
    assert (order.client_order_id, order.venue_client_id) == (name, "web_amend1")
    assert (order.order.quantity, order.leaves_quantity, order.status) == (D("0.4"), D("0.4"), Status.OPEN)
    assert any("is 0.4 at 90 at the venue, under the id web_amend1" in note for note in hand.notes("warning"))


def test_amended_order_is_filled_at_the_smaller_quantity() -> None:
    hand, name = opened()
    amended(hand, name)
    hand.private(trade("web_amend1", 11, "0.4", "0.4", "FILLED", q="0.4"))
    assert (hand.order.status, hand.order.leaves_quantity, hand.position()) == (Status.FILLED, 0, D("0.4"))
    hand.answers["fills"] = [row(11, "0.4")]
    hand.run(130)
    assert (hand.order.status, hand.mode, hand.position()) == (Status.FILLED, "running", D("0.4"))
    assert hand.notes() == []


def test_amended_order_is_canceled_by_the_venues_id_and_a_stop_ends() -> None:
    hand, name = opened()
    amended(hand, name)
    hand.answers |= {"open_orders": [shown("web_amend1", origQty="0.4")], "cancel": cancels_by_venue_id}
    assert hand.run(20).mode == "running"
    hand.command("cancel_all").run(2)
    assert hand.order.status is Status.CANCELED
    hand.command("stop").run(5)
    assert hand.state.account.modes.closing
    assert len(hand.asked("cancel")) == 1


def test_an_amendment_that_no_stream_delivered_is_found_by_the_round() -> None:
    hand, _ = opened()
    hand.answers["open_orders"] = [shown("web_amend1", origQty="0.4")]
    hand.command("reconcile")
    assert (hand.order.order.quantity, hand.order.venue_client_id) == (D("0.4"), "web_amend1")
    [changed] = [fact for fact in hand.facts("reconciled") if fact.get("orders")]
    assert changed["orders"] == 1
    assert any("changed: orders 1" in note for note in hand.notes("info"))


def test_an_amendment_and_its_fills_that_no_stream_delivered_are_found_by_the_round() -> None:
    hand, _ = opened()
    hand.answers |= {"query_order": queries_by_venue_id("FILLED", "0.4"), "fills": [row(11, "0.4")]}
    hand.command("reconcile").run(3)
    assert (hand.order.status, hand.position(), hand.mode) == (Status.FILLED, D("0.4"), "running")


def test_older_terms_do_not_undo_an_amendment() -> None:
    hand, name = opened()
    hand.private(report("web_amend1", "REPLACED", "NEW", q="0.4", C=name, T=9))
    hand.answers["open_orders"] = [shown(name, updateTime=4)]
    hand.command("reconcile")
    assert hand.order.order.quantity == D("0.4"), "the list is of a time before the amendment"
    hand.private(report("web_amend1", "NEW", "NEW", q="0.6", T=9))
    assert hand.order.order.quantity == D("0.4"), "of one date, the smaller quantity is the newer one"
    hand.private(report("web_amend2", "REPLACED", "NEW", q="0.3", C="web_amend1", T=10))
    assert (hand.order.order.quantity, hand.order.venue_client_id) == (D("0.3"), "web_amend2")


def test_an_order_decremented_by_self_trade_prevention_leaves_less() -> None:
    hand, name = opened()
    hand.private(report(name, "TRADE_PREVENTION", "NEW", A="0.3", B="0.3", T=2))
    assert (hand.order.leaves_quantity, hand.order.prevented_quantity) == (D("0.7"), D("0.3"))
    hand.private(trade(name, 11, "0.7", "0.7", "FILLED", T=3))
    assert (hand.order.status, hand.position()) == (Status.FILLED, D("0.7")), "0.3 of 1 was never to be had"


def test_a_decrement_is_read_from_a_query_and_an_expiry_in_match_ends_the_order() -> None:
    hand, name = opened()
    hand.answers["open_orders"] = [shown(name, preventedQuantity="0.3", preventedMatchId=1)]
    hand.command("reconcile")
    assert hand.order.leaves_quantity == D("0.7")
    hand.private(report(name, "TRADE_PREVENTION", "EXPIRED_IN_MATCH", A="1.0", B="0.7", T=4))
    assert (hand.order.status, hand.order.leaves_quantity) == (Status.EXPIRED, 0)


def test_an_order_that_the_venue_calls_filled_below_our_quantity_is_filled() -> None:
    hand, name = opened()
    hand.private(trade(name, 11, "0.6", "0.6", "FILLED"))
    assert (hand.order.status, hand.order.order.quantity, hand.position()) == (Status.FILLED, D("0.6"), D("0.6"))


def test_s19_an_order_replaced_elsewhere_is_closed_and_its_replacement_is_adopted() -> None:
    hand, name = opened()
    hand.private(report("web_cancel", "CANCELED", "CANCELED", C=name, T=5))
    hand.private(report("web_new", "NEW", "NEW", i=8, q="0.5", T=5))
    ours, theirs = hand.orders
    assert (ours.status, theirs.client_order_id, theirs.adopted) == (Status.CANCELED, "web_new", True)
    assert theirs.leaves_quantity == D("0.5")


@pytest.mark.slow
def test_s19_a_replacement_that_the_venue_refused_leaves_only_the_old_orders_end() -> None:
    hand, name = opened()
    hand.private(trade(name, 11, "0.2", "0.2"))
    hand.private(report("web_cancel", "CANCELED", "CANCELED", C=name, z="0.2", T=5))
    assert [(order.status, order.filled_quantity) for order in hand.orders] == [(Status.CANCELED, D("0.2"))]
    assert hand.position() == D("0.2")


def test_an_order_is_asked_about_by_our_id_until_the_venue_named_its_own() -> None:
    hand = ByHand()
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), outcome="timeout")
    hand.run(2)
    assert dict(hand.asked("query_order")[0].unsigned.params)["origClientOrderId"] == name
    hand.private(report(name, "NEW", "NEW"))
    hand.command("reconcile")
    by_id = [dict(request.unsigned.params) for request in hand.asked("query_order")]
    assert by_id[-1]["orderId"] == "7"
    assert "origClientOrderId" not in by_id[-1]


@pytest.mark.parametrize("newest", [True, False])
def test_a_session_of_earlier_rules_asks_as_it_did(newest: bool) -> None:
    hand, name = opened(newest=newest)
    hand.command("cancel_all")
    params = dict(hand.asked("cancel")[0].unsigned.params)
    assert params.get("orderId") == ("7" if newest else None)
    assert params.get("origClientOrderId") == (None if newest else name)


# ---- fills -----------------------------------------------------------------------------------------


def listing(rows: list[dict[str, Any]]) -> Any:
    """Answer queries for fills from rows that the test may change, as myTrades does."""

    def answer(request: Any) -> Any:
        params = dict(request.unsigned.params)
        found = [one for one in rows if one["id"] >= int(params.get("fromId", 0))]
        found = [one for one in found if params.get("orderId") in (None, str(one["orderId"]))]
        return sorted(found, key=lambda one: (one["id"], one["orderId"]))[: int(params["limit"])]

    return answer


def test_lost_fill_forever_a_fill_listed_late_with_a_lower_id_is_booked() -> None:
    hand, name = opened()
    rows = [row(101, "0.5")]
    hand.answers |= {"fills": listing(rows), "open_orders": [], "query_order": shown(name, "FILLED", "1.0")}
    hand.down(PRIVATE).run(5)
    assert (hand.order.filled_quantity, hand.order.filled_reported) == (D("0.5"), 1), "the fault struck"
    assert hand.mode == "syncing"
    assert hand.state.account.reconciling.fills_confirmed == {BTC.id: 101}
    rows.insert(0, row(100, "0.5"))
    hand.run(35)
    assert (hand.order.status, hand.order.filled_quantity, hand.mode) == (Status.FILLED, 1, "running")
    assert hand.position() == 1
    hand.run(130)
    assert hand.position() == 1, "nothing is booked twice"


def test_lost_fill_forever_a_session_that_waits_for_a_fill_raises_an_alarm_with_the_order() -> None:
    hand, name = opened()
    hand.answers |= {"fills": [row(101, "0.5")], "open_orders": [], "query_order": shown(name, "FILLED", "1.0")}
    hand.down(PRIVATE).run(200)
    assert hand.mode == "syncing"
    assert any("syncing for 1 min" in note and name in note for note in hand.notes())
    asked = [request for request in hand.asked("fills") if request.client_order_id == name]
    assert all(dict(request.unsigned.params)["orderId"] == "7" for request in asked)
    assert 5 < len(asked) < 15, "the wait between two queries grows"


def test_two_orders_of_ours_that_share_a_fill_id_are_told_apart() -> None:
    hand = ByHand(parameters={"orders": 2}).run(2)
    first, second = hand.orders
    for number, order in ((7, first), (8, second)):
        hand.private(report(order.client_order_id, "NEW", "NEW", i=number))
    rows = [row(100, "1.0"), row(100, "1.0", orderId=8)]
    hand.answers |= {
        "fills": listing(rows),
        "query_order": lambda request: shown(
            request.client_order_id, "FILLED", "1.0", orderId=int(dict(request.unsigned.params)["orderId"])
        ),
    }
    hand.command("reconcile").run(5)
    assert [(order.fill_ids, order.status) for order in hand.orders] == [(("100",), Status.FILLED)] * 2
    assert hand.position() == 2


def test_a_fill_that_shares_the_id_of_the_last_one_of_a_page_is_not_skipped() -> None:
    """The next query begins at the last known fill, not behind it."""
    hand = ByHand(parameters={"orders": 2}).run(2)
    first, second = hand.orders
    hand.private(trade(first.client_order_id, 100, "1.0", "1.0", "FILLED"))
    hand.private(report(second.client_order_id, "NEW", "NEW", i=8))
    rows = [row(100, "1.0")]
    hand.answers |= {"fills": listing(rows), "open_orders": [shown(second.client_order_id, orderId=8)]}
    hand.command("reconcile").run(1)
    assert hand.state.account.reconciling.fills_confirmed == {BTC.id: 100}
    rows.append(row(100, "0.3", orderId=8))  # of the second order, in no report of the venue
    hand.command("reconcile").run(1)
    assert hand.state.account.orders.known(second.client_order_id).filled_quantity == D("0.3")
