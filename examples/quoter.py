"""A two-sided quoter: a bid and an ask at the top of the book, moved when the market moves, at most every 100 ms.

It stops buying when it holds too much, and stops selling when it is short too much.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side, View


class Quoter:
    """Post-only limit orders on one instrument."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=100)

    @dataclass
    class Parameters:
        """What the configuration may set. Values are in the quote asset."""

        value: Decimal = Decimal(60)  # of one order
        value_max: Decimal = Decimal(600)  # of the position, either way
        tolerance: Decimal = Decimal("0.0001")  # allowed distance of an order from its target, as a share of the price

    @dataclass
    class State:
        """State that is kept between decisions."""

        requotes: int = 0

    @classmethod
    def decide(cls, view: View, state: State, parameters: Parameters) -> list[Place | Cancel]:
        """Quote both sides at the touch, and cancel quotes that are no longer there."""
        (name,) = cls.instruments
        quote = view.quote(name)
        if quote is None:
            return []

        value = view.position(name).quantity * quote.bid
        targets = {}
        if value < parameters.value_max:
            targets[Side.BUY] = quote.bid
        if value > -parameters.value_max:
            targets[Side.SELL] = quote.ask

        intents: list[Place | Cancel] = []
        for order in view.orders(name):
            price, target = order.order.price, targets.pop(order.order.side, None)
            if target is None or abs(price - target) > target * parameters.tolerance:
                state.requotes += 1
                intents.append(Cancel(order.client_order_id, rationale={"price": price, "target": target}))
        for side, price in targets.items():
            quantity = view.round_quantity(name, parameters.value / price)
            intents.append(Place(name, side=side, quantity=quantity, price=price, type=OrderType.LIMIT_MAKER))
        return intents


class EthQuoter(Quoter):
    """The same on another instrument."""

    instruments = ("ETHUSDT",)
