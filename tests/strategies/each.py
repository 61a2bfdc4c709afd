from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, Place, Side


class Each:
    """Keeps one resting order in each of its instruments that has a quote."""

    version = "1"
    instruments = tuple(f"{base}USDT" for base in ("BTC", "ETH", *(f"C{number:02d}" for number in range(38))))
    cadence = Every(ms=250)

    @dataclass
    class Parameters:
        count: int = 40
        size: Decimal = Decimal("0.1")

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        placed = 0  # in one decision
        for name in Each.instruments[: parameters.count]:
            quote = view.quote(name)
            if placed < 8 and quote is not None and not view.orders(name):
                placed += 1
                yield Place(name, Side.BUY, parameters.size, view.round_price(name, quote.bid * Decimal("0.9")))
