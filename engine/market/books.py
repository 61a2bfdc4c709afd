"""One side of a book and the book's life: levels, snapshot join, gaps. Compiled; knows of no quote, trade or strategy.

A side is a row of `prices` and `sizes`, sorted so that the best level is last: bids by price, asks by minus price. So what
changes most, the top, is cheapest to insert, and both sides share one code.
"""

from engine.market.jit import compiled, moved
from engine.market.layout import (
    APPLY,
    B_APPLIED,
    B_ASKS,
    B_BIDS,
    B_DROPPED,
    B_GAPS,
    B_ID,
    B_PENDING,
    B_PENDING_DIFFS,
    B_PENDING_ID,
    B_SNAPSHOT_ID,
    B_SNAPSHOTS_REFUSED,
    B_STATE,
    B_VOUCHED_HIGH,
    B_VOUCHED_LOW,
    BAD_VALUE_SEEN,
    BOOK_BROKEN,
    BOOK_BUFFERING,
    BOOK_JOINED,
    BOOK_NEEDS_SNAPSHOT,
    BOOK_NONE,
    BOOK_SYNCED,
    IGNORE,
    KEEP,
    LEVELS_EXCEEDED,
    LOAD,
    PENDING_ROWS_MAX,
)
from engine.market.rows import Rows


@compiled
def place_of(prices: Rows, side: int, count: int, key: int) -> int:
    """The first level at or above a key; `count` where there is none. From the best on in steps that double: most of what changes is near it."""
    high = count
    low = count - 1
    step = 1
    while low >= 0 and prices[side, low] >= key:
        high = low
        low -= step
        step += step
    low = max(low + 1, 0)
    while low < high:
        middle = (low + high) // 2
        if prices[side, middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def set_level(prices: Rows, sizes: Rows, side: int, count: int, key: int, size: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """Set one level, size 0 removes; the new number of levels. The caller saw to room for one more."""
    low = place_of(prices, side, count, key)
    if low < count and prices[side, low] == key:
        if size > 0:
            sizes[side, low] = size
            return count
        moved(prices, side, low, low + 1, count - 1 - low)
        moved(sizes, side, low, low + 1, count - 1 - low)
        return count - 1
    if size == 0:
        return count  # the venue removes a level we never learnt: normal
    moved(prices, side, low + 1, low, count - low)
    moved(sizes, side, low + 1, low, count - low)
    prices[side, low] = key
    sizes[side, low] = size
    return count + 1


@compiled
def empty_book(t: Rows, i: int, state: int) -> None:
    """Forget the levels and the diffs kept."""
    t[i, B_STATE] = state
    t[i, B_BIDS] = 0
    t[i, B_ASKS] = 0
    t[i, B_VOUCHED_LOW] = 0
    t[i, B_VOUCHED_HIGH] = 0
    t[i, B_PENDING] = 0
    t[i, B_PENDING_DIFFS] = 0
    t[i, B_PENDING_ID] = 0


@compiled
def reaches(first_id: int, previous_id: int, held_id: int) -> bool:
    """Whether nothing is missing between what is held up to held_id and a diff that begins at first_id.

    A venue that numbers with holes (futures) tells the id before a diff; else previous_id is 0.
    """
    return first_id <= held_id + 1 if previous_id == 0 else previous_id <= held_id


@compiled
def follows(first_id: int, previous_id: int, held_id: int) -> bool:
    """Whether a diff goes on from the one before it: where the id before is told, it must be the very one held."""
    return first_id <= held_id + 1 if previous_id == 0 else previous_id == held_id


@compiled
def begin_diff(t: Rows, pending: Rows, i: int, first_id: int, last_id: int, levels: int, previous_id: int) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """What to do with the levels of a diff that begins, and the flags it raises. `previous_id`: the id before it, 0 where none is told."""
    wake = 0
    if t[i, B_STATE] == BOOK_SYNCED:
        if last_id <= t[i, B_ID]:
            t[i, B_DROPPED] += 1
            return IGNORE, 0
        on_snapshot = t[i, B_ID] == t[i, B_SNAPSHOT_ID]  # which may lie within the first diff
        if follows(first_id, previous_id, t[i, B_ID]) or (on_snapshot and reaches(first_id, previous_id, t[i, B_ID])):
            t[i, B_ID] = last_id
            t[i, B_APPLIED] += 1
            return APPLY, 0
        t[i, B_GAPS] += 1
        empty_book(t, i, BOOK_BROKEN)
        wake = BOOK_NEEDS_SNAPSHOT
    elif t[i, B_STATE] == BOOK_NONE:
        t[i, B_STATE] = BOOK_BUFFERING
        wake = BOOK_NEEDS_SNAPSHOT
    used = t[i, B_PENDING]
    if used > 0 and last_id <= t[i, B_PENDING_ID]:
        t[i, B_DROPPED] += 1
        return IGNORE, wake
    if used > 0 and not follows(first_id, previous_id, t[i, B_PENDING_ID]):  # a snapshot cannot bridge it: only what follows is of use
        t[i, B_GAPS] += 1
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS]
        t[i, B_PENDING_DIFFS] = 0
        used = 0
    if used + 1 + levels > PENDING_ROWS_MAX:
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS] + 1
        empty_book(t, i, BOOK_NONE)  # the next diff asks for a snapshot again
        return IGNORE, wake
    pending[i, used, 0] = previous_id + 1 if previous_id > 0 else first_id  # where it goes on from: the join asks no more
    pending[i, used, 1] = last_id
    pending[i, used, 2] = levels
    t[i, B_PENDING] = used + 1
    t[i, B_PENDING_DIFFS] += 1
    t[i, B_PENDING_ID] = last_id
    return KEEP, wake


@compiled
def begin_snapshot(t: Rows, pending: Rows, i: int, snapshot_id: int) -> tuple[int, int]:
    """Take a snapshot unless it is older than what we hold; the mode for its levels and the flags raised."""
    if t[i, B_STATE] == BOOK_SYNCED and snapshot_id < t[i, B_ID]:
        t[i, B_SNAPSHOTS_REFUSED] += 1
        return IGNORE, 0
    if t[i, B_PENDING] > 0 and pending[i, 0, 0] > snapshot_id + 1:
        t[i, B_SNAPSHOTS_REFUSED] += 1
        return IGNORE, BOOK_NEEDS_SNAPSHOT
    t[i, B_BIDS] = 0
    t[i, B_ASKS] = 0
    t[i, B_SNAPSHOT_ID] = snapshot_id
    return LOAD, 0


@compiled
def sort_side(prices: Rows, sizes: Rows, side: int, count: int) -> int:
    """Put levels that came in the venue's order, best first, into ours; the number of levels left."""
    ordered = True
    for j in range(1, count):
        if prices[side, j] >= prices[side, j - 1]:
            ordered = False
            break
    if ordered:
        for j in range(count // 2):
            other = count - 1 - j
            price = prices[side, j]
            size = sizes[side, j]
            prices[side, j] = prices[side, other]
            sizes[side, j] = sizes[side, other]
            prices[side, other] = price
            sizes[side, other] = size
        return count
    kept = 0  # any other order: one by one, a price named twice keeps its last size
    for j in range(count):
        kept = set_level(prices, sizes, side, kept, prices[side, j], sizes[side, j])
    return kept


@compiled
def finish_snapshot(t: Rows, prices: Rows, sizes: Rows, pending: Rows, i: int, levels_max: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """All levels are here: sort, then apply the diffs kept that are younger; the flags raised."""
    for side in range(2):
        t[i, B_BIDS + side] = sort_side(prices, sizes, 2 * i + side, t[i, B_BIDS + side])
    t[i, B_VOUCHED_LOW] = prices[2 * i, 0] if t[i, B_BIDS] > 0 else 0
    t[i, B_VOUCHED_HIGH] = -prices[2 * i + 1, 0] if t[i, B_ASKS] > 0 else 0
    t[i, B_ID] = t[i, B_SNAPSHOT_ID]
    at = 0
    while at < t[i, B_PENDING]:
        levels = pending[i, at, 2]
        if pending[i, at, 1] <= t[i, B_ID]:
            t[i, B_DROPPED] += 1
        else:
            t[i, B_ID] = pending[i, at, 1]
            t[i, B_APPLIED] += 1
            for k in range(at + 1, at + 1 + levels):
                side = pending[i, k, 0]
                key = pending[i, k, 1] if side == 0 else -pending[i, k, 1]
                t[i, B_BIDS + side] = set_level(
                    prices, sizes, 2 * i + side, t[i, B_BIDS + side], key, pending[i, k, 2]
                )
        at += 1 + levels
    if t[i, B_BIDS] > levels_max or t[i, B_ASKS] > levels_max:
        empty_book(t, i, BOOK_BROKEN)
        return LEVELS_EXCEEDED
    t[i, B_STATE] = BOOK_SYNCED
    t[i, B_PENDING] = 0
    t[i, B_PENDING_DIFFS] = 0
    t[i, B_PENDING_ID] = 0
    return BOOK_JOINED


@compiled
def lose_value(t: Rows, i: int) -> int:
    """A depth message could not be read: the book misses it, so it is no book any more."""
    if t[i, B_STATE] == BOOK_SYNCED:
        t[i, B_GAPS] += 1
    empty_book(t, i, BOOK_NONE)  # the next diff asks for a snapshot
    return BAD_VALUE_SEEN
