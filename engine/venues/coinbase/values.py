"""Numbers, times and names of Coinbase's messages. Numbers are texts on the wire, and now and then JSON numbers."""

import re
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from engine.money import ZERO

Amount = Annotated[str, msgspec.Meta(max_length=60)] | int | float | None
Text = Annotated[str, msgspec.Meta(max_length=400)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]  # of a frame

FAILURES = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError)
TEXT_MAX: Final = 200
ID_MAX: Final = 100
NUMBER_MAX: Final = Decimal(10) ** 20
PLACES_MAX: Final = 24
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
# these have their own books; the book of any other pair with USDC is that with USD (docs/venue-coinbase.md)
OWN_USDC_BOOKS: Final = frozenset({"USDT-USDC", "EURC-USDC"})


def amount(value: Amount) -> Decimal:
    """Return a number, 0 if it is empty. Raises ValueError if it is none, or beyond all sense."""
    if value is None or value == "":
        return ZERO
    text = str(value)
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"no number: {text[:40]!r}")
    found = Decimal(text)
    exponent = found.as_tuple().exponent
    if abs(found) > NUMBER_MAX or not isinstance(exponent, int) or exponent < -PLACES_MAX:
        raise ValueError(f"no amount: {text[:40]!r}")
    return found


def positive(value: Amount) -> Decimal:
    """Return a number that is not negative. Raises ValueError."""
    found = amount(value)
    if found < 0:
        raise ValueError(f"a negative amount: {str(value)[:40]!r}")
    return found


def book_of(product: str) -> str:
    """Return the product under which a product's market data arrives.

    >>> book_of("BTC-USDC"), book_of("USDT-USDC"), book_of("ETH-EUR")
    ('BTC-USD', 'USDT-USDC', 'ETH-EUR')
    """
    return product[:-1] if product.endswith("-USDC") and product not in OWN_USDC_BOOKS else product


def quote_of(product: str) -> str:
    """Return the quote asset of a product, in which its commission is paid. Raises ValueError."""
    _, dash, quote = product.rpartition("-")
    if not dash or not 1 <= len(quote) <= 20:
        raise ValueError(f"no product: {product[:40]!r}")
    return quote
