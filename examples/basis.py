"""Basis: buy spot and sell the perpetual against it, in equal amounts. docs/examples.md explains it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from verbatim import Every, OrderType, Place, Range, Side, View


class Basis:
    """Hold `size` of spot against as much of the perpetual, in steps; a leg that is alone is completed or closed."""

    version = "1"
    cadence = Every(ms=1000)

    @dataclass
    class Parameters:
        """What the configuration may set."""

        spot: str = "spot:BTCUSDT"
        perp: str = "perp:BTCUSDT"
        size: Decimal = Decimal("0.01")  # of each leg
        step: Decimal = Decimal("0.002")  # of one order
        basis_min_bps: Annotated[Decimal, Range(-1000, 1000)] = Decimal(-1000)  # perpetual above spot, to open more

    @dataclass
    class State:
        """State that is kept between decisions."""

        steps: int = 0

    @staticmethod
    def instruments(parameters: Parameters) -> tuple[str, ...]:
        """Return the two instruments, each with its venue."""
        return parameters.spot, parameters.perp

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> Iterator[Place]:
        """Bring the perpetual to the opposite of spot; else buy spot and sell the perpetual by one step."""
        spot, perp = view.quote(parameters.spot), view.quote(parameters.perp)
        if (
            view.orders()
            or spot is None
            or perp is None
            or view.blocked(parameters.spot)
            or view.blocked(parameters.perp)
        ):
            return
        held, lot = view.position(parameters.spot).quantity, view.instrument(parameters.perp).lot_size
        target = -view.round_quantity(
            parameters.perp, held + lot / 2
        )  # fees of spot are taken in coins: the nearest lot
        alone = target - view.position(parameters.perp).quantity
        if abs(alone) >= parameters.step:
            side = Side.BUY if alone > 0 else Side.SELL
            yield Place(parameters.perp, side, abs(alone), type=OrderType.MARKET, rationale={"alone": alone})
            return
        basis_bps = (perp.bid - spot.ask) / spot.ask * 10_000
        if held + parameters.step > parameters.size or basis_bps < parameters.basis_min_bps:
            return
        state.steps += 1
        for name, side in ((parameters.spot, Side.BUY), (parameters.perp, Side.SELL)):
            yield Place(name, side, parameters.step, type=OrderType.MARKET, rationale={"basis_bps": basis_bps})
