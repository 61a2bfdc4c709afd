"""A strategy that buys once and holds."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side


class Holder:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        if view.quote("BTCUSDT") is None or view.position("BTCUSDT").quantity or view.orders("BTCUSDT"):
            return []
        return [Place("BTCUSDT", Side.BUY, parameters.size, type=OrderType.MARKET)]
