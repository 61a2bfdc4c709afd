from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, Place, Side


class Sizes:
    """Places an order of a size rounded to the instrument's lot, twice a second."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.00201")

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        quantity = view.round_quantity("BTCUSDT", parameters.size)
        yield Place("BTCUSDT", Side.BUY, quantity, view.quote("BTCUSDT").bid - 100)
