"""The other traders' orders of an order-by-order market: the place of each in the queue of its price.

Compiled. A hash table has each known order and the count of placements at which it came. One of our orders notes that
count when it rests, so an order with a lower one is ahead of it. Cancels therefore move our orders exactly; fills are
counted from the trades, which serve the front of the queue.
"""

from typing import Final

import numpy as np

from engine.market import rows as r
from engine.market.fold.dense_book import N_MISSES, size_after, slot_of
from engine.market.jit import compiled
from engine.market.rows import Rows
from engine.sim.exchange.price_levels import PUBLIC, SIZE, TAKEN, find_level, set_far, set_slot
from engine.sim.exchange.queue_models import EXACT
from engine.sim.exchange.venue_arrays import (
    LARGEST,
    O_AHEAD,
    O_PRICE,
    O_SIDE,
    O_SINCE,
    O_SYMBOL,
    V_FAR,
    V_KNOWN,
    V_PLACED,
    V_PRICE_UNIT,
    V_QUEUE,
    V_SIZE_UNIT,
)

# columns of the table
K_ID: Final = 0  # the order's id + 1; 0: no order
K_SYMBOL: Final = 1
K_SINCE: Final = 2  # placements of the symbol up to this order
K_LEFT: Final = 3  # size that is left
K_FIELDS: Final = 4
ROOM_START: Final = 1024  # a power of 2
_FACTOR: Final = 0x9E3779  # of 24 bits: a product with 24 bits of an id fits an int64
_MASK: Final = 0xFFFFFF


def empty_table(room: int = ROOM_START) -> Rows:
    """Return a table without orders."""
    return np.zeros((room, K_FIELDS), np.int64)


@compiled
def home_of(known: Rows, order_id: int) -> int:
    """Return the row at which the search for an order begins."""
    mixed = ((order_id ^ (order_id >> 24) ^ (order_id >> 41)) & _MASK) * _FACTOR
    return int((mixed ^ (mixed >> 19)) & (known.shape[0] - 1))


@compiled
def find_order(known: Rows, i: int, order_id: int) -> int:
    """Return the row of an order, or the empty row where it belongs. The table is never full."""
    at = home_of(known, order_id)
    while known[at, K_ID] != 0 and (known[at, K_ID] != order_id + 1 or known[at, K_SYMBOL] != i):
        at = (at + 1) & (known.shape[0] - 1)
    return at


@compiled
def forget_order(known: Rows, at: int) -> None:
    """Remove the order of a row, and move up the orders whose search passes it."""
    mask = known.shape[0] - 1
    hole = at
    k = (at + 1) & mask
    while known[k, K_ID] != 0:
        home = home_of(known, known[k, K_ID] - 1)
        if ((k - home) & mask) >= ((k - hole) & mask):
            for field in range(K_FIELDS):
                known[hole, field] = known[k, field]
            hole = k
        k = (k + 1) & mask
    known[hole, K_ID] = 0


@compiled
def reduce_order(i: int, order_id: int, size: int, v: Rows, known: Rows) -> int:
    """Subtract size from an order; return the placements up to it, 0 for an order from before the data began."""
    at = find_order(known, i, order_id)
    if known[at, K_ID] == 0:
        return 0
    since = int(known[at, K_SINCE])
    known[at, K_LEFT] -= size
    if known[at, K_LEFT] <= 0:
        forget_order(known, at)
        v[0, V_KNOWN] -= 1
    return since


@compiled
def change_level(i: int, side: int, key: int, size: int, action: int, v: Rows, levels: Rows) -> None:
    """Change a level of both books by one order.

    Size that our orders consumed stays consumed until the orders that had it are filled, or the level is smaller.
    """
    row = levels[2 * i + side]
    at = find_level(row, v[i, V_FAR + side], key)
    taken = row[at + TAKEN] if at > 0 else 0
    after = size_after(row[at + PUBLIC] if at > 0 else 0, size, action, LARGEST)
    if action == r.ORDER_FILLED:
        taken = max(taken - size, 0)
    slot = slot_of(row, key)
    if slot < 0:
        row[N_MISSES] += 1
        v[i, V_FAR + side] = set_far(row, v[i, V_FAR + side], key, after, True, True)
    else:
        set_slot(row, slot, after, True, True)
    at = find_level(row, v[i, V_FAR + side], key)
    if at > 0:
        row[at + TAKEN] = min(taken, row[at + SIZE])


@compiled
def apply_order(i: int, row: Rows, v: Rows, levels: Rows, orders: Rows, known: Rows) -> None:
    """Apply a change by one order: its level, the table, and our orders behind it."""
    side = row[r.ORDER_SIDE]
    action = row[r.ORDER_ACTION]
    price = row[r.ORDER_PRICE] * v[i, V_PRICE_UNIT]
    size = row[r.ORDER_SIZE] * v[i, V_SIZE_UNIT]
    change_level(i, side, price if side == 0 else -price, size, action, v, levels)
    if action == r.ORDER_ADDED:
        v[i, V_PLACED] += 1
        at = find_order(known, i, row[r.ORDER_ID])
        v[0, V_KNOWN] += known[at, K_ID] == 0
        known[at, K_ID] = row[r.ORDER_ID] + 1
        known[at, K_SYMBOL] = i
        known[at, K_SINCE] = v[i, V_PLACED]
        known[at, K_LEFT] = size
        return
    since = reduce_order(i, row[r.ORDER_ID], size, v, known)
    if action == r.ORDER_CANCELLED and v[i, V_QUEUE] == EXACT:
        for k in range(orders.shape[0]):
            if (
                orders[k, O_SYMBOL] == i
                and orders[k, O_PRICE] == price
                and orders[k, O_SIDE] == side
                and since <= orders[k, O_SINCE]
            ):
                orders[k, O_AHEAD] = max(orders[k, O_AHEAD] - size, 0)


@compiled
def has_room(known: Rows, more: int, v: Rows) -> bool:
    """Return True if so many orders more leave half of the table empty: then searches are short."""
    return bool(2 * (v[0, V_KNOWN] + more) <= known.shape[0])


def widen(known: Rows, more: int) -> Rows:
    """Return a table with the same orders and room for so many more."""
    held = known[known[:, K_ID] != 0]
    room = len(known)
    while room < 4 * (len(held) + more):
        room *= 2
    wider = empty_table(room)
    for row in held:
        wider[find_order(wider, int(row[K_SYMBOL]), int(row[K_ID]) - 1)] = row
    return wider
