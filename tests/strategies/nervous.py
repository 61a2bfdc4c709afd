from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, Place, Side


class Nervous:
    """Places one order, and from then on wants it cancelled with every quote."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        if not state.placed:
            state.placed = 1
            yield Place("BTCUSDT", Side.BUY, parameters.size, view.quote("BTCUSDT").bid - 100)
        for order in view.orders("BTCUSDT"):
            yield Cancel(order.client_order_id)
