"""Exponential moving average. It begins with its first input, or as TA-Lib's with the mean of the first inputs."""

from engine.market.indicators.indicator import INPUT, MID, OWN, UNBOUNDED, VALUE, IndicatorSpec, Numbers


def update_ema(numbers: Numbers, count: int, length: int) -> float:
    """Return the average moved towards the input; the mean of all inputs while there are fewer than `length`."""
    value = numbers[INPUT]
    if count == 0:
        return value
    if count < length:
        return numbers[VALUE] + (value - numbers[VALUE]) / float(count + 1)
    return numbers[VALUE] + numbers[OWN] * (value - numbers[VALUE])


class EmaSpec(IndicatorSpec, frozen=True):
    """An exponential average over about `length` values: the weight of the newest is 2 / (length + 1)."""

    name = "ema"
    memory = 5
    length_max = UNBOUNDED

    length: int
    source: str = MID
    field: str = ""
    begins: str = ""  # "mean": with the mean of the first `length` values

    def __post_init__(self) -> None:
        self.check()
        if self.begins not in ("", "mean"):
            raise ValueError(f"begins is 'mean' or left out, not {self.begins!r}")

    @property
    def window(self) -> int:
        """The number that the update gets as `length`: 0 if the first value alone begins the average."""
        return self.length if self.begins else 0

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The weight of the newest value."""
        return (2.0 / (self.length + 1.0),)

    @property
    def carried_from(self) -> int:
        """The index in `own_numbers` from which the numbers are state."""
        return 1  # the value alone is state


INDICATORS = ((EmaSpec, update_ema),)
