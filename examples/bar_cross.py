"""A moving-average cross on bars: long while the fast average of closes is above the slow one, else flat.

It decides when the averages cross at the end of a bar, so years of bars need seconds. Its orders fill at the first
price of the next bar.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from verbatim import CrossOver, Indicator, OnQuote, OrderType, Place, Range, Side, View


class BarCross:
    """Market orders on one instrument, whose position is worth `value` while long."""

    version = "1"
    instruments = ("*",)
    cadence = OnQuote(when=CrossOver("fast", "slow"))

    @dataclass
    class Parameters:
        """What the configuration may set."""

        bar_s: Annotated[int, Range(1, 86_400)] = 60
        fast: Annotated[int, Range(1, 10_000)] = 60  # bars
        slow: Annotated[int, Range(2, 10_000)] = 600
        value: Decimal = Decimal(1000)  # in the quote asset

    @dataclass
    class State:
        """State that is kept between decisions."""

        crosses: int = 0

    @staticmethod
    def indicators(parameters: Parameters) -> tuple[Indicator, ...]:
        """Return both averages of the closes."""
        return tuple(
            Indicator(name, "sma", {"length": length}, bars_s=parameters.bar_s)
            for name, length in (("fast", parameters.fast), ("slow", parameters.slow))
        )

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        """Buy when the fast average is above the slow one, sell when it is below."""
        (name,) = view.instruments
        quote, fast, slow = view.quote(name), view.indicator("fast", name), view.indicator("slow", name)
        if quote is None or fast is None or slow is None or view.orders(name):
            return []  # an average is not warm yet, or the last order is still open
        held = view.round_quantity(name, view.position(name).quantity)  # a fee may leave less than a lot behind
        state.crosses += 1
        rationale = {"fast": fast, "slow": slow}
        if fast > slow and held <= 0:
            quantity = view.round_quantity(name, parameters.value / quote.ask)
            return [Place(name, side=Side.BUY, quantity=quantity, type=OrderType.MARKET, rationale=rationale)]
        if fast < slow and held > 0:
            return [Place(name, side=Side.SELL, quantity=held, type=OrderType.MARKET, rationale=rationale)]
        return []
