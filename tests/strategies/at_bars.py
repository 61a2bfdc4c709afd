"""Orders at the ends of chosen bars, as the parameters say."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from verbatim import Bracket, Intent, OnBar, OnQuote, OrderType, Place, Run, Side, View

MINUTE_S = 60


class AtBars:
    """`orders` lists the number of the bar (from 1), side, quantity, type, and price or stop price; `;` between two."""

    version = "1"
    instruments: ClassVar[tuple[str, ...]] = ("*",)
    cadence = OnBar(seconds=MINUTE_S)

    @dataclass
    class Parameters:
        orders: str = ""

    @dataclass
    class State:
        bars: int = 0

    @classmethod
    def place(cls, view: View, state: "AtBars.State") -> int:
        """Return the number by which an order is due."""
        return state.bars

    @classmethod
    def decide(cls, view: View, state: "AtBars.State", parameters: "AtBars.Parameters") -> list[Intent]:
        (name,) = cls.instruments
        state.bars += 1
        found: list[Intent] = []
        for text in parameters.orders.split(";"):
            number, side, quantity, kind, *prices = text.split()
            if int(number) != cls.place(view, state):
                continue
            if kind == "BRACKET":
                target, stop = map(Decimal, prices)
                found.append(Run(Bracket(name, Side(side), Decimal(quantity), stop_price=stop, target_price=target)))
                continue
            order_type = OrderType(kind)
            price = Decimal(prices[0]) if prices else Decimal(0)
            is_stop = order_type in (OrderType.STOP, OrderType.TAKE_PROFIT)
            found.append(
                Place(
                    name,
                    Side(side),
                    Decimal(quantity),
                    type=order_type,
                    price=Decimal(0) if is_stop else price,
                    stop_price=price if is_stop else Decimal(0),
                )
            )
        return found


class FirstAtBars(AtBars):
    instruments: ClassVar[tuple[str, ...]] = ("AUSDT",)


class AtQuotes(AtBars):
    """As AtBars, with the time of a quote in nanoseconds in place of the number."""

    cadence = OnQuote()

    @classmethod
    def place(cls, view: View, state: AtBars.State) -> int:
        return view.time_ns
