"""Fails at its third decision, after it has changed its state and yielded an intent."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, OrderType, Place, Side


class Faulty:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        at: int = 3

    @dataclass
    class State:
        asked: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.asked += 1
        if state.asked == parameters.at:
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), type=OrderType.MARKET)
            state.asked = 1 // (parameters.at - state.asked)
