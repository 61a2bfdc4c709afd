"""Places an order, then does not come back from a decision: in Python code, or in C code that no signal reaches."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Endless:
    """Never returns from its second decision."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=500)

    @dataclass
    class Parameters:
        is_c_code: bool = False

    @dataclass
    class State:
        decisions: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.decisions += 1
        if state.decisions == 1:
            price = (view.quote("BTCUSDT").bid * Decimal("0.9")).quantize(Decimal("0.01"))
            return [Place("BTCUSDT", Side.BUY, Decimal("0.0005"), price)]
        if state.decisions < 4:
            return []
        if parameters.is_c_code:
            return [sum(range(10**13))]
        while True:
            pass


class EndlessInC(Endless):
    """Never returns from C code that holds Python's lock."""

    @dataclass
    class Parameters:
        is_c_code: bool = True


class Slow(Endless):
    """80 ms of arithmetic at each quote, as of an indicator written for notebooks (case slow_consumer)."""

    cadence = OnQuote()

    @staticmethod
    def decide(view, state, parameters):
        state.decisions += 1
        total = 0
        for number in range(1_000_000):
            total += number * number % 7
        quote = view.quote("BTCUSDT")
        if state.decisions % 20 == 0:
            return [Place("BTCUSDT", Side.BUY, Decimal("0.0005"), quote.ask)]
        return []
