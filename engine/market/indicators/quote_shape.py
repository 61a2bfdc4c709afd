"""Microprice and imbalance: what the sizes of the best bid and ask say. Both follow quotes and keep nothing."""

from engine.market.indicators.indicator import ASK, ASK_SIZE, BID, BID_SIZE, INPUT, IndicatorSpec, Numbers


def update_microprice(numbers: Numbers, _count: int, _length: int) -> float:
    """Return the mean of bid and ask, each weighted by the size of the other; the mid without sizes."""
    total = numbers[BID_SIZE] + numbers[ASK_SIZE]
    if total <= 0.0:
        return numbers[INPUT]
    return (numbers[BID] * numbers[ASK_SIZE] + numbers[ASK] * numbers[BID_SIZE]) / total


def update_imbalance(numbers: Numbers, _count: int, _length: int) -> float:
    """Return (bid size - ask size) / (bid size + ask size), from -1 to 1; 0 without sizes."""
    total = numbers[BID_SIZE] + numbers[ASK_SIZE]
    if total <= 0.0:
        return 0.0
    return (numbers[BID_SIZE] - numbers[ASK_SIZE]) / total


class MicropriceSpec(IndicatorSpec, frozen=True):
    """The mean of the best bid and ask, each weighted by the size of the other side."""

    name = "microprice"
    needs_quotes = True

    def __post_init__(self) -> None:
        self.check()

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return 1

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """None."""
        return ()


class ImbalanceSpec(MicropriceSpec, frozen=True):
    """The share by which the best bid's size exceeds the best ask's, from -1 to 1."""

    name = "imbalance"


INDICATORS = ((MicropriceSpec, update_microprice), (ImbalanceSpec, update_imbalance))
