"""Levels of one side of a book: one slot for each tick near the top (the dense window), a sorted row for the others.

Compiled. Only this file knows the window. A key is the price of a bid, and minus the price of an ask: the best level
has the highest key on both sides. `count` is the number of all levels of a side.

A level in the window costs a multiplication and one access to its slot. A level outside costs a search, and is counted:
after too many, rebuild_window moves the window around the top, on the grid of the levels there. No tick and no range
has to be configured.
"""

from typing import Final

import numpy as np

from engine.market.jit import JIT, compiled, move_within
from engine.market.rows import ORDER_ADDED, Rows

SLOTS: Final = 65_536  # the window then has 94 to 97 % of the levels in the BTCUSDT captures
BLOCK_BITS: Final = 6  # levels are counted by blocks of 64 slots: a search skips empty blocks
BLOCK: Final = 2**BLOCK_BITS
HEADROOM: Final = SLOTS // 4  # for a top that rises
GRID_LEVELS: Final = 256  # the tick is computed from so many of the best levels
# misses before a rebuild, which costs thousands of searches; doubled after a rebuild that changed little
PATIENCE: Final = (4096, 262_144)
MAGIC_BITS: Final = 46  # slot * 2**46 fits an int64
TICK_MAX: Final = 2**30  # SLOTS * tick fits MAGIC_BITS: division by multiplication stays exact

# sides: one row for each side of each book. Numbers after the counted levels of the sorted row are garbage
N_BASE: Final = 0  # the key of slot 0
N_TICK: Final = 1
N_SPAN: Final = 2  # keys that the window covers; 0: no window
N_MAGIC: Final = 3  # multiplying with it divides a difference of keys by the tick
N_COUNT: Final = 4  # levels in the window
N_BEST: Final = 5  # no slot above it has a level; -1: no window
N_MISSES: Final = 6  # levels set outside since the last rebuild
N_PATIENCE: Final = 7  # misses that cause a rebuild
N_BLOCKS: Final = 8
N_SLOTS: Final = N_BLOCKS + SLOTS // BLOCK
N_FAR: Final = N_SLOTS + SLOTS  # the sorted row, best last: key, size, key, size ...


@compiled
def room_of(sides: Rows) -> int:
    """Return the number of levels a side may have: the sorted row has room for all of them."""
    return int(sides.shape[1] - N_FAR) >> 1


@compiled
def place_of(side: Rows, begin: int, width: int, count: int, key: int) -> int:
    """Return the index of the first sorted key at or above this one; `count` if all are below.

    The k-th key is at begin + k * width. The search starts at the best key in doubling steps, because most changes are
    near it.
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
    """Return the slot of a key; -1 if it is outside the window or off its grid."""
    beyond = key - side[N_BASE]
    if beyond < 0 or beyond >= side[N_SPAN]:
        return -1
    slot = int(beyond * side[N_MAGIC] >> MAGIC_BITS)
    return slot if slot * side[N_TICK] == beyond else -1


@compiled
def set_far(side: Rows, count: int, key: int, size: int) -> int:
    """Set a level of the sorted row, size 0 removes it; return the new number of levels.

    There must be room for one more.
    """
    low = place_of(side, N_FAR, 2, count, key)
    begin = N_FAR + 2 * low
    behind = 2 * (count - low)
    if low < count and side[begin] == key:
        if size > 0:
            side[begin + 1] = size
            return count
        move_within(side, begin, begin + 2, behind - 2)
        return count - 1
    if size == 0:
        return count  # the venue may remove a level that was never sent
    move_within(side, begin + 2, begin, behind)
    side[begin] = key
    side[begin + 1] = size
    return count + 1


@compiled
def add_level(side: Rows, count: int, key: int, size: int) -> None:
    """Append a level to the sorted row in any order; sort_side sorts it later."""
    side[N_FAR + 2 * count] = key
    side[N_FAR + 2 * count + 1] = size


@compiled
def sort_side(side: Rows, count: int) -> int:
    """Sort levels that were appended in the venue's order, best first; return the number left."""
    ordered = True
    for j in range(1, count):
        if side[N_FAR + 2 * j] >= side[N_FAR + 2 * j - 2]:
            ordered = False
            break
    if ordered:
        for j in range(count >> 1):
            for offset in range(2):
                low = N_FAR + 2 * j + offset
                high = N_FAR + 2 * (count - 1 - j) + offset
                number = side[low]
                side[low] = side[high]
                side[high] = number
        return count
    kept = 0  # any other order: one by one, and a price sent twice keeps its last size
    for j in range(count):
        kept = set_far(side, kept, side[N_FAR + 2 * j], side[N_FAR + 2 * j + 1])
    return kept


@compiled
def set_slot(side: Rows, slot: int, size: int) -> int:
    """Set the level of a slot, size 0 removes it; return the change in the number of levels."""
    there = min(size, 1)
    more = there - min(side[N_SLOTS + slot], 1)
    side[N_SLOTS + slot] = size
    side[N_BLOCKS + (slot >> BLOCK_BITS)] += more
    side[N_COUNT] += more
    side[N_BEST] = max(side[N_BEST], slot * there)
    return int(more)


@compiled
def set_outside(side: Rows, count: int, key: int, size: int) -> int:
    """Set a level without a slot, size 0 removes it; return the change in the number of levels.

    There must be room for one more.
    """
    side[N_MISSES] += 1
    far = int(count - side[N_COUNT])
    return set_far(side, far, key, size) - far


@compiled
def size_at(side: Rows, count: int, key: int) -> int:
    """Return the size of a level; 0 if it is missing."""
    slot = slot_of(side, key)
    if slot >= 0:
        return int(side[N_SLOTS + slot])
    far = int(count - side[N_COUNT])
    low = place_of(side, N_FAR, 2, far, key)
    return int(side[N_FAR + 2 * low + 1]) if low < far and side[N_FAR + 2 * low] == key else 0


@compiled
def size_after(size: int, change: int, action: int, most: int) -> int:
    """Return the size of a level after the change by one order: never negative, at most `most`.

    A level may be smaller than an order that leaves it, if the data began after that order was placed.
    """
    return min(size, most - change) + change if action == ORDER_ADDED else max(size - change, 0)


@compiled
def highest_used(side: Rows, slot: int) -> int:
    """Return the highest slot at or below this one that has a level; -1 if all are empty."""
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
def lowest_used(side: Rows) -> int:
    """Return the lowest slot that has a level; -1 if all are empty."""
    if side[N_COUNT] == 0:
        return -1
    for block in range(SLOTS // BLOCK):
        if side[N_BLOCKS + block] > 0:
            for slot in range(block * BLOCK, block * BLOCK + BLOCK):
                if side[N_SLOTS + slot] > 0:
                    return slot
    return -1


@compiled
def drop_worst(side: Rows, count: int) -> None:
    """Remove the worst of `count` levels; there must be one."""
    far = int(count - side[N_COUNT])
    slot = lowest_used(side)
    if slot < 0 or (far > 0 and side[N_FAR] < side[N_BASE] + slot * side[N_TICK]):
        move_within(side, N_FAR, N_FAR + 2, 2 * (far - 1))
    else:
        set_slot(side, slot, 0)


@compiled
def best_levels(side: Rows, count: int, into: Rows) -> None:
    """Write the best levels into a table of two rows, keys and sizes, best last. Its width is their number."""
    far = count - side[N_COUNT]
    slot = highest_used(side, side[N_BEST])
    for k in range(into.shape[1] - 1, -1, -1):
        key = side[N_BASE] + slot * side[N_TICK]
        if slot < 0 or (far > 0 and side[N_FAR + 2 * far - 2] > key):
            far -= 1
            into[0, k] = side[N_FAR + 2 * far]
            into[1, k] = side[N_FAR + 2 * far + 1]
        else:
            into[0, k] = key
            into[1, k] = side[N_SLOTS + slot]
            slot = highest_used(side, slot - 1)


@compiled
def top_of(side: Rows, count: int) -> tuple[int, int]:
    """Return key and size of the best level; zeros for an empty side."""
    if count == 0:
        return 0, 0
    slot = highest_used(side, side[N_BEST])
    side[N_BEST] = slot
    key = side[N_BASE] + slot * side[N_TICK]
    last = N_FAR + 2 * (count - side[N_COUNT]) - 2
    if slot < 0 or (last >= N_FAR and side[last] > key):
        return side[last], side[last + 1]
    return key, side[N_SLOTS + slot]


@compiled
def needs_window(side: Rows) -> bool:
    """Return True if the dense window must be rebuilt, by rebuild_window between two calls of compiled code."""
    return bool(side[N_MISSES] >= side[N_PATIENCE])


@compiled
def forget_window(side: Rows) -> None:
    """Drop the window with its levels. Its slots stay dirty until the next rebuild clears them."""
    side[N_SPAN] = 0
    side[N_COUNT] = 0
    side[N_BEST] = -1
    side[N_PATIENCE] = 0


def levels_of(side: Rows, count: int, n: int) -> Rows:
    """Return the best n levels as two rows, keys and sizes, best last."""
    if not JIT and n >= count:
        return _all_levels(side, count)
    levels: Rows = np.empty((2, min(n, count)), np.int64)
    best_levels(side, count, levels)
    return levels


def _all_levels(side: Rows, count: int) -> Rows:
    """Return what best_levels writes for all levels: in plain Python, its search takes 17 ms in a capture's book."""
    blocks = np.flatnonzero(side[N_BLOCKS:N_SLOTS]) if side[N_COUNT] else np.empty(0, np.int64)
    place, within = np.nonzero(side[N_SLOTS:N_FAR].reshape(-1, BLOCK)[blocks])
    slots = blocks[place] * BLOCK + within
    far = side[N_FAR : N_FAR + 2 * (count - side[N_COUNT])].reshape(-1, 2)
    keys = np.concatenate((far[:, 0], side[N_BASE] + slots * side[N_TICK]))
    sizes = np.concatenate((far[:, 1], side[N_SLOTS + slots]))
    levels: Rows = np.take((keys, sizes), np.argsort(keys), axis=1)
    return levels


def widen(sides: Rows, numbers: int, length: int) -> Rows:
    """Return a copy with longer rows, for levels of so many numbers.

    Unused slots are not copied: untouched memory costs nothing.
    """
    wider: Rows = np.zeros((len(sides), length), np.int64)
    end = N_SLOTS + SLOTS * numbers
    wider[:, :N_SLOTS] = sides[:, :N_SLOTS]
    wider[:, end : sides.shape[1]] = sides[:, end:]
    used = np.nonzero(sides[:, N_BLOCKS:N_SLOTS])
    slots, into = (array[:, N_SLOTS:end].reshape(len(sides), SLOTS // BLOCK, -1) for array in (sides, wider))
    into[used] = slots[used]
    return wider


def rebuild_window(side: Rows, levels: Rows) -> int:
    """Store all levels of a side again, in a window around the top and the sorted row.

    An empty side, or one whose grid is too wide, gets no window.

    Args:
        side: the side's row.
        levels: a row of sorted keys, then one row for each number of a level.

    Returns:
        The number of levels in the sorted row.

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
    unchanged = tick == tick_before and abs(base - base_before) <= tick * HEADROOM // 2
    side[N_PATIENCE] = min(max(2 * patience, PATIENCE[0]), PATIENCE[1]) if unchanged else PATIENCE[0]
    far = levels[:, ~inside]
    side[end : end + far.size] = far.T.ravel()
    return int(far.shape[1])
