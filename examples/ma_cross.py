"""A moving-average cross: long while the fast average is above the slow one, flat while it is below.

Copy this file to begin with a strategy of your own. `decide` sees a read-only view and returns wishes; risk has the last
word on each. What must be remembered from one decision to the next belongs into `State`: nothing else persists.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Average, Every, OrderType, Place, Side, View


class MovingAverageCross:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)
    averages = (Average("fast", length=50), Average("slow", length=400))

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        crosses: int = 0

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        fast, slow = view.average("fast", "BTCUSDT"), view.average("slow", "BTCUSDT")
        if fast is None or slow is None or view.orders("BTCUSDT"):
            return []  # not warm yet, or still waiting for the last order

        wanted = parameters.size if fast > slow else Decimal(0)
        held = view.round_quantity("BTCUSDT", view.position("BTCUSDT").quantity)
        if wanted == held:
            return []

        state.crosses += 1
        return [
            Place(
                "BTCUSDT",
                side=Side.BUY if wanted > held else Side.SELL,
                quantity=abs(wanted - held),
                type=OrderType.MARKET,
                because={"fast": fast, "slow": slow},
            )
        ]
