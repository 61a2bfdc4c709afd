"""Amounts of the simulated venue: integers in units of 1e-8, and their text with 8 places, as Binance writes them.

Knows nothing of orders or markets. Every price, quantity and balance inside `engine.sim` is such an integer.
"""

from functools import lru_cache
from typing import Final

ONE: Final = 10**8
PLACES: Final = 8
NOTHING: Final = "0.00000000"


def units(text: str) -> int:
    """Return a plain decimal text as units."""
    if text.startswith("-"):
        return -units(text[1:])
    whole, _, part = text.partition(".")
    return int(whole) * ONE + int(part[:PLACES].ljust(PLACES, "0") if part else "0")


def wire_units(text: str) -> int:
    """Return a market message's number as units, on a fast path for 8 decimal places."""
    if len(text) > PLACES and text[-PLACES - 1] == ".":
        return int(text.replace(".", ""))
    return units(text)


@lru_cache(maxsize=4096)  # each message of an order repeats the amounts of the one before
def text(amount: int) -> str:
    """Return an amount as Binance writes it."""
    if amount <= 0:
        return f"-{text(-amount)}" if amount else NOTHING
    return f"{amount // ONE}.{amount % ONE:08d}"


@lru_cache(maxsize=4096)
def plain(amount: int) -> str:
    """Return an amount without zeros at its end, as Binance's futures write most amounts."""
    return text(amount).rstrip("0").rstrip(".")


def product(price: int, quantity: int) -> int:
    """Price times quantity, cut to 8 places as Binance cuts it."""
    return price * quantity // ONE
