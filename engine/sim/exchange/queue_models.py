"""How an order moves on in the queue at its price. Compiled; scalars in, scalars out; knows no order and no book.

What vanishes from a level without a trade stood behind us, as far as that can be; or before and behind us by chances that our place in
the queue gives: "power" and "log" families as hftbacktest 2.4.4 names and computes them (its models/queue.rs). Sizes are units of 1e-8.
"""

from typing import Final

from engine.market.jit import compiled

PESSIMISTIC: Final = 0
POWER: Final = 1
POWER_2: Final = 2
POWER_3: Final = 3
LOG: Final = 4
LOG_2: Final = 5


@compiled
def power(x: float, n: int) -> float:
    """X to the n-th, by the same steps everywhere."""
    found = 1.0
    for _ in range(n):
        found = found * x
    return found


@compiled
def ln(x: float) -> float:
    """The natural logarithm of a number of 1 or more, in operations that give the same bits compiled and not."""
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
    """The chance that a cancel stood behind us, by what stands before us and behind us, in units."""
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
def advance_front(kind: int, n: int, front: float, before: int, shown: int, traded: int) -> float:  # noqa: PLR0917 - compiled code takes arguments by place
    """What stands before us once a level shows another size: trades were counted when they came, the rest was cancelled by chances."""
    change = float(before - shown - traded)
    if change < 0.0:
        return min(front, float(shown))
    back = max(float(before) - front, 0.0)
    chance = chance_behind(kind, n, max(front, 0.0), back)
    return min(front - (1.0 - chance) * change + min(back - chance * change, 0.0), float(shown))


@compiled
def excess(kind: int, lot: int, ahead: int, front: float, size: int) -> int:
    """What a trade of this size at our price leaves for us; a queue of chances tells it in whole lots, rounded."""
    if kind == PESSIMISTIC:
        return size - ahead
    beyond = float(size) - front
    return int(beyond / lot + 0.5) * lot if beyond > 0.0 else 0
