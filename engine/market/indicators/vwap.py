"""Volume-weighted average price, over a window or since midnight UTC."""

from typing import Final

from engine.market.indicators.indicator import (
    CLOSE,
    HIGH,
    LOW,
    OWN,
    TIME_S,
    TRADE,
    VALUE,
    VOLUME,
    IndicatorSpec,
    Numbers,
    check_length,
)
from engine.market.indicators.sliding_sums import SUM, slide_sum

IS_BARS: Final = OWN
DAY: Final = OWN + 1
WINDOW: Final = OWN + 2  # of the volume, then the window of price times volume
DAY_S: Final = 86_400.0


def update_vwap(numbers: Numbers, count: int, length: int) -> float:
    """Return the mean price of the traded volume; a bar's price is the mean of its high, low and close."""
    price = numbers[CLOSE]
    if numbers[IS_BARS] > 0.0:
        price = (numbers[HIGH] + numbers[LOW] + numbers[CLOSE]) / 3.0
    volume = numbers[VOLUME]
    if length > 0:
        traded = slide_sum(numbers, WINDOW, count, length, volume)
        worth = slide_sum(numbers, WINDOW + SUM + length, count, length, price * volume)
    else:
        # the end of a bar at midnight belongs to the day before it
        day = (numbers[TIME_S] - numbers[IS_BARS]) // DAY_S
        if day != numbers[DAY]:
            numbers[DAY] = day
            numbers[WINDOW] = 0.0
            numbers[WINDOW + SUM] = 0.0
        numbers[WINDOW] += volume
        numbers[WINDOW + SUM] += price * volume
        traded = numbers[WINDOW]
        worth = numbers[WINDOW + SUM]
    if traded > 0.0:
        return worth / traded
    return numbers[VALUE] if count > 0 else price


class VwapSpec(IndicatorSpec, frozen=True):
    """The volume-weighted price of the last `length` trades or bars; without a length of all since midnight UTC."""

    name = "vwap"
    needs_trades = True

    length: int = 0
    source: str = TRADE

    def __post_init__(self) -> None:
        self._check_source()
        check_length("length", self.length, least=0)

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return max(self.length, 1)

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The kind of source, the day, and the windows."""
        return (1.0 if self.interval_ns else 0.0, 0.0) + (0.0,) * (2 * (SUM + self.length))

    @property
    def carried_from(self) -> int:
        """The index in `own_numbers` from which the numbers are state."""
        return 1


INDICATORS = ((VwapSpec, update_vwap),)
