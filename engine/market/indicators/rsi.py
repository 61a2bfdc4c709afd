"""Relative strength index, with Wilder's smoothing as TA-Lib has it: the first averages are plain means."""

from typing import Final

from engine.market.indicators.indicator import INPUT, MID, OWN, UNBOUNDED, IndicatorSpec, Numbers

GAIN: Final = OWN
LOSS: Final = OWN + 1
PREVIOUS: Final = OWN + 2


def update_rsi(numbers: Numbers, count: int, length: int) -> float:
    """Return the share of gains in the movement, from 0 to 100; 0 without movement."""
    change = numbers[INPUT] - numbers[PREVIOUS]
    numbers[PREVIOUS] = numbers[INPUT]
    if count == 0:
        return 0.0
    size = float(length)
    if count > length:
        numbers[GAIN] *= size - 1.0
        numbers[LOSS] *= size - 1.0
    numbers[GAIN] += max(change, 0.0)
    numbers[LOSS] += max(-change, 0.0)
    if count >= length:
        numbers[GAIN] /= size
        numbers[LOSS] /= size
    total = numbers[GAIN] + numbers[LOSS]
    return 100.0 * (numbers[GAIN] / total) if total > 0.0 else 0.0


class RsiSpec(IndicatorSpec, frozen=True):
    """The relative strength index over about `length` changes."""

    name = "rsi"
    memory = 10
    length_max = UNBOUNDED

    length: int = 14
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
        """The averages of gains and losses, and the last input."""
        return (0.0, 0.0, 0.0)


INDICATORS = ((RsiSpec, update_rsi),)
