"""Levels of the venue's two books: one place for a price in both, found by one search.

Compiled, except for reading a whole side. As in engine/market/fold/dense_book.py, each tick near the top has a slot,
and a sorted row has the others. A place has three numbers: the size in the matching book, what orders consumed of it,
and the size in the public book. A removed level of the sorted row keeps its place with zeros, because most return,
unless it was the best. `far` is the number of places in the sorted row. N_BEST refers to the matching book.
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

# the numbers of a place
SIZE: Final = 0
TAKEN: Final = 1
PUBLIC: Final = 2
NUMBERS: Final = 3
FAR: Final = N_SLOTS + SLOTS * NUMBERS  # the sorted row, best last: key, then the numbers
STEP: Final = 1 + NUMBERS

LOWEST: Final = -(2**62)  # below any key


@compiled
def room_of(levels: Rows) -> int:
    """Return the number of levels a side may have: the sorted row has room for all of them."""
    return int(levels.shape[1] - FAR) >> 2


@compiled
def find_level(row: Rows, far: int, key: int) -> int:
    """Return the index of a key's first number in the row; 0 if the key has no place."""
    slot = slot_of(row, key)
    if slot >= 0:
        return N_SLOTS + NUMBERS * slot
    place = place_of(row, FAR, STEP, far, key)
    at = FAR + STEP * place
    return at + 1 if place < far and row[at] == key else 0


@compiled
def without_last(row: Rows, far: int) -> int:
    """Return the number of places up to the last one with a size."""
    while far > 0 and row[FAR + STEP * far - STEP + 1 + SIZE] == 0 and row[FAR + STEP * far - STEP + 1 + PUBLIC] == 0:
        far -= 1
    return far


@compiled
def set_numbers(row: Rows, at: int, size: int, matching: bool, public: bool) -> None:
    """Set the size in one book or both. Consumed size stays consumed until the size changes."""
    if matching and row[at + SIZE] != size:
        row[at + SIZE] = size
        row[at + TAKEN] = 0
    if public:
        row[at + PUBLIC] = size


@compiled
def set_far(row: Rows, far: int, key: int, size: int, matching: bool, public: bool) -> int:
    """Set a level without a slot; return the new number of places. There must be room for one more."""
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
    set_numbers(row, at + 1, size, matching, public)
    return without_last(row, far)


@compiled
def set_slot(row: Rows, slot: int, size: int, matching: bool, public: bool) -> None:
    """Set a level with a slot in one book or both."""
    at = N_SLOTS + NUMBERS * slot
    before = min(max(row[at + SIZE], row[at + PUBLIC]), 1)
    set_numbers(row, at, size, matching, public)
    there = min(max(row[at + SIZE], row[at + PUBLIC]), 1)
    row[N_BLOCKS + (slot >> BLOCK_BITS)] += there - before
    row[N_COUNT] += there - before
    row[N_BEST] = max(row[N_BEST], slot * min(row[at + SIZE], 1))


@compiled
def slot_below(row: Rows, key: int) -> int:
    """Return the slot at a key or the next one below, not above the best.

    -1 if the key is below the window.
    """
    beyond = key - row[N_BASE]
    if beyond >= row[N_SPAN]:
        return int(row[N_BEST])
    return int(min(row[N_BEST], beyond // row[N_TICK])) if beyond >= 0 else -1


@compiled
def drop_better(row: Rows, far: int, key: int) -> int:
    """Remove levels better than a key from the matching book; return the new number of places."""
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
    """Set a side's best level from a quote, in the matching book only; return the new number of places."""
    far = drop_better(row, far, key)
    slot = slot_of(row, key)
    if slot < 0:
        return set_far(row, far, key, size, True, False)
    set_slot(row, slot, size, True, False)
    return far


@compiled
def best_offered(row: Rows, far: int, below: int) -> int:
    """Return the best key below this one with size left to consume; LOWEST if there is no level."""
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
    """Return all levels of both books: keys, sizes, consumed and public sizes, best last."""
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
