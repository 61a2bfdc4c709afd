"""One order at the first quote: at the market, or resting at the bid."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from verbatim import Intent, OnQuote, OrderType, Place, Side, View


class Rests:
    version = "1"
    instruments: ClassVar[tuple[str, ...]] = ("*",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal(1)
        at_market: bool = False
        below: Decimal = Decimal(1_000_000)  # not before the ask is below it

    @dataclass
    class State:
        is_placed: bool = False

    @classmethod
    def decide(cls, view: View, state: "Rests.State", parameters: "Rests.Parameters") -> list[Intent]:
        (name,) = cls.instruments
        quote = view.quote(name)
        if state.is_placed or quote is None or quote.ask >= parameters.below:
            return []
        state.is_placed = True
        if parameters.at_market:
            return [Place(name, side=Side.BUY, quantity=parameters.size, type=OrderType.MARKET)]
        return [Place(name, side=Side.BUY, quantity=parameters.size, type=OrderType.LIMIT, price=quote.bid)]


class RestsEth(Rests):
    instruments: ClassVar[tuple[str, ...]] = ("ETHUSDT",)
