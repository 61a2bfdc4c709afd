"""Breakout: buy when the price leaves the range of the last bars, with a target and a stop as one plan.

docs/examples.md explains it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from verbatim import Bracket, Indicator, OnBar, Range, Run, Side, View


class Breakout:
    """One bracket at a time: entry, target, and a stop at the venue."""

    version = "1"
    instruments = ("BTCUSDT",)

    @dataclass
    class Parameters:
        """What the configuration may set."""

        bar_s: Annotated[int, Range(1, 86_400)] = 60
        length: Annotated[int, Range(2, 200)] = 20  # bars of the range
        risk: Annotated[Decimal, Range("0.0001", "0.2")] = Decimal("0.002")  # from entry to stop, as a fraction
        reward: Annotated[Decimal, Range("0.1", 20)] = Decimal(2)  # from entry to target, in multiples of that
        size: Decimal = Decimal("0.002")

    @dataclass
    class State:
        """State that is kept between decisions."""

        high: float = 0.0  # of the bars before the last one

    @staticmethod
    def cadence(parameters: Parameters) -> OnBar:
        """Decide at each closed bar."""
        return OnBar(seconds=parameters.bar_s)

    @staticmethod
    def indicators(parameters: Parameters) -> tuple[Indicator, ...]:
        """Return the highest price of the last bars."""
        return (Indicator("high", "highest", {"length": parameters.length}, bars_s=parameters.bar_s),)

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Run]:
        """Run a bracket when a bar closes above the highest price of the bars before it."""
        (name,) = view.instruments
        before, high, quote = state.high, view.indicator("high", name), view.quote(name)
        state.high = high or 0.0
        closed = view.bars(name, parameters.bar_s).closed
        if not before or quote is None or not closed or view.plans() or view.position(name).side is not None:
            return []
        if float(closed[-1].close) <= before:
            return []
        distance = quote.ask * parameters.risk
        plan = Bracket(
            name,
            Side.BUY,
            parameters.size,
            stop_price=view.round_price(name, quote.ask - distance),
            target_price=view.round_price(name, quote.ask + distance * parameters.reward),
        )
        return [Run(plan, rationale={"close": closed[-1].close, "high": before})]
