"""Buy once and protect it, then ask for ever for orders that risk refuses, and at last close the position."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Close, OnQuote, OrderType, Place, Side


class Exiting:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")
        hold_s: int = 6  # from the first quote to the exit
        is_flagged: bool = True  # the protecting stop says that it only reduces

    @dataclass
    class State:
        bought: bool = False
        protected: bool = False
        since_ns: int = 0

    @staticmethod
    def decide(view, state, parameters):
        held, bid = view.position("BTCUSDT").quantity, view.quote("BTCUSDT").bid
        if not state.bought:
            state.bought, state.since_ns = True, view.time_ns
            yield Place("BTCUSDT", Side.BUY, parameters.size, type=OrderType.MARKET)
            return
        if held and not state.protected:
            state.protected = True
            stop = Place("BTCUSDT", Side.SELL, held // Decimal("0.00001") * Decimal("0.00001"), type=OrderType.STOP)
            yield Place(
                stop.instrument,
                stop.side,
                stop.quantity,
                type=stop.type,
                stop_price=bid - 10_000,
                reduce_only=parameters.is_flagged,
            )
            yield Place("BTCUSDT", Side.BUY, Decimal("0.0005"), bid - 5_000)
            return
        if view.time_ns - state.since_ns > parameters.hold_s * 1_000_000_000:
            sells = [order for order in view.orders("BTCUSDT") if order.order.side is Side.SELL]
            for order in sells:
                yield Cancel(order.client_order_id)
            if held > Decimal("0.0001") and not sells:
                yield Close("BTCUSDT")
            return
        yield Place("BTCUSDT", Side.BUY, Decimal(1), bid - 100)
