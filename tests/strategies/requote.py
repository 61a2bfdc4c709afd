"""Keeps one bid below the market: places it again as soon as it has ended. May stop with an error."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Requote:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        fail_at: int = 0

    @dataclass
    class State:
        quotes: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.quotes += 1
        if state.quotes == parameters.fail_at:
            raise ValueError("a fault of the strategy")
        if not view.orders("BTCUSDT"):
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), view.quote("BTCUSDT").bid - 100)
