"""Where the levels of the venue's two books stand: one place for a price on both, found once. Compiled, but for reading a whole side.

As in engine/market/fold/dense_book.py: a slot for each tick near the top, a sorted row for the others. A place holds three numbers: the size that
orders meet, what of it ours have taken, and the size in the public book. One of the sorted row that vanished keeps its place with zeros,
since most come back, unless it was the best. `far` is the number of places in the sorted row. N_BEST speaks of the book that orders meet.
"""

from typing import Final

import numpy as np

from engine.market.fold.dense_book import (
    BLOCK,
    BLOCK_BITS,
    N_BASE,
    N_BEST,
    N_BLOCKS,
    N_COUNT,
    N_SLOTS,
    N_SPAN,
    N_TICK,
    SLOTS,
    place_of,
    slot_of,
)
from engine.market.jit import compiled, move_within
from engine.market.rows import Rows

# what a place holds
SIZE: Final = 0
TAKEN: Final = 1
PUBLIC: Final = 2
NUMBERS: Final = 3
FAR: Final = N_SLOTS + SLOTS * NUMBERS  # the sorted row, best last: key, then the numbers
STEP: Final = 1 + NUMBERS

LOWEST: Final = -(2**62)  # below any key


@compiled
def room_of(levels: Rows) -> int:
    """How many levels a side may have: the sorted row has room for all of them."""
    return int(levels.shape[1] - FAR) >> 2


@compiled
def found(row: Rows, far: int, key: int) -> int:
    """Where in its row a key's numbers begin; 0 where it has no place."""
    slot = slot_of(row, key)
    if slot >= 0:
        return N_SLOTS + NUMBERS * slot
    place = place_of(row, FAR, STEP, far, key)
    at = FAR + STEP * place
    return at + 1 if place < far and row[at] == key else 0


@compiled
def without_last(row: Rows, far: int) -> int:
    """The number of places without those behind the last that is there."""
    while far > 0 and row[FAR + STEP * far - STEP + 1 + SIZE] == 0 and row[FAR + STEP * far - STEP + 1 + PUBLIC] == 0:
        far -= 1
    return far


@compiled
def set_numbers(row: Rows, at: int, size: int, met: bool, public: bool) -> None:  # noqa: FBT001 - compiled code takes arguments by place
    """The size in the book that orders meet, in the public one or in both. What was taken of a level stays so until its size changes."""
    if met and row[at + SIZE] != size:
        row[at + SIZE] = size
        row[at + TAKEN] = 0
    if public:
        row[at + PUBLIC] = size


@compiled
def set_far(row: Rows, far: int, key: int, size: int, met: bool, public: bool) -> int:  # noqa: FBT001, PLR0917 - compiled code takes arguments by place
    """Set a level that has no slot in one book or both; the new number of places. The caller saw to room for one more."""
    place = place_of(row, FAR, STEP, far, key)
    at = FAR + STEP * place
    if place == far or row[at] != key:
        if size == 0:
            return far
        move_within(row, at + STEP, at, STEP * (far - place))
        row[at] = key
        for k in range(at + 1, at + STEP):
            row[k] = 0
        far += 1
    set_numbers(row, at + 1, size, met, public)
    return without_last(row, far)


@compiled
def set_slot(row: Rows, slot: int, size: int, met: bool, public: bool) -> None:  # noqa: FBT001 - compiled code takes arguments by place
    """The same of a level that has a slot."""
    at = N_SLOTS + NUMBERS * slot
    before = min(max(row[at + SIZE], row[at + PUBLIC]), 1)
    set_numbers(row, at, size, met, public)
    there = min(max(row[at + SIZE], row[at + PUBLIC]), 1)
    row[N_BLOCKS + (slot >> BLOCK_BITS)] += there - before
    row[N_COUNT] += there - before
    row[N_BEST] = max(row[N_BEST], slot * min(row[at + SIZE], 1))


@compiled
def slot_below(row: Rows, key: int) -> int:
    """The slot at a key or next below it, from the best that orders meet on; -1 where there is none."""
    beyond = key - row[N_BASE]
    if beyond >= row[N_SPAN]:
        return int(row[N_BEST])
    return int(min(row[N_BEST], beyond // row[N_TICK])) if beyond >= 0 else -1


@compiled
def leave_better(row: Rows, far: int, key: int) -> int:
    """Whatever stands better than a key is gone from the book that orders meet; the new number of places in the sorted row."""
    left = slot_below(row, key)
    slot = row[N_BEST]
    while slot > left:
        if row[N_BLOCKS + (slot >> BLOCK_BITS)] == 0:
            slot = slot & -BLOCK
        elif row[N_SLOTS + NUMBERS * slot + SIZE] > 0:
            at = N_SLOTS + NUMBERS * slot
            row[at + SIZE] = 0
            row[at + TAKEN] = 0
            gone = 1 - min(row[at + PUBLIC], 1)
            row[N_BLOCKS + (slot >> BLOCK_BITS)] -= gone
            row[N_COUNT] -= gone
        slot -= 1
    row[N_BEST] = left
    place = far - 1
    while place >= 0 and row[FAR + STEP * place] > key:
        row[FAR + STEP * place + 1 + SIZE] = 0
        row[FAR + STEP * place + 1 + TAKEN] = 0
        place -= 1
    return without_last(row, far)


@compiled
def set_quoted(row: Rows, far: int, key: int, size: int) -> int:
    """A side's best level as a quote tells it, of which the public book learns nothing; the new number of places in the sorted row."""
    far = leave_better(row, far, key)
    slot = slot_of(row, key)
    if slot < 0:
        return set_far(row, far, key, size, True, False)
    set_slot(row, slot, size, True, False)
    return far


@compiled
def best_offered(row: Rows, far: int, below: int) -> int:
    """The best key below this one of which something is left to be had; LOWEST where there is none."""
    slot = slot_below(row, below - 1)
    while slot >= 0:
        if row[N_BLOCKS + (slot >> BLOCK_BITS)] == 0:
            slot = slot & -BLOCK
        elif row[N_SLOTS + NUMBERS * slot + SIZE] > row[N_SLOTS + NUMBERS * slot + TAKEN]:
            break
        slot -= 1
    near = row[N_BASE] + slot * row[N_TICK] if slot >= 0 else LOWEST
    at = FAR + STEP * place_of(row, FAR, STEP, far, below)
    while at > FAR:
        at -= STEP
        if row[at] <= near:
            break
        if row[at + 1 + SIZE] > row[at + 1 + TAKEN]:
            return int(row[at])
    return int(near)


def all_levels(row: Rows, far: int) -> Rows:
    """Whatever stands in either book: keys, sizes, taken and public sizes, best last."""
    table = row[FAR : FAR + STEP * far].reshape(far, STEP)
    table = table[(table[:, 1 + SIZE] | table[:, 1 + PUBLIC]) > 0]
    if row[N_COUNT]:
        blocks = np.flatnonzero(row[N_BLOCKS:N_SLOTS])
        places = row[N_SLOTS:FAR].reshape(-1, BLOCK * NUMBERS)[blocks].reshape(-1, NUMBERS)
        held = np.flatnonzero(places[:, SIZE] | places[:, PUBLIC])
        slots = blocks[held >> BLOCK_BITS] * BLOCK + held % BLOCK
        table = np.concatenate([table, np.column_stack([row[N_BASE] + slots * row[N_TICK], places[held]])])
    ordered: Rows = table[np.argsort(table[:, 0])].T
    return ordered
