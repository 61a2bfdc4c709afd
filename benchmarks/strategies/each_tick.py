"""An order on each tick: what benchmarks/tick_to_order.py measures. It can never fill, so every tick finds the same
account.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side, TimeInForce, View


class EachTick:
    """One immediate-or-cancel bid far below the market."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        """What the configuration may set."""

        quantity: Decimal = Decimal("0.001")
        discount: Decimal = Decimal(1000)  # in the quote asset

    @dataclass
    class State:
        """Nothing is remembered."""

    @classmethod
    def decide(cls, view: View, _state: State, parameters: Parameters) -> list[Place]:
        (name,) = cls.instruments
        quote = view.quote(name)
        if quote is None:
            return []
        price = quote.bid - parameters.discount
        return [Place(name, side=Side.BUY, quantity=parameters.quantity, price=price, time_in_force=TimeInForce.IOC)]
