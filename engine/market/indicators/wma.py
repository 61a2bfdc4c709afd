"""Linearly weighted moving average."""

from engine.market.indicators.indicator import INPUT, OWN, Numbers, WindowSpec
from engine.market.indicators.sliding_sums import WEIGHTED, slide_weighted


def update_wma(numbers: Numbers, count: int, length: int) -> float:
    """Return the mean of the last values, weighted 1, 2, ... from the oldest on."""
    size = float(min(count + 1, length))
    return slide_weighted(numbers, OWN, count, length, numbers[INPUT]) / (size * (size + 1.0) / 2.0)


class WmaSpec(WindowSpec, frozen=True):
    """The mean of the last `length` values, the newest weighted `length` times, the oldest once."""

    name = "wma"
    sums = WEIGHTED


INDICATORS = ((WmaSpec, update_wma),)
