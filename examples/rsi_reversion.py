"""RSI mean reversion: buy when the RSI of bars is low; leave by a target of the RSI, a stop, or after a time.

docs/examples.md explains it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from verbatim import Cancel, Close, Indicator, OnBar, OnFill, OnOrderEnd, OrderType, Place, Range, Side, View


class RsiReversion:
    """One position at a time. The stop is an order at the venue, so it outlives the program."""

    version = "1"
    instruments = ("BTCUSDT",)

    @dataclass
    class Parameters:
        """What the configuration may set."""

        bar_s: Annotated[int, Range(1, 86_400)] = 60
        length: Annotated[int, Range(2, 200)] = 14
        low: Annotated[float, Range(1, 50)] = 30.0
        leave: Annotated[float, Range(30, 99)] = 50.0
        stop: Annotated[Decimal, Range("0.0001", "0.2")] = Decimal("0.005")  # below the entry, as a fraction
        bars_max: Annotated[int, Range(1, 10_000)] = 20  # a position is closed after so many bars
        size: Decimal = Decimal("0.002")

    @dataclass
    class State:
        """State that is kept between decisions."""

        bars_held: int = 0
        leaving: bool = False  # the stop is being cancelled, and then the position is closed

    @staticmethod
    def cadence(parameters: Parameters) -> tuple[OnBar, OnFill, OnOrderEnd]:
        """Decide at each closed bar, at each fill and at each end of an order."""
        return OnBar(seconds=parameters.bar_s), OnFill(), OnOrderEnd()

    @staticmethod
    def indicators(parameters: Parameters) -> tuple[Indicator, ...]:
        """Return the RSI of the bars."""
        return (Indicator("rsi", "rsi", {"length": parameters.length}, bars_s=parameters.bar_s),)

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place | Close | Cancel]:
        """Protect a new position by a stop; else enter or leave at the end of a bar."""
        (name,) = view.instruments
        held = view.round_quantity(name, view.position(name).quantity)
        if state.leaving and "order_end" in view.triggers:
            state.leaving = False
            return [Close(name)] if held > 0 else []
        if "fill" in view.triggers and held > 0 and not view.orders(name):
            state.bars_held = 0
            stop = view.round_price(name, view.position(name).entry_price * (1 - parameters.stop))
            return [
                Place(
                    name, Side.SELL, held, type=OrderType.STOP, stop_price=stop, reduce_only=True,
                    rationale={"entry": view.position(name).entry_price},
                )
            ]  # fmt: skip
        rsi = view.indicator("rsi", name)
        if "bar" not in view.triggers or rsi is None:
            return []
        if held > 0:
            return _exits(view, state, parameters, rsi)
        if rsi < parameters.low and not view.orders(name):
            return [Place(name, Side.BUY, parameters.size, type=OrderType.MARKET, rationale={"rsi": rsi})]
        return []


def _exits(
    view: View, state: RsiReversion.State, parameters: RsiReversion.Parameters, rsi: float
) -> list[Place | Close | Cancel]:
    """Return the exit of a position whose RSI recovered or whose time is over. The stop is cancelled first."""
    (name,) = view.instruments
    state.bars_held += 1
    if rsi < parameters.leave and state.bars_held < parameters.bars_max:
        return []
    rationale = {"rsi": rsi, "bars_held": state.bars_held}
    if orders := view.orders(name):
        state.leaving = True
        return [Cancel(order.client_order_id, rationale=rationale) for order in orders]
    return [Close(name, rationale=rationale)]
