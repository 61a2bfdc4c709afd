"""Numbers, times and addresses of Hyperliquid's messages as types with bounds, and numbers as actions write them.

Decimals stay text until they are converted: exact, bounded, never NaN. Numbers in parentheses are sections of the fact
sheet (state: October 2026).
"""

import re
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from engine.events import Unrecognised
from journal.record import plain

Amount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,20}(\.[0-9]{1,20})?\Z")]
SignedAmount = Annotated[str, msgspec.Meta(pattern=r"\A-?[0-9]{1,20}(\.[0-9]{1,20})?\Z")]
Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]  # the bound keeps nanoseconds within 64 bits
VenueId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=200)]

FAILURES: Final = (
    ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError,
)  # fmt: skip
TEXT_MAX: Final = 200  # of the venue's words or of an error that we keep
PLACES_MAX: Final = 8  # of a number in an action (2)
ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
MILLISECOND_NS: Final = 1_000_000


def nanoseconds(millis: int) -> int:
    """Return a venue time in nanoseconds."""
    return millis * MILLISECOND_NS


def wire_number(value: Decimal) -> str:
    """Return a number as an action writes it: no exponent and no trailing zeros, since its text is signed (2).

    >>> [wire_number(Decimal(text)) for text in ("100.0", "0.0147", "1E+3", "0")]
    ['100', '0.0147', '1000', '0']
    """
    text = plain(value)
    assert len(text.partition(".")[2]) <= PLACES_MAX, f"an action takes no number like {text}"
    return text


def unrecognised(where: str, error: Exception) -> Unrecognised:
    """Return the event for bytes that could not be read."""
    return Unrecognised(where[:TEXT_MAX], f"{type(error).__name__}: {error}"[:TEXT_MAX])
