"""Linearly weighted moving average."""

from engine.market.indicators.indicator import INPUT, MID, OWN, IndicatorSpec, Numbers
from engine.market.indicators.sliding_sums import WEIGHTED, slide_weighted


def update_wma(numbers: Numbers, count: int, length: int) -> float:
    """Return the mean of the last values, weighted 1, 2, ... from the oldest on."""
    size = float(min(count + 1, length))
    return slide_weighted(numbers, OWN, count, length, numbers[INPUT]) / (size * (size + 1.0) / 2.0)


class WmaSpec(IndicatorSpec, frozen=True):
    """The mean of the last `length` values, the newest weighted `length` times, the oldest once."""

    name = "wma"

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
        return (0.0,) * (WEIGHTED + self.length)


INDICATORS = ((WmaSpec, update_wma),)
