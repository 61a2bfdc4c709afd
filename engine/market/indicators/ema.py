"""Exponential moving average of the mid, moved by every change of the quote; the first mid is its first value."""

from typing import ClassVar, Final

import msgspec

from engine.market.indicators.indicator import OWN, VALUE
from engine.market.jit import compiled
from engine.market.rows import Floats

EMA: Final = 1
ALPHA: Final = OWN


class EmaSpec(msgspec.Struct, frozen=True):
    """An exponential average over about `length` changes of the mid."""

    name: ClassVar[str] = "ema"
    kind: ClassVar[int] = EMA

    instrument_id: str
    length: int
    source: str = "mid"

    def __post_init__(self) -> None:
        if type(self.length) is not int or self.length < 1:
            raise ValueError(f"length must be a whole number of at least 1, not {self.length!r}")

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The weight of the newest mid."""
        return (2.0 / (self.length + 1.0),)

    @property
    def carried_from(self) -> int:
        """The index in `own_numbers` from which the numbers are state."""
        return 1  # the value alone is state


@compiled
def update_ema(numbers: Floats, count: int, mid: float) -> float:
    """Return the average moved towards the mid."""
    if count == 0:
        return mid
    value = numbers[VALUE]
    return float(value + numbers[ALPHA] * (mid - value))
