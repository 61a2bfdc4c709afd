"""Market orders where two averages cross: called at the cross alone, or at every quote; and one called when the mid has moved."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Average, CrossOver, OnQuote, OrderType, Place, PriceMove, Side


class Crossing:
    version = "1"
    instruments = ("*",)
    averages = (Average("fast", length=10), Average("slow", length=20))
    cadence = OnQuote(when=CrossOver("fast", "slow"))

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        side: int = 0

    @classmethod
    def decide(cls, view, state, _parameters):
        fast, slow = view.average("fast", "*"), view.average("slow", "*")
        if fast is None or slow is None or fast == slow:
            return []
        side = 1 if fast > slow else -1
        if side == state.side:
            return []
        state.side = side
        of = view.instrument("*")
        size = of.lot_size if of.contract else view.round_quantity("*", Decimal(50) / view.quote("*").ask)
        return [Place("*", Side.BUY if side > 0 else Side.SELL, size, type=OrderType.MARKET)]


class LooksAtEachQuote(Crossing):
    cadence = OnQuote()


class Moved(Crossing):
    cadence = OnQuote(when=PriceMove(ppm=200))

    @classmethod
    def decide(cls, view, _state, _parameters):
        quote = view.quote("*")
        mid = (quote.bid + quote.ask) / 2
        return [Place("*", Side.BUY, Decimal("0.001"), price=quote.bid, rationale={"mid": mid})]
