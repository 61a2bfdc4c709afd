"""Numbers, times and symbols as Alpaca writes them: money as text or number, times with up to nine digits."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from engine.events import Unrecognised
from engine.money import ZERO

FAILURES = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError)
TEXT_MAX: Final = 200
NUMBER_MAX: Final = Decimal(10) ** 15
PLACES_MAX: Final = 18
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_NS: Final = 1_000_000_000
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)

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


def nanoseconds(text: str) -> int:
    """Return a time such as 2026-09-18T13:24:50.019303395Z or one with an offset. Raises ValueError.

    >>> nanoseconds("1970-01-01T00:00:01.5-00:01")
    Traceback (most recent call last):
    ValueError: no time: '1970-01-01T00:00:01.5-00:01'
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"no time: {text[:40]!r}")
    whole, part, offset = found.groups()
    moment = datetime.fromisoformat(whole + offset)
    if not 2000 <= moment.year < 2200:
        raise ValueError(f"no time: {text[:40]!r}")
    return (moment - EPOCH) // timedelta(seconds=1) * SECOND_NS + int((part or "0").ljust(9, "0"))


def time_text(time_ns: int) -> str:
    """Return a time as the venue writes it.

    >>> time_text(1_789_737_890_019_303_395)
    '2026-09-18T13:24:50.019303395Z'
    """
    seconds, part = divmod(time_ns, SECOND_NS)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{part:09d}Z"


def symbol_key(symbol: str) -> str:
    """Return what two spellings of a symbol share: orders say BTC/USD where positions say BTCUSD."""
    return symbol.replace("/", "")


def unrecognised(where: str, error: Exception) -> Unrecognised:
    """Return the event for bytes that could not be read."""
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])
