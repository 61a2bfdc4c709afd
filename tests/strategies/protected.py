"""Buy once, then protect the position by a stop of a stated type."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, OrderType, Place, Side


class Protected:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.01")
        type: str = "STOP"
        distance: Decimal = Decimal("0.05")  # of the stop price to the bid; negative: above it
        limit: Decimal = Decimal(0)  # of the limit price below the stop price

    @dataclass
    class State:
        bought: bool = False
        protected: bool = False

    @staticmethod
    def decide(view, state, parameters):
        if not state.bought:
            state.bought = True
            yield Place("BTCUSDT", Side.BUY, parameters.size, type=OrderType.MARKET)
        elif view.position("BTCUSDT").quantity and not state.protected:
            state.protected = True
            stop = view.quote("BTCUSDT").bid - parameters.distance
            price = stop - parameters.limit if parameters.limit else Decimal(0)
            kind = OrderType(parameters.type)
            yield Place("BTCUSDT", Side.SELL, parameters.size, price, type=kind, stop_price=stop)
