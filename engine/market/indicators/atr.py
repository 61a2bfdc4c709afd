"""Average true range, with Wilder's smoothing as TA-Lib has it: the first average is a plain mean."""

from typing import Final

from engine.market.indicators.indicator import CLOSE, HIGH, LOW, OWN, UNBOUNDED, IndicatorSpec, Numbers

AVERAGE: Final = OWN
PREVIOUS: Final = OWN + 1


def update_atr(numbers: Numbers, count: int, length: int) -> float:
    """Return the smoothed true range: the bar's range, widened to the close before it."""
    previous = numbers[PREVIOUS]
    numbers[PREVIOUS] = numbers[CLOSE]
    if count == 0:
        return 0.0
    size = float(length)
    if count > length:
        numbers[AVERAGE] *= size - 1.0
    numbers[AVERAGE] += max(numbers[HIGH], previous) - min(numbers[LOW], previous)
    if count >= length:
        numbers[AVERAGE] /= size
        return numbers[AVERAGE]
    return numbers[AVERAGE] / float(count)


class AtrSpec(IndicatorSpec, frozen=True):
    """The average true range over about `length` bars."""

    name = "atr"
    memory = 10
    length_max = UNBOUNDED
    needs_bars = True

    length: int = 14
    source: str = ""

    def __post_init__(self) -> None:
        self.check()

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length + 1

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The average and the last close."""
        return (0.0, 0.0)


INDICATORS = ((AtrSpec, update_atr),)
