from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Each:
    """Keeps one resting order in each of its instruments that has a quote."""

    version = "1"
    instruments = tuple(f"{base}USDT" for base in ("BTC", "ETH", *(f"C{number:02d}" for number in range(38))))
    cadence = OnQuote()

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.1")

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        for name in Each.instruments:
            quote = view.quote(name)
            if quote is not None and not view.orders(name):
                yield Place(name, Side.BUY, parameters.size, view.round_price(name, quote.bid * Decimal("0.9")))
