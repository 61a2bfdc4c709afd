from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, Place, Side


class Two:
    """Places an order in each of two instruments with every quote, and cancels it with the next."""

    version = "1"
    instruments = ("BTCUSDT", "ETHUSDT")
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        for name in Two.instruments:
            quote, orders = view.quote(name), view.orders(name)
            if orders:
                yield Cancel(orders[0].client_order_id)
            elif quote is not None:
                yield Place(name, Side.BUY, parameters.size, view.round_price(name, quote.bid * Decimal("0.9")))
