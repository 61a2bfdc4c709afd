"""One buy and one sell at the touch, re-quoted at most every 100 ms: enough to make every kind of record."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, Place, Side


class Pair:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=100)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")
        orders_max: int = 1_000_000

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        live = {order.order.side: order for order in view.orders("BTCUSDT")}
        for side, price in ((Side.BUY, quote.bid), (Side.SELL, quote.ask)):
            order = live.get(side)
            if order is None and state.placed < parameters.orders_max:
                state.placed += 1
                yield Place("BTCUSDT", side, parameters.size, price, rationale={"touch": price})
            elif order is not None and order.order.price != price:
                yield Cancel(order.client_order_id, rationale={"touch": price})
