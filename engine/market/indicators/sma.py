"""Simple moving average."""

from engine.market.indicators.indicator import INPUT, MID, OWN, IndicatorSpec, Numbers
from engine.market.indicators.sliding_sums import SUM, slide_sum


def update_sma(numbers: Numbers, count: int, length: int) -> float:
    """Return the mean of the last values."""
    return slide_sum(numbers, OWN, count, length, numbers[INPUT]) / float(min(count + 1, length))


class SmaSpec(IndicatorSpec, frozen=True):
    """The mean of the last `length` values."""

    name = "sma"

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
        return (0.0,) * (SUM + self.length)


INDICATORS = ((SmaSpec, update_sma),)
