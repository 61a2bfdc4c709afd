"""Simple moving average."""

from engine.market.indicators.indicator import INPUT, OWN, Numbers, WindowSpec
from engine.market.indicators.sliding_sums import SUM, slide_sum


def update_sma(numbers: Numbers, count: int, length: int) -> float:
    """Return the mean of the last values."""
    return slide_sum(numbers, OWN, count, length, numbers[INPUT]) / float(min(count + 1, length))


class SmaSpec(WindowSpec, frozen=True):
    """The mean of the last `length` values."""

    name = "sma"
    sums = SUM


INDICATORS = ((SmaSpec, update_sma),)
