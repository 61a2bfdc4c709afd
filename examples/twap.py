"""TWAP: buy a quantity in equal parts over a time, once. docs/examples.md explains it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from verbatim import OnMode, OnQuote, Range, Run, Side, Twap, View


class TwapBuyer:
    """The execution plan does the work; the strategy begins it and says how it ended."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = (OnQuote(throttle_ms=1000), OnMode())

    @dataclass
    class Parameters:
        """What the configuration may set."""

        quantity: Decimal = Decimal("0.01")
        slices: Annotated[int, Range(1, 1000)] = 5
        every_ms: Annotated[int, Range(1, 3_600_000)] = 2_000
        slippage_max: Annotated[Decimal, Range(0, "0.1")] = Decimal("0.001")

    @dataclass
    class State:
        """State that is kept between decisions."""

        begun: bool = False
        ended: bool = False

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Run]:
        """Run the plan once, as soon as there is a quote."""
        (name,) = view.instruments
        if state.begun:
            if not state.ended and not view.plans():
                state.ended = True
                view.log(f"bought {view.position(name).quantity} at {view.position(name).entry_price}")
            return []
        if view.quote(name) is None:
            return []
        state.begun = True
        plan = Twap(
            name,
            Side.BUY,
            parameters.quantity,
            slices=parameters.slices,
            every_ms=parameters.every_ms,
            slippage_max=parameters.slippage_max,
        )
        return [Run(plan)]
