"""A strategy that runs one bracket after the other, and moves a plain bid far below the market: for tests of kills."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Bracket, Cancel, Every, Place, Run, Side, View

FAR = Decimal("0.99")  # of the bid: the plain bids never fill


class Bracketer:
    """Brackets enter at market and at the bid in turn; their exits are a few ticks away."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=100)

    @dataclass
    class Parameters:
        """Values that a test sets."""

        quantity: Decimal = Decimal("0.005")
        width: Decimal = Decimal(3)
        lasts_ms: int = 3_000

    @dataclass
    class State:
        """State that is kept between decisions."""

        brackets: int = 0

    @classmethod
    def decide(cls, view: View, state: State, parameters: Parameters) -> list[Run | Place | Cancel]:
        (name,) = cls.instruments
        quote = view.quote(name)
        if quote is None:
            return []
        far = [
            order
            for order in view.orders(name)
            if order.order.side is Side.BUY and 0 < order.order.price < quote.bid * FAR
        ]
        intents: list[Run | Place | Cancel] = [Cancel(order.client_order_id) for order in far]
        if not far:
            price = view.round_price(name, quote.bid * (2 * FAR - 1))
            intents.append(Place(name, Side.BUY, Decimal("0.001"), price))
        if view.plans():
            return intents
        state.brackets += 1
        entry = quote.bid if state.brackets % 2 else Decimal(0)
        bracket = Bracket(
            name,
            Side.BUY,
            parameters.quantity,
            stop_price=quote.bid - parameters.width,
            target_price=quote.ask + parameters.width,
            entry_price=entry,
            entry_lasts_ms=parameters.lasts_ms,
        )
        return [*intents, Run(bracket)]
