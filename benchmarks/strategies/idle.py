"""Strategies that decide nothing, by cadence: the cost of an engine without decisions."""

from dataclasses import dataclass

from verbatim import Every, MarketTick, OnQuote, Place, Predicate, PriceMove, View


class EachQuote:
    """Runs at every change of a quote or of the top of the book."""

    version = "1"
    instruments = ("*",)
    cadence: OnQuote | Every = OnQuote()

    @dataclass
    class Parameters:
        """There are none."""

    @dataclass
    class State:
        """Nothing is remembered."""

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        return []


class Beat(EachQuote):
    """Runs every 100 ms."""

    cadence = Every(ms=100)


class EachSecond(EachQuote):
    """Runs each second."""

    cadence = Every(ms=1000)


class Never(EachQuote):
    """Runs when the price has doubled."""

    cadence = OnQuote(when=PriceMove(ppm=1_000_000))


class EachEvent(EachQuote):
    """Runs machine code at every change of a quote or of the top of the book, and at each trade."""

    cadence = OnQuote(when=Predicate())

    @staticmethod
    def should_decide(now: MarketTick, parameters: EachQuote.Parameters) -> bool:
        """Return True if the spread has a value that never occurs."""
        return now.bid > now.ask and now.ask > 0
