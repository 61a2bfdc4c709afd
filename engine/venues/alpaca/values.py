"""Numbers and symbols as Alpaca writes them: money as text or number."""

from decimal import Decimal
from typing import Annotated, Final

import msgspec

from engine.events import Unrecognised
from engine.money import ZERO

FAILURES = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError)
TEXT_MAX: Final = 200
NUMBER_MAX: Final = Decimal(10) ** 15
PLACES_MAX: Final = 18

Text = Annotated[str, msgspec.Meta(max_length=TEXT_MAX)]
Number = Decimal | None  # text or number on the wire, or null


def number(value: Number) -> Decimal:
    """Return an amount; 0 for null. Raises ValueError for one that no venue means."""
    if value is None:
        return ZERO
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(value) > NUMBER_MAX or exponent < -PLACES_MAX:
        raise ValueError(f"no amount: {str(value)[:40]}")
    return value


def symbol_key(symbol: str) -> str:
    """Return what two spellings of a symbol share: orders say BTC/USD where positions say BTCUSD."""
    return symbol.replace("/", "")


def unrecognised(where: str, error: Exception) -> Unrecognised:
    """Return the event for bytes that could not be read."""
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])
