"""Numbers of Binance's messages as types with bounds.

Decimals stay text until they are converted: exact, bounded, never NaN.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from journal.record import plain

Amount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,20}(\.[0-9]{1,20})?\Z")]
SignedAmount = Annotated[str, msgspec.Meta(pattern=r"\A-?[0-9]{1,20}(\.[0-9]{1,20})?\Z")]
Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]  # the bound keeps nanoseconds within 64 bits
VenueId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=200)]
NUMBER_SENT: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")  # else -1100: no exponent, no sign, no leading dot


def nanoseconds(millis: int) -> int:
    """Return a venue time in nanoseconds."""
    return millis * 1_000_000


def number_text(value: Decimal) -> str:
    """Return a number as Binance reads it, which has no exponent and no sign."""
    text = plain(value)
    assert NUMBER_SENT.fullmatch(text), f"Binance takes no number like {text}"
    return text


def renamed(**names: str) -> Any:
    """Return our field names for the wire's letters. Any, because msgspec's `rename` takes a plain mapping."""
    return names
