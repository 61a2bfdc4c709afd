"""A strategy that replaces its orders again and again: for tests of the life of orders, not of trading."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side, View


class Restless:
    """Bids and asks at the touch, moved on every change; now and then a market order."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=20)

    @dataclass
    class Parameters:
        """Values that a test sets."""

        value: Decimal = Decimal(60)
        market_every: int = 5

    @dataclass
    class State:
        """State that is kept between decisions."""

        turns: int = 0

    @classmethod
    def decide(cls, view: View, state: State, parameters: Parameters) -> list[Place | Cancel]:
        (name,) = cls.instruments
        quote = view.quote(name)
        if quote is None:
            return []
        state.turns += 1
        quantity = view.round_quantity(name, parameters.value / quote.ask)
        side = Side.BUY if view.position(name).quantity <= 0 else Side.SELL
        if parameters.market_every and state.turns % parameters.market_every == 0:
            return [Place(name, side=side, quantity=quantity, type=OrderType.MARKET)]
        intents: list[Place | Cancel] = [Cancel(order.client_order_id) for order in view.orders(name)]
        price = quote.bid if side is Side.BUY else quote.ask
        return [*intents, Place(name, side=side, quantity=quantity, price=price)]
