"""A post-only bid and ask at the top of the session's only instrument, moved when the market moved."""

from dataclasses import dataclass

from verbatim import Cancel, OnQuote, OrderType, Place, Side

SIZE_LOTS = 5
POSITION_LOTS = 25


class AtTheTop:
    version = "1"
    instruments = ("*",)
    cadence = OnQuote(throttle_ms=250)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, _state, _parameters):
        quote, lot = view.quote("*"), view.instrument("*").lot_size
        if quote is None:
            return
        held = view.position("*").quantity / lot
        wanted = {Side.BUY: quote.bid, Side.SELL: quote.ask}
        for order in view.orders("*"):
            if wanted.pop(order.order.side, None) != order.order.price:
                yield Cancel(order.client_order_id)
        for side, price in wanted.items():
            if held * side.sign < POSITION_LOTS:
                yield Place(
                    "*",
                    side,
                    max(SIZE_LOTS * lot, view.round_quantity("*", 6 / price)),
                    price=price,
                    type=OrderType.LIMIT_MAKER,
                )
