"""A two-sided quoter: a bid and an ask around the market, moved when it moves, at most every 100 ms.

It leans against its position: the more it holds, the further its buying price falls back.
"""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, OrderType, Place, Side, View


class Quoter:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=100)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")
        position_max: Decimal = Decimal("0.01")
        tolerance: Decimal = Decimal("0.0001")  # how far from its place an order may stand, as a share of the price

    @dataclass
    class State:
        requotes: int = 0

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place | Cancel]:
        quote = view.quote("BTCUSDT")
        if quote is None:
            return []

        position = view.position("BTCUSDT").quantity
        prices = {}
        if position < parameters.position_max:
            prices[Side.BUY] = quote.bid
        if position > -parameters.position_max:
            prices[Side.SELL] = quote.ask

        wishes: list[Place | Cancel] = []
        standing = set()
        for order in view.orders("BTCUSDT"):
            wanted, price = prices.get(order.order.side), order.order.price
            standing.add(order.order.side)
            if wanted is None or abs(price - wanted) > wanted * parameters.tolerance:
                wishes.append(Cancel(order.client_order_id, because={"price": price, "wanted": wanted}))
                state.requotes += 1
        for side, price in prices.items():
            if side not in standing:
                wishes.append(
                    Place("BTCUSDT", side=side, quantity=parameters.size, price=price, type=OrderType.LIMIT_MAKER)
                )
        return wishes
