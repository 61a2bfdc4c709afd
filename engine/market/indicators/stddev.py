"""Standard deviation."""

from math import sqrt

from engine.market.indicators.indicator import INPUT, OWN, Numbers, WindowSpec
from engine.market.indicators.sliding_sums import VARIANCE, slide_variance


def update_stddev(numbers: Numbers, count: int, length: int) -> float:
    """Return the standard deviation of the last values."""
    _, variance = slide_variance(numbers, OWN, count, length, numbers[INPUT])
    return sqrt(variance)


class StddevSpec(WindowSpec, frozen=True):
    """The standard deviation of the last `length` values as a population: their squares are divided by `length`."""

    name = "stddev"
    sums = VARIANCE


INDICATORS = ((StddevSpec, update_stddev),)
