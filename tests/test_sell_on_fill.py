"""A strategy protects what it bought at the fill, before the venue reports the balance."""

from decimal import Decimal

from checked_sessions import CheckedSessions

from verbatim.testing import VirtualVenue, from_sources

PROTECTING = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnFill, OnQuote, OrderType, Place, Side


class Protecting:
    version = "1"
    instruments = ("*",)
    cadence = (OnQuote(throttle_ms=1000), OnFill())

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        bought: bool = False

    @staticmethod
    def decide(view, state, parameters):
        (name,) = view.instruments
        held = view.round_quantity(name, view.position(name).quantity)
        if held > 0 and not view.orders(name):
            stop = view.round_price(name, view.position(name).entry_price * Decimal("0.9"))
            return [Place(name, Side.SELL, held, type=OrderType.STOP, stop_price=stop, reduce_only=True)]
        if not state.bought:
            state.bought = True
            return [Place(name, Side.BUY, Decimal("0.01"), type=OrderType.MARKET)]
        return []
"""


def test_a_stop_at_the_fill_is_not_refused_for_a_balance_that_is_on_its_way(begin: CheckedSessions) -> None:
    """The account held no coin before. Binance sends the balance after the fill."""
    strategy = from_sources({"protecting": PROTECTING}, "protecting", "Protecting")
    session = begin(VirtualVenue(balances={"USDT": "10000"}), strategy).run(5)
    assert session.facts("strategy_stopped") == []
    [filled, *_] = [record for record in session.records if '"order_filled"' in (record.body or "")]
    [_, stop] = [record for record in session.records if '"purpose":"place"' in (record.body or "")]
    assert stop.time_ns == filled.time_ns
    assert not [record for record in session.records if '"approved":false' in (record.body or "")]
    assert len(session.state.account.orders.live) == 1


def test_what_a_cancelled_stop_held_is_sold_at_its_end(begin: CheckedSessions) -> None:
    """The end of the order comes before the balance, too, and the strategy leaves its position at that moment."""
    source = PROTECTING.replace(
        "OnQuote(throttle_ms=1000), OnFill()", "OnQuote(throttle_ms=1000), OnFill(), OnOrderEnd()"
    )
    source = source.replace("from verbatim import OnFill,", "from verbatim import Cancel, Close, OnFill, OnOrderEnd,")
    source = source.replace(
        "        if not state.bought:",
        """        if view.trigger == "quote" and held > 0:
            return [Cancel(order.client_order_id) for order in view.orders(name)]
        if not state.bought:""",
    ).replace(
        "if held > 0 and not view.orders(name):",
        """if held > 0 and state.bought and view.trigger == "order_end" and view.closed_orders(name)[-1].status == "canceled":
            return [Close(name)]
        if held > 0 and not view.orders(name):""",
    )
    session = begin(VirtualVenue(balances={"USDT": "10000"}), from_sources({"p": source}, "p", "Protecting")).run(5)
    assert session.facts("strategy_stopped") == []
    assert not [record for record in session.records if '"approved":false' in (record.body or "")]
    [position] = session.state.account.positions.by_key.values()
    assert position.quantity < Decimal("0.001"), "the fee alone is left"
    assert session.state.account.orders.live == {}
