"""Sums over the last values, for the indicators that need them. Compiled.

A window is a part of an indicator's own numbers: sums, then a ring of the last `length` values. Once a round the sums
are made again from the ring: roundings do not add up over a session, and the state stays that of the last values.
"""

from typing import Final

from engine.market.indicators.indicator import Numbers
from engine.market.jit import compiled

SUM: Final = 1  # numbers before the ring, by kind of window
WEIGHTED: Final = 2
VARIANCE: Final = 4
SMALL: Final = 1e-6  # a sum of squares with fewer digits left of 16 than a deviation of 10 needs


@compiled
def slide_sum(numbers: Numbers, begin: int, count: int, length: int, value: float) -> float:
    """Return the sum of the last `length` values. The window is the sum and the ring."""
    ring = begin + SUM
    slot = count % length
    total = numbers[begin] + value
    if count >= length:
        total -= numbers[ring + slot]
    numbers[ring + slot] = value
    if slot == 0:
        total = 0.0
        for k in range(min(count + 1, length)):
            total += numbers[ring + k]
    numbers[begin] = total
    return total


@compiled
def slide_weighted(numbers: Numbers, begin: int, count: int, length: int, value: float) -> float:
    """Return the sum of the last values, the oldest once, the newest most. The window is two sums and a ring."""
    ring = begin + WEIGHTED
    slot = count % length
    if count < length:
        numbers[begin] += value
        numbers[begin + 1] += float(count + 1) * value
    else:
        numbers[begin + 1] += float(length) * value - numbers[begin]
        numbers[begin] += value - numbers[ring + slot]
    numbers[ring + slot] = value
    if slot == 0 and count >= length:
        total = value
        weighted = float(length) * value
        for k in range(1, length):
            total += numbers[ring + k]
            weighted += float(k) * numbers[ring + k]
        numbers[begin] = total
        numbers[begin + 1] = weighted
    return numbers[begin + 1]


@compiled
def slide_variance(numbers: Numbers, begin: int, count: int, length: int, value: float) -> tuple[float, float]:
    """Return mean and variance of the last `length` values. The window is a reference, three sums and the ring.

    The sums are of differences to a recent value: sums of squared prices would lose the digits that differ. The third
    is the largest sum of squares so far: the little that is left of a large one is inexact, and made again.
    """
    ring = begin + VARIANCE
    slot = count % length
    if count == 0:
        numbers[begin] = value
    difference = value - numbers[begin]
    numbers[begin + 1] += difference
    numbers[begin + 2] += difference * difference
    if count >= length:
        difference = numbers[ring + slot] - numbers[begin]
        numbers[begin + 1] -= difference
        numbers[begin + 2] -= difference * difference
    numbers[begin + 3] = max(numbers[begin + 3], numbers[begin + 2])
    numbers[ring + slot] = value
    size = min(count + 1, length)
    mean = numbers[begin + 1] / float(size)
    rest = numbers[begin + 2] - numbers[begin + 1] * mean  # the sum of squared differences to the mean
    if slot == 0 or rest < SMALL * numbers[begin + 3]:
        sum_again(numbers, begin, size, value)
        mean = numbers[begin + 1] / float(size)
        rest = numbers[begin + 2] - numbers[begin + 1] * mean
    return numbers[begin] + mean, max(rest / float(size), 0.0)


@compiled
def sum_again(numbers: Numbers, begin: int, size: int, reference: float) -> None:
    """Make the sums of a window of variance from its ring."""
    total = 0.0
    squares = 0.0
    for k in range(size):
        difference = numbers[begin + VARIANCE + k] - reference
        total += difference
        squares += difference * difference
    numbers[begin] = reference
    numbers[begin + 1] = total
    numbers[begin + 2] = squares
    numbers[begin + 3] = squares
