"""A bid where the spread is wide and the market leans our way: called by a compiled predicate, or at every quote in Python."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Average, MarketTick, OnQuote, Place, Predicate, Side, TimeInForce


def leans(now, fast, slow):
    return fast > slow and now.bid_size > now.ask_size


class Wide:
    version = "1"
    instruments = ("*",)
    averages = (Average("fast", length=10), Average("slow", length=50))
    cadence = OnQuote(when=Predicate())

    @dataclass
    class Parameters:
        ticks: int = 20
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        seq: int = 0  # of the quote that was traded on last

    @staticmethod
    def should_decide(now: MarketTick, parameters) -> bool:
        return (
            now.bid > 0
            and now.ask - now.bid >= parameters.ticks * now.tick
            and leans(now, now.averages[0], now.averages[1])
        )

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("*")
        if quote.seq != state.seq:  # a trade asks too
            state.seq = quote.seq
            yield Place("*", Side.BUY, parameters.size, quote.ask, time_in_force=TimeInForce.IOC)


class WideInPython(Wide):
    cadence = OnQuote()

    @classmethod
    def decide(cls, view, state, parameters):
        quote, tick = view.quote("*"), view.instrument("*").tick_size
        fast, slow = view.average("fast", "*"), view.average("slow", "*")
        if fast is None or slow is None or quote.ask - quote.bid < parameters.ticks * tick:
            return ()
        return Wide.decide(view, state, parameters) if leans(quote, fast, slow) else ()
