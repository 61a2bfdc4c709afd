"""Strategies that decide nothing, by how often they are asked: what an engine costs before anybody decides."""

from dataclasses import dataclass

from verbatim import Every, MarketTick, OnQuote, Place, Predicate, PriceMove, View


class EachQuote:
    """Asked at every change of a quote or of the book's top."""

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
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:  # noqa: ARG004 - a strategy's signature
        return []


class Beat(EachQuote):
    """Asked every 100 ms."""

    cadence = Every(ms=100)


class EachSecond(EachQuote):
    """Asked each second."""

    cadence = Every(ms=1000)


class Never(EachQuote):
    """Asked when the price has doubled."""

    cadence = OnQuote(when=PriceMove(ppm=1_000_000))


class EachEvent(EachQuote):
    """Asked at every change of a quote, of the book's top and at each trade, as machine code."""

    cadence = OnQuote(when=Predicate())

    @staticmethod
    def should_decide(now: MarketTick, parameters: EachQuote.Parameters) -> bool:  # noqa: ARG004 - a strategy's signature
        """Whether the spread is not what it never is."""
        return now.bid > now.ask and now.ask > 0
