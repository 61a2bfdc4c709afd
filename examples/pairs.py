"""Pairs: trade the ratio of two instruments back to its mean. docs/examples.md explains it."""

from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean, pstdev
from typing import Annotated

from verbatim import Close, Every, OrderType, Place, Range, Side, View


class Pairs:
    """Long the cheap leg while the ratio is far from its mean. On a spot account no leg is short."""

    version = "1"
    instruments = ("BTCUSDT", "ETHUSDT")

    @dataclass
    class Parameters:
        """What the configuration may set."""

        every_ms: Annotated[int, Range(100, 3_600_000)] = 1_000
        length: Annotated[int, Range(5, 500)] = 60  # values of the ratio
        enter: Annotated[float, Range("0.1", 10)] = 2.0  # standard deviations
        leave: Annotated[float, Range(0, 5)] = 0.5
        value: Decimal = Decimal(100)  # of the leg, in the quote asset

    @dataclass
    class State:
        """State that is kept between decisions."""

        ratios: list[float] = field(default_factory=list)

    @staticmethod
    def cadence(parameters: Parameters) -> Every:
        """Decide at a fixed period."""
        return Every(ms=parameters.every_ms)

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place | Close]:
        """Compare the ratio with its mean, and hold the leg that is cheap."""
        first, second = view.instruments
        quotes = view.quote(first), view.quote(second)
        if quotes[0] is None or quotes[1] is None:
            return []
        ratio = float(quotes[0].bid + quotes[0].ask) / float(quotes[1].bid + quotes[1].ask)
        state.ratios = [*state.ratios, ratio][-parameters.length :]
        if len(state.ratios) < parameters.length or view.orders():
            return []
        deviation = pstdev(state.ratios)
        score = (ratio - fmean(state.ratios)) / deviation if deviation else 0.0
        rationale = {"ratio": ratio, "score": score}
        held = [name for name in view.instruments if view.round_quantity(name, view.position(name).quantity) > 0]
        if held:
            return [Close(name, rationale=rationale) for name in held] if abs(score) < parameters.leave else []
        if abs(score) < parameters.enter:
            return []
        cheap, quote = (second, quotes[1]) if score > 0 else (first, quotes[0])
        quantity = view.round_quantity(cheap, parameters.value / quote.ask)
        return [Place(cheap, Side.BUY, quantity, type=OrderType.MARKET, rationale=rationale)]
