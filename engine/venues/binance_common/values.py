"""Numbers of Binance's messages as types with bounds.

Decimals stay text until they are converted: exact, bounded, never NaN.
"""

from typing import Annotated

import msgspec

Amount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,20}(\.[0-9]{1,20})?\Z")]
SignedAmount = Annotated[str, msgspec.Meta(pattern=r"\A-?[0-9]{1,20}(\.[0-9]{1,20})?\Z")]
Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]  # the bound keeps nanoseconds within 64 bits
VenueId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=200)]


def nanoseconds(millis: int) -> int:
    """Return a venue time in nanoseconds."""
    return millis * 1_000_000
