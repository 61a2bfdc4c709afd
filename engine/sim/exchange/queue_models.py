"""Queue models: how an order advances at its price. Compiled; scalars in, scalars out; knows no order and no book.

The pessimistic model assumes that cancels happen behind the order as far as possible. The probabilistic models split
each cancel by the order's place in the queue: the "power" and "log" families as hftbacktest 2.4.4 computes them
(models/queue.rs). Sizes are units of 1e-8.
"""

from typing import Final

from engine.market.jit import compiled

PESSIMISTIC: Final = 0
POWER: Final = 1
POWER_2: Final = 2
POWER_3: Final = 3
LOG: Final = 4
LOG_2: Final = 5
EXACT: Final = 7  # counted: the market is order by order (market_orders.py)
UNSEEN: Final = 6  # no book shows the queue: only a trade beyond the order's price reaches it


@compiled
def is_counted(kind: int) -> bool:
    """Return True if the size before an order is a whole number, not an expectation."""
    return kind == PESSIMISTIC or kind == EXACT


@compiled
def power(x: float, n: int) -> float:
    """Return x to the n-th power by repeated multiplication, with the same bits compiled and plain."""
    value = 1.0
    for _ in range(n):
        value = value * x
    return value


@compiled
def ln(x: float) -> float:
    """Return the natural logarithm of a number of 1 or more, with the same bits compiled and plain."""
    halvings = 0.0
    while x > 1.5:
        x = x / 2.0
        halvings = halvings + 1.0
    z = (x - 1.0) / (x + 1.0)
    square = z * z
    term = z
    total = z
    for k in range(1, 16):
        term = term * square
        total = total + term / (2.0 * k + 1.0)
    return 2.0 * total + halvings * 0.6931471805599453


@compiled
def chance_behind(kind: int, n: int, front: float, back: float) -> float:
    """Return the probability that a cancel was behind the order, by the sizes before and behind it."""
    if kind == POWER:
        low = power(back, n)
        high = power(front, n)
    elif kind == POWER_2:
        low = power(back, n)
        high = power(back + front, n) - low
    elif kind == POWER_3:
        low = 1.0 - power(front / (front + back), n) if front + back > 0.0 else 1.0
        high = 1.0 - low
    elif kind == LOG:
        low = ln(1.0 + back / 1e8)
        high = ln(1.0 + front / 1e8)
    else:
        low = ln(1.0 + back / 1e8)
        high = ln(1.0 + (back + front) / 1e8) - low
    return low / (low + high) if low + high != 0.0 else 1.0


@compiled
def advance_front(kind: int, n: int, front: float, before: int, shown: int, traded: int) -> float:
    """Return the size before the order after a level's change: trades were already counted, the rest are cancels."""
    change = float(before) - float(shown) - float(traded)
    if change < 0.0:
        return min(front, float(shown))
    back = max(float(before) - front, 0.0)
    chance = chance_behind(kind, n, max(front, 0.0), back)
    return min(front - (1.0 - chance) * change + min(back - chance * change, 0.0), float(shown))


@compiled
def excess(kind: int, lot: int, ahead: int, front: float, size: int) -> int:
    """Return what a trade of this size at the order's price leaves for it; probabilistic models round to lots."""
    if is_counted(kind):
        return size - ahead
    if kind == UNSEEN:
        return 0
    beyond = float(size) - front
    return int(beyond / lot + 0.5) * lot if beyond > 0.0 else 0
