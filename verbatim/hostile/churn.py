"""A strategy for hostile sessions: it places and cancels orders of every kind, by a small generator in its state."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from verbatim import Cancel, OnQuote, OrderType, Place, Side, TimeInForce

SYMBOL = "BTCUSDT"


class Churn:
    """Places and cancels by drawn numbers."""

    version = "1"
    instruments = (SYMBOL,)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        """Settings."""

        seed: int = 1
        orders_max: int = 4  # live at a time
        busy: int = 6  # decisions of ten that do something

    @dataclass
    class State:
        """What persists."""

        draws: int = 0

    @staticmethod
    def decide(view: Any, state: Any, parameters: Any) -> Iterator[Place | Cancel]:
        """Yield what the drawn number says."""
        state.draws += 1
        # the multiplier of splitmix64 scatters a counter well enough
        drawn = ((state.draws + 1_000_003 * parameters.seed) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF) >> 20
        if drawn % 10 >= parameters.busy:
            return
        drawn //= 10
        live = view.orders(SYMBOL)
        if live and (len(live) >= parameters.orders_max or drawn % 3 == 0):
            yield Cancel(live[drawn // 3 % len(live)].client_order_id)
            return
        quote = view.quote(SYMBOL)
        side = Side.BUY if drawn // 7 % 2 else Side.SELL
        sign = 1 if side is Side.BUY else -1
        size = Decimal(1 + drawn // 11 % 40) / 100
        touch = quote.bid if side is Side.BUY else quote.ask
        match drawn // 17 % 8:
            case 0:
                yield Place(SYMBOL, side, size, type=OrderType.MARKET)
            case 1:  # takes what the book offers
                yield Place(SYMBOL, side, size, touch + sign * 3)
            case 2:
                yield Place(SYMBOL, side, size, touch + sign * 3, time_in_force=TimeInForce.IOC)
            case 3:
                yield Place(SYMBOL, side, size, touch, type=OrderType.LIMIT_MAKER)
            case kind:
                yield Place(SYMBOL, side, size, touch - sign * (kind - 4))
