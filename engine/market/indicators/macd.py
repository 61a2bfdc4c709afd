"""Moving average convergence divergence, as TA-Lib has it: each average begins with a plain mean."""

from typing import ClassVar, Final

from engine.market.indicators.indicator import INPUT, MID, OWN, IndicatorSpec, Numbers, check_length

FAST_LENGTH: Final = OWN
SIGNAL_LENGTH: Final = OWN + 1
FAST: Final = OWN + 2
SLOW: Final = OWN + 3
SIGNAL: Final = OWN + 4
HISTOGRAM: Final = OWN + 5


def update_macd(numbers: Numbers, count: int, length: int) -> float:
    """Return the fast average minus the slow one, and store signal and histogram; 0 until both have begun."""
    value = numbers[INPUT]
    fast = numbers[FAST_LENGTH]
    slow = float(length)
    number = float(count + 1)
    if number <= slow:
        if number > slow - fast:
            numbers[FAST] += value
        numbers[SLOW] += value
        if number < slow:
            return 0.0
        numbers[FAST] /= fast
        numbers[SLOW] /= slow
    else:
        numbers[FAST] += (value - numbers[FAST]) * (2.0 / (fast + 1.0))
        numbers[SLOW] += (value - numbers[SLOW]) * (2.0 / (slow + 1.0))
    difference = numbers[FAST] - numbers[SLOW]
    number -= slow - 1.0
    signal = numbers[SIGNAL_LENGTH]
    if number <= signal:
        numbers[SIGNAL] += difference
        if number < signal:
            return difference
        numbers[SIGNAL] /= signal
    else:
        numbers[SIGNAL] += (difference - numbers[SIGNAL]) * (2.0 / (signal + 1.0))
    numbers[HISTOGRAM] = difference - numbers[SIGNAL]
    return difference


class MacdSpec(IndicatorSpec, frozen=True):
    """The difference of two exponential averages; `signal` is its own average, `histogram` their difference."""

    name = "macd"
    memory = 5
    outputs: ClassVar = {"signal": SIGNAL - OWN, "histogram": HISTOGRAM - OWN}

    fast: int = 12
    slow: int = 26
    signal: int = 9
    source: str = MID
    field: str = ""

    def __post_init__(self) -> None:
        self.check()
        for name in ("fast", "slow", "signal"):
            check_length(name, getattr(self, name))
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow, not {self.fast} and {self.slow}")

    @property
    def window(self) -> int:
        """The number that the update gets as `length`."""
        return self.slow

    @property
    def warm_count(self) -> int:
        """The number of updates until the values may be used."""
        return self.slow + self.signal - 1

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The other two lengths, then the averages and the histogram."""
        return (float(self.fast), float(self.signal), 0.0, 0.0, 0.0, 0.0)

    @property
    def carried_from(self) -> int:
        """The index in `own_numbers` from which the numbers are state."""
        return 2


INDICATORS = ((MacdSpec, update_macd),)
