"""Market orders at each cross of two averages of the mid, moved by every quote: NautilusTrader's benchmark
(shared/bench), with the cross declared.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Average, CrossOver, OnQuote, OrderType, Place, Side, View


class EmaCross:
    """Python runs at a cross, and nowhere else."""

    version = "1"
    instruments = ("*",)
    averages = (Average("fast", length=10), Average("slow", length=20))
    cadence = OnQuote(when=CrossOver("fast", "slow"))

    @dataclass
    class Parameters:
        """What the configuration may set."""

        size: Decimal = Decimal("0.01")

    @dataclass
    class State:
        """Nothing is remembered."""

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        fast, slow = view.average("fast", "*"), view.average("slow", "*")
        side = Side.BUY if (fast or 0) > (slow or 0) else Side.SELL
        return [Place("*", side, parameters.size, type=OrderType.MARKET)]
