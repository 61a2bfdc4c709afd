"""Where the levels of one side of a book lie: a slot for each tick near the top, a sorted row for the others. Compiled, but for the laying.

Whoever sets, reads or forgets levels of a book comes here; nobody else knows of the window. A key is a price, of asks minus the price:
so the best is the highest on both sides. `count` is the number of all levels of a side.

A level in the window costs a multiplication and a look at its slot. One outside costs a search, and is counted: after too many the
window is laid anew around the top, on the grid of the levels found there. So nobody tells it a tick or a range, and none is wrong.
"""

from typing import Final

import numpy as np

from engine.market.jit import compiled, moved
from engine.market.rows import Rows

SLOTS: Final = 65_536  # 94 to 97 in 100 levels of the BTCUSDT captures lie as near to the top as that
BLOCK_BITS: Final = 6  # levels are counted by blocks of 64 slots, so that empty ones are passed over
BLOCK: Final = 2**BLOCK_BITS
HEADROOM: Final = SLOTS // 4  # for a top that moves on
GRID_LEVELS: Final = 256  # how many of the best levels tell the tick
PATIENCE: Final = (
    4096,
    262_144,
)  # misses before a window is laid anew: laying costs thousands of searches. Doubled where that was of no use
MAGIC_BITS: Final = 46  # slot * 2**46 fits an int64
TICK_MAX: Final = 2**30  # SLOTS * tick fits MAGIC_BITS: beyond, a quotient by multiplication would not be exact

# sides: one row for each side of each book. What is behind the counted levels of the sorted row means nothing
N_BASE: Final = 0  # the key of slot 0
N_TICK: Final = 1
N_SPAN: Final = 2  # of all slots; 0: no window is laid
N_MAGIC: Final = 3  # a difference of keys is divided by the tick by multiplying with this
N_COUNT: Final = 4  # levels in the window
N_BEST: Final = 5  # no slot above it holds a level; -1 where no window is laid
N_MISSES: Final = 6  # levels set outside since it was laid
N_PATIENCE: Final = 7  # as many of them, and it is laid anew
N_BLOCKS: Final = 8
N_SLOTS: Final = N_BLOCKS + SLOTS // BLOCK
N_FAR: Final = N_SLOTS + SLOTS  # the sorted row, best last: key, size, key, size ...


@compiled
def room_of(sides: Rows) -> int:
    """How many levels a side may have: the sorted row has room for all of them."""
    return int(sides.shape[1] - N_FAR) >> 1


@compiled
def place_of(side: Rows, begin: int, width: int, count: int, key: int) -> int:
    """The first of sorted keys at or above this one, `count` where there is none; the k-th key is at begin + k * width.

    From the best on in steps that double: most of what changes is near it.
    """
    high = count
    low = count - 1
    step = 1
    while low >= 0 and side[begin + low * width] >= key:
        high = low
        low -= step
        step += step
    low = max(low + 1, 0)
    while low < high:
        middle = (low + high) >> 1
        if side[begin + middle * width] < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def slot_of(side: Rows, key: int) -> int:
    """The slot of a key; -1 where it lies outside the window or between two of its ticks."""
    beyond = key - side[N_BASE]
    if beyond < 0 or beyond >= side[N_SPAN]:
        return -1
    slot = int(beyond * side[N_MAGIC] >> MAGIC_BITS)
    return slot if slot * side[N_TICK] == beyond else -1


@compiled
def set_far(side: Rows, count: int, key: int, size: int) -> int:
    """Set a level of the sorted row, which has so many, size 0 removes; the new number. The caller saw to room for one more."""
    low = place_of(side, N_FAR, 2, count, key)
    at = N_FAR + 2 * low
    behind = 2 * (count - low)
    if low < count and side[at] == key:
        if size > 0:
            side[at + 1] = size
            return count
        moved(side, at, at + 2, behind - 2)
        return count - 1
    if size == 0:
        return count  # the venue removes a level we never learnt: normal
    moved(side, at + 2, at, behind)
    side[at] = key
    side[at + 1] = size
    return count + 1


@compiled
def add_level(side: Rows, count: int, key: int, size: int) -> None:
    """Behind the last one of the sorted row, whatever its key: sort_side puts it right."""
    side[N_FAR + 2 * count] = key
    side[N_FAR + 2 * count + 1] = size


@compiled
def sort_side(side: Rows, count: int) -> int:
    """Put levels that were added in the venue's order, best first, into ours; the number of levels left."""
    ordered = True
    for j in range(1, count):
        if side[N_FAR + 2 * j] >= side[N_FAR + 2 * j - 2]:
            ordered = False
            break
    if ordered:
        for j in range(count >> 1):
            for at in range(2):
                low = N_FAR + 2 * j + at
                high = N_FAR + 2 * (count - 1 - j) + at
                number = side[low]
                side[low] = side[high]
                side[high] = number
        return count
    kept = 0  # any other order: one by one, a price named twice keeps its last size
    for j in range(count):
        kept = set_far(side, kept, side[N_FAR + 2 * j], side[N_FAR + 2 * j + 1])
    return kept


@compiled
def set_slot(side: Rows, slot: int, size: int) -> int:
    """Set the level of a slot, size 0 removes; by how much the number of levels changed."""
    there = min(size, 1)
    more = there - min(side[N_SLOTS + slot], 1)
    side[N_SLOTS + slot] = size
    side[N_BLOCKS + (slot >> BLOCK_BITS)] += more
    side[N_COUNT] += more
    side[N_BEST] = max(side[N_BEST], slot * there)
    return int(more)


@compiled
def set_outside(side: Rows, count: int, key: int, size: int) -> int:
    """Set a level that has no slot, size 0 removes; by how much the number of levels changed. The caller saw to room for one more."""
    side[N_MISSES] += 1
    far = int(count - side[N_COUNT])
    return set_far(side, far, key, size) - far


@compiled
def held_below(side: Rows, slot: int) -> int:
    """The highest slot at or below this one that holds a level; -1 where none does."""
    while slot >= 0:
        first = slot & -BLOCK
        if side[N_BLOCKS + (slot >> BLOCK_BITS)] > 0:
            while slot >= first:
                if side[N_SLOTS + slot] > 0:
                    return slot
                slot -= 1
        slot = first - 1
    return -1


@compiled
def best_levels(side: Rows, count: int, into: Rows) -> None:
    """The best levels, as many as there is room for and not more than there are: keys and sizes, best last."""
    far = count - side[N_COUNT]
    slot = held_below(side, side[N_BEST])
    for k in range(into.shape[1] - 1, -1, -1):
        key = side[N_BASE] + slot * side[N_TICK]
        if slot < 0 or (far > 0 and side[N_FAR + 2 * far - 2] > key):
            far -= 1
            into[0, k] = side[N_FAR + 2 * far]
            into[1, k] = side[N_FAR + 2 * far + 1]
        else:
            into[0, k] = key
            into[1, k] = side[N_SLOTS + slot]
            slot = held_below(side, slot - 1)


@compiled
def top_of(side: Rows, count: int) -> tuple[int, int]:
    """Key and size of the best level; zeros where there is none."""
    if count == 0:
        return 0, 0
    slot = held_below(side, side[N_BEST])
    side[N_BEST] = slot
    key = side[N_BASE] + slot * side[N_TICK]
    at = N_FAR + 2 * (count - side[N_COUNT]) - 2
    if slot < 0 or (at >= N_FAR and side[at] > key):
        return side[at], side[at + 1]
    return key, side[N_SLOTS + slot]


@compiled
def wants_window(side: Rows) -> bool:
    """Whether its window is to be laid, or laid anew; lay_window does that, between two calls of what is compiled."""
    return bool(side[N_MISSES] >= side[N_PATIENCE])


@compiled
def forget_window(side: Rows) -> None:
    """No window is laid, and its levels are not known any more. Its slots are cleared when one is laid again, as few books do."""
    side[N_SPAN] = 0
    side[N_COUNT] = 0
    side[N_BEST] = -1
    side[N_PATIENCE] = 0


def levels_of(side: Rows, count: int, n: int) -> Rows:
    """The best n levels as two rows of keys and sizes, best last."""
    levels: Rows = np.empty((2, min(n, count)), np.int64)
    best_levels(side, count, levels)
    return levels


def widened(sides: Rows, numbers: int, length: int) -> Rows:
    """A copy whose rows are longer, where a level has so many numbers. Slots never used are not touched: memory untouched is none."""
    wider: Rows = np.zeros((len(sides), length), np.int64)
    end = N_SLOTS + SLOTS * numbers
    wider[:, :N_SLOTS] = sides[:, :N_SLOTS]
    wider[:, end : sides.shape[1]] = sides[:, end:]
    used = np.nonzero(sides[:, N_BLOCKS:N_SLOTS])
    slots, into = (array[:, N_SLOTS:end].reshape(len(sides), SLOTS // BLOCK, -1) for array in (sides, wider))
    into[used] = slots[used]
    return wider


def lay_window(side: Rows, levels: Rows) -> int:
    """All levels of a side, laid anew: a window around the top, and the sorted row, whose number of levels it is.

    `levels` has a row of sorted keys, and one for each number that a level has. Where nothing is there, or on a grid that is too wide for
    a window, there is none.
    """
    keys, numbers = levels[0], len(levels) - 1
    begin, end = N_SLOTS, N_SLOTS + SLOTS * numbers
    blocks = side[N_BLOCKS:N_SLOTS]
    side[begin:end].reshape(len(blocks), -1)[np.flatnonzero(blocks)] = 0
    base_before, tick_before, patience = side[[N_BASE, N_TICK, N_PATIENCE]].tolist()
    side[:N_SLOTS] = 0
    side[N_BEST] = -1
    inside = np.zeros(len(keys), bool)
    base = 0
    tick = int(np.gcd.reduce(keys[-GRID_LEVELS:] - keys[-1:]))
    if 0 < tick <= TICK_MAX:
        base = int(keys[-1]) - tick * (SLOTS - HEADROOM)
        slots = (keys - base) // tick
        inside = (slots >= 0) & (slots * tick + base == keys)
        slots = slots[inside]
        side[begin:end].reshape(SLOTS, numbers)[slots] = levels[1:, inside].T
        blocks += np.bincount(slots >> BLOCK_BITS, minlength=len(blocks))
        side[[N_BASE, N_TICK, N_SPAN, N_MAGIC, N_COUNT, N_BEST]] = (
            base,
            tick,
            tick * SLOTS,
            2**MAGIC_BITS // tick + 1,
            len(slots),
            slots.max(),
        )
    in_vain = tick == tick_before and abs(base - base_before) <= tick * HEADROOM // 2
    side[N_PATIENCE] = min(max(2 * patience, PATIENCE[0]), PATIENCE[1]) if in_vain else PATIENCE[0]
    far = levels[:, ~inside]
    side[end : end + far.size] = far.T.ravel()
    return int(far.shape[1])
