"""Highest and lowest value of a window. Over bars these are by default the highest high and the lowest low."""

from typing import Final

from engine.market.indicators.indicator import INPUT, OWN, VALUE, Numbers, WindowSpec
from engine.market.jit import compiled

AT: Final = OWN  # the update of the extreme
RING: Final = OWN + 1


@compiled
def slide_extreme(numbers: Numbers, count: int, length: int, sign: float) -> float:
    """Return the highest (sign 1) or lowest (-1) of the last values. It searches only when the extreme has left."""
    value = numbers[INPUT]
    numbers[RING + count % length] = value
    extreme = numbers[VALUE]
    if count == 0 or sign * (value - extreme) >= 0.0:
        numbers[AT] = float(count)
        return value
    if float(count) - numbers[AT] < float(length):
        return extreme
    first = count + 1 - length
    extreme = numbers[RING + first % length]
    numbers[AT] = float(first)
    for k in range(first + 1, count + 1):
        value = numbers[RING + k % length]
        if sign * (value - extreme) >= 0.0:
            extreme = value
            numbers[AT] = float(k)
    return extreme


def update_highest(numbers: Numbers, count: int, length: int) -> float:
    """Return the highest of the last values."""
    return slide_extreme(numbers, count, length, 1.0)


def update_lowest(numbers: Numbers, count: int, length: int) -> float:
    """Return the lowest of the last values."""
    return slide_extreme(numbers, count, length, -1.0)


class HighestSpec(WindowSpec, frozen=True):
    """The highest of the last `length` values; of bars the highest high."""

    name = "highest"
    sums = 1  # the place of the extreme

    @property
    def input_field(self) -> str:
        """The field of the bars that is its input."""
        return self.field or ("high" if self.interval_ns else "close")


class LowestSpec(HighestSpec, frozen=True):
    """The lowest of the last `length` values; of bars the lowest low."""

    name = "lowest"

    @property
    def input_field(self) -> str:
        """The field of the bars that is its input."""
        return self.field or ("low" if self.interval_ns else "close")


INDICATORS = ((HighestSpec, update_highest), (LowestSpec, update_lowest))
