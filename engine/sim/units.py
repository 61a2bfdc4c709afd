"""Amounts of the simulated venue: integers in units of 1e-8, and their text with 8 places, as Binance writes them.

Knows nothing of orders or markets. Every price, quantity and balance inside `engine.sim` is such an integer.
"""

from typing import Final

ONE: Final = 10**8
PLACES: Final = 8
NOTHING: Final = "0.00000000"


def units(text: str) -> int:
    """A plain decimal text as units. More than 8 places are cut: callers that mind have counted them before.

    >>> units("0.1"), units("-0.0001")
    (10000000, -10000)
    """
    if text.startswith("-"):
        return -units(text[1:])
    whole, _, part = text.partition(".")
    return int(whole) * ONE + int(part[:PLACES].ljust(PLACES, "0") if part else "0")


def wire_units(text: str) -> int:
    """The same for a market message, whose numbers nearly always carry just 8 places: the fast way first."""
    if len(text) > PLACES and text[-PLACES - 1] == ".":
        return int(text.replace(".", ""))
    return units(text)


def text(amount: int) -> str:
    """An amount as Binance writes it.

    >>> text(units("0.1")), text(-5)
    ('0.10000000', '-0.00000005')
    """
    if amount <= 0:
        return f"-{text(-amount)}" if amount else NOTHING
    return f"{amount // ONE}.{amount % ONE:08d}"


def product(price: int, quantity: int) -> int:
    """Price times quantity, cut to 8 places as Binance cuts it."""
    return price * quantity // ONE
