"""Standard deviation."""

from math import sqrt

from engine.market.indicators.indicator import INPUT, MID, OWN, IndicatorSpec, Numbers
from engine.market.indicators.sliding_sums import VARIANCE, slide_variance


def update_stddev(numbers: Numbers, count: int, length: int) -> float:
    """Return the standard deviation of the last values."""
    _, variance = slide_variance(numbers, OWN, count, length, numbers[INPUT])
    return sqrt(variance)


class StddevSpec(IndicatorSpec, frozen=True):
    """The standard deviation of the last `length` values as a population: their squares are divided by `length`."""

    name = "stddev"

    length: int
    source: str = MID
    field: str = ""

    def __post_init__(self) -> None:
        self.check()

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The window."""
        return (0.0,) * (VARIANCE + self.length)


INDICATORS = ((StddevSpec, update_stddev),)
