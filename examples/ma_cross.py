"""A moving-average cross: long while the fast average is above the slow one, flat while it is below.

Copy this file to begin a strategy. `decide` reads a view and returns intents; risk accepts or refuses each. Only the
fields of `State` persist from one decision to the next.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Average, Every, OrderType, Place, Side, View


class MovingAverageCross:
    """Market orders on one instrument."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)
    averages = (Average("fast", length=50), Average("slow", length=400))

    @dataclass
    class Parameters:
        """What the configuration may set."""

        value: Decimal = Decimal(100)  # of the position while long, in the quote asset

    @dataclass
    class State:
        """State that is kept between decisions."""

        crosses: int = 0

    @classmethod
    def decide(cls, view: View, state: State, parameters: Parameters) -> list[Place]:
        """Buy when the fast average is above the slow one, sell when it is below."""
        (name,) = cls.instruments
        quote, fast, slow = view.quote(name), view.average("fast", name), view.average("slow", name)
        if quote is None or fast is None or slow is None or view.orders(name):
            return []  # an average is not warm yet, or the last order is still open

        held = view.round_quantity(name, view.position(name).quantity)  # a fee may leave less than a lot behind
        rationale = {"fast": fast, "slow": slow}
        if fast > slow and held <= 0:
            state.crosses += 1
            quantity = view.round_quantity(name, parameters.value / quote.ask)
            return [Place(name, side=Side.BUY, quantity=quantity, type=OrderType.MARKET, rationale=rationale)]
        if fast < slow and held > 0:
            state.crosses += 1
            return [Place(name, side=Side.SELL, quantity=held, type=OrderType.MARKET, rationale=rationale)]
        return []


class EthCross(MovingAverageCross):
    """The same on another instrument."""

    instruments = ("ETHUSDT",)
