"""Orders of other programs in types that the engine does not have: they keep the venue's type and stop price
everywhere.

Real-shaped Binance messages (Binance Spot API, user data stream), over the private stream and in openOrders.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, ETH, HAND, ByHand, instrument, report, shown, trade

from analysis.sql_session import connect, query_rows
from engine.facts import NewOrder
from engine.lifecycle import Status
from engine.model import OrderType, Side, TimeInForce
from engine.order_terms import ForeignTerms, LimitTerms, PostOnlyTerms
from engine.sim.binance.filters import RULES
from engine.sim.exchange.adoption import Known, OpenOrder, adopt
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.feeds.sim_market import DepthSnapshot, TradePrint
from engine.sim.units import units
from journal.record import Kind
from journal.writer import JournalWriter
from replay.record_text import describe
from replay.state_report import describe_state

D = Decimal
QUIET = {"orders": 0}

# type, side, limit price, stop price, what a person reads
STOPS = [
    ("STOP_LOSS", "SELL", "0.00000000", "88.00000000", "at market (STOP_LOSS, GTC, stop price 88)"),
    ("STOP_LOSS_LIMIT", "SELL", "87.50000000", "88.00000000", "at 87.5 (STOP_LOSS_LIMIT, GTC, stop price 88)"),
    ("TAKE_PROFIT", "BUY", "0.00000000", "80.00000000", "at market (TAKE_PROFIT, GTC, stop price 80)"),
    ("TAKE_PROFIT_LIMIT", "BUY", "80.50000000", "80.00000000", "at 80.5 (TAKE_PROFIT_LIMIT, GTC, stop price 80)"),
]


def streamed(kind: str, side: str, price: str, stop: str, **fields: Any) -> dict[str, Any]:
    """Return the executionReport of a stop order that rests and has not been triggered."""
    return report("web-1", "NEW", "NEW", o=kind, S=side, p=price, P=stop, w=False, g=-1, **fields)


def listed(kind: str, side: str, price: str, stop: str, **fields: Any) -> dict[str, Any]:
    """Return the same order as openOrders lists it."""
    told = {"type": kind, "side": side, "price": price, "stopPrice": stop, "isWorking": False, "workingTime": -1}
    return shown("web-1", **told, icebergQty="0.00000000", orderListId=-1, **fields)


def adopted(hand: ByHand) -> str:
    """Return the text of the record that adopts an order."""
    [text] = [describe(r) for r in hand.records if r.kind is Kind.FACT and '"order_adopted"' in (r.body or "")]
    return text


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop[0])
@pytest.mark.parametrize("source", ["private stream", "openOrders"])
def test_a_stop_order_of_another_program_keeps_its_type_and_stop_price(
    source: str, stop: tuple[str, str, str, str, str]
) -> None:
    kind, side, price, trigger, text = stop
    hand = ByHand(parameters=QUIET).run(1.5)
    if source == "private stream":
        hand.private(streamed(kind, side, price, trigger))
    else:
        hand.answers["open_orders"] = [listed(kind, side, price, trigger)]
        hand.command("reconcile")
    order = hand.order
    assert (order.adopted, order.status, order.order.type) == (True, Status.OPEN, OrderType.FOREIGN)
    terms = order.order.terms
    assert isinstance(terms, ForeignTerms)
    assert (terms.venue_type, terms.price or D(0), terms.stop_price) == (kind, D(price), D(trigger))
    assert adopted(hand).endswith(f"{side} 1 binance_spot:BTCUSDT {text}")
    assert hand.mode == "running"


def test_both_legs_of_an_oco_are_adopted_as_what_they_are() -> None:
    """The leg above is a LIMIT_MAKER, the leg below a STOP_LOSS_LIMIT; the fill of one ends the other."""
    hand = ByHand(parameters=QUIET).run(1.5)
    above = {"o": "LIMIT_MAKER", "S": "SELL", "p": "110.0", "P": "0.00000000", "i": 11, "g": 5}
    below = {"o": "STOP_LOSS_LIMIT", "S": "SELL", "p": "87.5", "P": "88.0", "i": 12, "g": 5, "w": False}
    hand.private({"e": "listStatus", "E": 1, "s": "BTCUSDT", "g": 5, "c": "OCO", "l": "EXEC_STARTED", "L": "EXECUTING"})
    hand.private(report("leg-above", "NEW", "NEW", **above)).private(report("leg-below", "NEW", "NEW", **below))
    one, two = (order.order.terms for order in hand.orders)
    assert isinstance(one, PostOnlyTerms)
    assert isinstance(two, ForeignTerms)
    assert (one.price, two.price, two.stop_price) == (D("110"), D("87.5"), D("88"))
    hand.private(report("leg-below", "EXPIRED", "EXPIRED", **below, eR="OCO_TRIGGER"))
    hand.private(trade("leg-above", 31, "1.0", "1.0", "FILLED", **above))
    assert [(order.status, order.reason) for order in hand.orders] == [
        (Status.FILLED, ""),
        (Status.EXPIRED, "OCO_TRIGGER"),
    ]
    assert hand.position("external") == D("-1")


def test_a_pending_leg_is_open_and_keeps_its_type() -> None:
    hand = ByHand(parameters=QUIET).run(1.5)
    hand.private(report("leg", "NEW", "PENDING_NEW", o="TAKE_PROFIT", S="SELL", p="0.0", P="120.0", w=False))
    assert (hand.order.status, hand.order.order.venue_type) == (Status.OPEN, "TAKE_PROFIT")


def test_a_type_that_no_list_names_yet_does_not_stop_reconciliation() -> None:
    hand = ByHand(parameters=QUIET).run(1.5)
    hand.answers["open_orders"] = [listed("PEGGED_PRIMARY", "BUY", "80.0", "0.0")]
    hand.command("reconcile")
    assert hand.facts("reconcile_failed") == []
    assert hand.order.order.venue_type == "PEGGED_PRIMARY"


def test_a_triggered_stop_order_fills_as_what_it_is() -> None:
    hand = ByHand(parameters=QUIET).run(1.5)
    stop = {"o": "STOP_LOSS", "S": "SELL", "p": "0.0", "P": "88.0"}
    hand.private(report("web", "NEW", "NEW", **stop, w=False))
    hand.private(trade("web", 31, "1.0", "1.0", "FILLED", **stop))
    assert (hand.status(), hand.order.order.type, hand.position("external")) == (
        Status.FILLED,
        OrderType.FOREIGN,
        D(-1),
    )


def test_a_stop_buy_reserves_at_its_stop_price() -> None:
    """Risk counts 88 for it before the next balance report does, beside the 468 of the order on its way."""
    rich = {"canTrade": True, "balances": [{"asset": "USDT", "free": "1000", "locked": "0"}], "updateTime": 0}
    hand = ByHand(parameters={"orders": 2, "size": "5.2"}, answers={"account": rich}, held={"place"}).run(0.5)
    hand.private(report("web", "NEW", "NEW", o="TAKE_PROFIT", S="BUY", p="0.0", P="88.0", w=False)).run(1.5)
    first, second = (record.body or "" for record in hand.records if record.kind is Kind.VERDICT)
    assert '"approved":true' in first
    assert "needs 468.0 USDT; free 1000, promised to orders under way 556.00" in second


def test_one_client_id_and_one_number_in_three_instruments_are_three_orders() -> None:
    """Instruments number their orders apart, and other programs use a client id again."""
    instruments = (BTC, ETH, instrument("SOL", "USDT"))
    hand = ByHand(parameters=QUIET, instruments=instruments).run(1.5)
    for each in instruments:
        hand.private(report("x", "NEW", "NEW", s=each.symbol))
    assert {order.order.instrument for order in hand.orders} == {each.id for each in instruments}
    for each in instruments:
        hand.private(report("x", "CANCELED", "CANCELED", s=each.symbol))
    assert [order.status for order in hand.orders] == [Status.CANCELED] * 3


def test_a_strategy_cannot_place_a_foreign_order() -> None:
    place = 'yield Place("BTCUSDT", Side.BUY, parameters.size, parameters.price)'
    assert place in HAND
    hand = ByHand(source=HAND.replace(place, place[:-1] + ", OrderType.FOREIGN)")).run(1.5)
    assert "cannot place an order of type FOREIGN" in hand.state.account.strategies.get("hand").stopped_for


def test_a_type_without_a_stop_refuses_a_stop_price() -> None:
    """It would be an order without the stop that its strategy relies on."""
    place = 'yield Place("BTCUSDT", Side.BUY, parameters.size, parameters.price)'
    hand = ByHand(source=HAND.replace(place, place[:-1] + ", stop_price=Decimal(95))")).run(1.5)
    assert "an order of type LIMIT has no stop price" in hand.state.account.strategies.get("hand").stopped_for


@pytest.mark.parametrize(
    ("side", "stop", "asset", "locked"), [(Side.SELL, "88", "BTC", "1"), (Side.BUY, "120", "USDT", "120")]
)
def test_a_resimulation_keeps_a_foreign_order_open_and_never_trades_it(
    side: Side, stop: str, asset: str, locked: str
) -> None:
    """At price 0 a stop to sell would cross the book at once; its funds stay locked, and it can be canceled."""
    funds = Funds("me", {"BTC": units("2"), "USDT": units("1000")}, fee_maker=0, fee_taker=0)
    exchange = Exchange({"BTCUSDT": RULES["BTCUSDT"]}, {"me": funds})
    order = OpenOrder(
        order_id=7, client_order_id="web", symbol="BTCUSDT", side=side, order_type=OrderType.FOREIGN,
        time_in_force=TimeInForce.GTC, price=0, quantity=units("1"), executed=0, executed_quote=0, stop_price=units(stop),
    )  # fmt: skip
    totals = {"BTC": units("2"), "USDT": units("1000")}
    adopt(exchange, "me", Known(totals=totals, orders=[order], order_id_last=7, trade_id_last=0), 1)
    assert funds.locked[asset] == units(locked)
    exchange.on_market("BTCUSDT", DepthSnapshot(1, [(units("99"), units("5"))], [(units("101"), units("5"))]), 2)
    for number, price in enumerate(("101", "80", "130")):
        exchange.on_market(
            "BTCUSDT", TradePrint(number, units(price), units("9"), 3, buyer_is_maker=bool(number % 2)), 3
        )
    [still_open] = exchange.open_orders("me")
    assert (still_open.executed, still_open.is_open) == (0, True)
    exchange.cancel(still_open, 4, cancel_client_order_id="c")
    assert (exchange.open_orders("me"), funds.locked[asset]) == ([], 0)


def test_ask_and_sql_show_the_venues_type_and_stop_price(tmp_path: Path) -> None:
    """Also in the next session, which gets the order with its opening state."""
    first = ByHand(parameters=QUIET).run(1.5).private(streamed("STOP_LOSS", "SELL", "0.0", "88.0"))
    second = first.restart(parameters=QUIET).run(1)
    for hand, origin in ((first, "adopted"), (second, "carried")):
        folder = tmp_path / origin
        writer = JournalWriter.create(folder, sync=False)
        writer.append_step(hand.records, urgent=True)
        writer.close()
        rows = query_rows(connect(folder), "SELECT origin, type, venue_type, price, stop_price FROM orders")
        assert rows == [(origin, "FOREIGN", "STOP_LOSS", None, D(88))]
        [held] = describe_state(hand.sequencer.kernel, hand.state, hand.records[-1])["orders"]
        assert (held["type"], held["venue_type"], held["price"], held["stop_price"]) == (
            "FOREIGN",
            "STOP_LOSS",
            "0",
            "88",
        )


def test_an_order_of_a_known_type_is_recorded_as_it_was_before() -> None:
    """Old records have neither stop price nor venue type, and read as the same order."""
    order = NewOrder("x", Side.BUY, OrderType.LIMIT, D(1), D("99.5"))
    hand = ByHand().run(1.5)
    [request] = hand.asked("place")
    assert request.order == NewOrder("binance_spot:BTCUSDT", Side.BUY, OrderType.LIMIT, D(1), D(90))
    [body] = [r.body or "" for r in hand.records if r.kind is Kind.INTENT]
    text = '"instrument":"binance_spot:BTCUSDT","price":"90","quantity":"1","side":"BUY","time_in_force":"GTC","type":"LIMIT"'
    assert f'"order":{{{text}}}' in body
    assert isinstance(order.terms, LimitTerms)
