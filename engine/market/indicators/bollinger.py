"""Bollinger bands: a simple moving average, and bands of some standard deviations around it."""

from math import sqrt
from typing import ClassVar, Final

from engine.market.indicators.indicator import INPUT, MID, OWN, IndicatorSpec, Numbers
from engine.market.indicators.sliding_sums import VARIANCE, slide_variance

WIDTH: Final = OWN
UPPER: Final = OWN + 1
LOWER: Final = OWN + 2
WINDOW: Final = OWN + 3


def update_bollinger(numbers: Numbers, count: int, length: int) -> float:
    """Return the middle band, and store the others."""
    mean, variance = slide_variance(numbers, WINDOW, count, length, numbers[INPUT])
    distance = numbers[WIDTH] * sqrt(variance)
    numbers[UPPER] = mean + distance
    numbers[LOWER] = mean - distance
    return mean


class BollingerSpec(IndicatorSpec, frozen=True):
    """Bands at `width` standard deviations of the last `length` values. The value is the middle one."""

    name = "bollinger"
    outputs: ClassVar = {"upper": UPPER - OWN, "lower": LOWER - OWN}

    length: int
    width: float = 2.0
    source: str = MID
    field: str = ""

    def __post_init__(self) -> None:
        self.check()
        if isinstance(self.width, bool) or not isinstance(self.width, int | float) or not 0 < self.width <= 100:
            raise ValueError(f"width must be a number of deviations from above 0 to 100, not {self.width!r}")

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The width, the outer bands and the window."""
        return (float(self.width), 0.0, 0.0) + (0.0,) * (VARIANCE + self.length)

    @property
    def carried_from(self) -> int:
        """The index in `own_numbers` from which the numbers are state."""
        return 1


INDICATORS = ((BollingerSpec, update_bollinger),)
