"""A strategy for the stranger's venue: it buys at the market, and sells what it holds at the touch."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side, View


class CrossingQuoter:
    """Never at rest: an order at every turn, and the one before withdrawn."""

    version = "1"
    instruments = ("XBT/USD",)
    cadence = OnQuote(throttle_ms=60)

    @dataclass
    class Parameters:
        """Values that a test sets."""

        quantity: Decimal = Decimal("0.01")

    @dataclass
    class State:
        """The number of turns so far."""

        turns: int = 0

    @classmethod
    def decide(cls, view: View, state: State, parameters: Parameters) -> list[Place | Cancel]:
        """Buy at the market and sell at the touch in turn."""
        (name,) = cls.instruments
        quote = view.quote(name)
        if quote is None:
            return []
        state.turns += 1
        if view.position(name).quantity <= 0 and state.turns % 2:
            return [Place(name, side=Side.BUY, quantity=parameters.quantity, type=OrderType.MARKET)]
        intents: list[Place | Cancel] = [Cancel(order.client_order_id) for order in view.orders(name)]
        side = Side.SELL if view.position(name).quantity > 0 else Side.BUY
        price = quote.ask if side is Side.SELL else quote.bid
        return [*intents, Place(name, side=side, quantity=parameters.quantity, price=price)]
