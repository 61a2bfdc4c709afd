"""One order, once: the smallest thing that can go wrong."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, OrderType, Place, Side


class Once:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")
        below: Decimal = Decimal(0)  # how far below the bid the buy rests; 0: a market order
        orders: int = 1

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        if state.placed >= parameters.orders or view.orders("BTCUSDT"):
            return
        state.placed += 1
        quote = view.quote("BTCUSDT")
        if parameters.below:
            yield Place("BTCUSDT", Side.BUY, parameters.size, quote.bid - parameters.below)
        else:
            yield Place("BTCUSDT", Side.BUY, parameters.size, type=OrderType.MARKET)
