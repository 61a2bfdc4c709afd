"""Fourteen buys far below the market, placed once."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Ladder:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=200)

    @dataclass
    class Parameters:
        rungs: int = 14

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        if state.placed < parameters.rungs:
            state.placed += 1
            bid = view.quote("BTCUSDT").bid
            yield Place("BTCUSDT", Side.BUY, Decimal("0.001"), bid - 100 * state.placed)
