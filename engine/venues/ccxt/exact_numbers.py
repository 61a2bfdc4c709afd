"""Numbers that ccxt returns, as exact ones with bounds."""

from decimal import Decimal
from typing import Any, Final

EXACT_TYPES: Final = (str, int, Decimal)
DIGITS_MAX: Final = 30
EXPONENT_MAX: Final = 20
MILLIS_MAX: Final = 9_000_000_000_000  # keeps nanoseconds within 64 bits
MILLION: Final = 1_000_000


def exact(value: Any) -> Decimal:
    """Return a number. Raises ValueError for one that ccxt made inexact, and for one without bounds."""
    if type(value) not in EXACT_TYPES:
        raise ValueError(f"{type(value).__name__} {str(value)[:40]!r} is no exact number")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{str(value)[:40]!r} is no number")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "it is finite"
    if len(digits) > DIGITS_MAX or not -EXPONENT_MAX <= exponent <= EXPONENT_MAX:
        raise ValueError(f"{str(value)[:40]!r} has too many digits")
    return number


def amount(value: Any) -> Decimal:
    """Return a number that is not negative. Raises ValueError for any other."""
    number = exact(value)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number


def number_or_zero(value: Any) -> Decimal:
    """Return a number that is not negative; 0 for None."""
    return Decimal(0) if value is None else amount(value)


def plain_text(value: Any) -> str:
    """Return a number that is not negative without an exponent, as rows read it."""
    return f"{amount(value):f}"


def nanoseconds(millis: Any) -> int:
    """Return a time of ccxt in nanoseconds; 0 for None. Raises ValueError for one without bounds."""
    if millis is None:
        return 0
    number = int(millis)
    if not 0 <= number <= MILLIS_MAX:
        raise ValueError(f"{number} is no time")
    return number * MILLION
