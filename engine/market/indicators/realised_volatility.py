"""Realised volatility: the root of the sum of squared logarithmic returns of a window."""

from math import sqrt
from typing import Final

from engine.market.indicators.indicator import INPUT, MID, OWN, IndicatorSpec, Numbers
from engine.market.indicators.sliding_sums import SUM, slide_sum
from engine.market.jit import compiled

PREVIOUS: Final = OWN
WINDOW: Final = OWN + 1
STEP: Final = 1.25  # a quotient beyond it is divided first: the series then has few terms
LOG_STEP: Final = 0.22314355131420976  # ln 1.25
TERMS: Final = 9


@compiled
def log_quotient(after: float, before: float) -> float:
    """Return ln(after / before) of two positive numbers by + - * / alone: libraries differ in last bits."""
    total = 0.0
    while after > STEP * before:
        before *= STEP
        total += LOG_STEP
    while before > STEP * after:
        after *= STEP
        total -= LOG_STEP
    z = (after - before) / (after + before)  # ln(a / b) = 2 (z + z^3 / 3 + z^5 / 5 ...)
    square = z * z
    series = 0.0
    for k in range(TERMS, 0, -1):
        series = series * square + 1.0 / float(2 * k - 1)
    return total + 2.0 * z * series


def update_realised_volatility(numbers: Numbers, count: int, length: int) -> float:
    """Return the root of the sum of the last squared returns."""
    value = numbers[INPUT]
    before = numbers[PREVIOUS]
    numbers[PREVIOUS] = value
    if count == 0:
        return 0.0
    change = log_quotient(value, before) if value > 0.0 and before > 0.0 else 0.0
    return sqrt(max(slide_sum(numbers, WINDOW, count - 1, length, change * change), 0.0))


class RealisedVolatilitySpec(IndicatorSpec, frozen=True):
    """The realised volatility of the last `length` returns: of the whole window, not of a year."""

    name = "realised_volatility"

    length: int
    source: str = MID
    field: str = ""

    def __post_init__(self) -> None:
        self.check()

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length + 1

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The last input, and the window."""
        return (0.0,) * (1 + SUM + self.length)


INDICATORS = ((RealisedVolatilitySpec, update_realised_volatility),)
