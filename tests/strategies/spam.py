from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Spam:
    """Places an order with every quote."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")
        below: Decimal = Decimal(100)

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        return [Place("BTCUSDT", Side.BUY, parameters.size, quote.bid - parameters.below)]
