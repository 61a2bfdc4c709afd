"""Buys at one venue and sells at the other, by turns, and keeps a limit order far below the market at each."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, OrderType, Place, Side, View


class Both:
    version = "1"
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        first: str = "one:BTCUSDT"
        second: str = "two:BTCUSDT"
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        decisions: int = 0

    @staticmethod
    def instruments(parameters: Parameters) -> tuple[str, ...]:
        return parameters.first, parameters.second

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> Iterable[Place]:
        state.decisions += 1
        for name, side in ((parameters.first, Side.BUY), (parameters.second, Side.SELL)):
            quote = view.quote(name)
            if view.blocked(name) or quote is None:
                continue
            if not [order for order in view.orders(name) if order.order.price]:
                price = view.round_price(name, quote.bid * Decimal("0.5"), Side.BUY)
                yield Place(name, Side.BUY, parameters.size, price)
            elif state.decisions % 4 == 0:
                yield Place(name, side, parameters.size, type=OrderType.MARKET)
