"""Buys ten lots at the market, once, and holds them."""

from dataclasses import dataclass

from verbatim import OnQuote, OrderType, Place, Side


class Hold:
    version = "1"
    instruments = ("*",)
    cadence = OnQuote(throttle_ms=1000)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        bought: bool = False

    @staticmethod
    def decide(view, state, _parameters):
        if not state.bought:
            state.bought = True
            yield Place("*", Side.BUY, 10 * view.instrument("*").lot_size, type=OrderType.MARKET)
