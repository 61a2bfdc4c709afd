"""Life cycle of a book: snapshot join, gaps, loss.

Compiled; knows no quote, trade or strategy; dense_book.py stores the levels.
"""

from engine.market import rows as r
from engine.market.fold.dense_book import (
    N_FAR,
    forget_window,
    room_of,
    set_far,
    set_outside,
    set_slot,
    size_after,
    size_at,
    slot_of,
    sort_side,
)
from engine.market.jit import compiled
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
    B_SNAPSHOT_HIGH,
    B_SNAPSHOT_ID,
    B_SNAPSHOT_LOW,
    B_SNAPSHOTS_REFUSED,
    B_STATE,
    BOOK_BROKEN,
    BOOK_BUFFERING,
    BOOK_JOINED,
    BOOK_NEEDS_SNAPSHOT,
    BOOK_NONE,
    BOOK_SYNCED,
    D_ID,
    IGNORE,
    KEEP,
    LEVELS_EXCEEDED,
    LOAD,
    PENDING_ROWS_MAX,
)
from engine.market.rows import Rows


@compiled
def empty_book(t: Rows, sides: Rows, i: int, state: int) -> None:
    """Clear the levels and the diffs kept."""
    t[i, B_STATE] = state
    for side in range(2):
        t[i, B_BIDS + side] = 0
        forget_window(sides[2 * i + side])
    t[i, B_SNAPSHOT_LOW] = 0
    t[i, B_SNAPSHOT_HIGH] = 0
    t[i, B_PENDING] = 0
    t[i, B_PENDING_DIFFS] = 0
    t[i, B_PENDING_ID] = 0


@compiled
def reaches(first_id: int, previous_id: int, held_id: int) -> bool:
    """Return True if no update is missing between held_id and a diff that begins at first_id.

    A venue whose ids have holes (futures) sends the id before a diff; for the others previous_id is 0.
    """
    return first_id <= held_id + 1 if previous_id == 0 else previous_id <= held_id


@compiled
def follows(first_id: int, previous_id: int, held_id: int) -> bool:
    """Return True if a diff directly continues the one that ended at held_id."""
    return first_id <= held_id + 1 if previous_id == 0 else previous_id == held_id


@compiled
def is_old(last_id: int, held_id: int, snapshot_id: int, edge: int) -> bool:
    """Return True if a book at held_id contains all of a diff.

    The futures' rule drops less than Spot's: a diff that ends at the id of a snapshot changes it (`edge`).
    """
    return last_id < held_id or (last_id == held_id and not (edge and held_id == snapshot_id))


@compiled
def begin_diff(
    t: Rows,
    sides: Rows,
    pending: Rows,
    i: int,
    first_id: int,
    last_id: int,
    levels: int,
    previous_id: int,
    restarted: int,
) -> tuple[int, int]:
    """Apply, keep or ignore a diff by its header; return the mode for its levels and the flags raised."""
    flags = 0
    if t[i, B_STATE] == BOOK_SYNCED:
        if not restarted and is_old(last_id, t[i, B_ID], t[i, B_SNAPSHOT_ID], previous_id > 0):
            t[i, B_DROPPED] += 1
            return IGNORE, 0
        on_snapshot = t[i, B_ID] == t[i, B_SNAPSHOT_ID]  # its id may be inside the first diff's range
        if not restarted and (
            follows(first_id, previous_id, t[i, B_ID]) or (on_snapshot and reaches(first_id, previous_id, t[i, B_ID]))
        ):
            t[i, B_ID] = last_id
            t[i, B_APPLIED] += 1
            return APPLY, 0
        t[i, B_GAPS] += 1
        empty_book(t, sides, i, BOOK_BROKEN)
        flags = BOOK_NEEDS_SNAPSHOT
    elif t[i, B_STATE] == BOOK_NONE:
        t[i, B_STATE] = BOOK_BUFFERING
        flags = BOOK_NEEDS_SNAPSHOT
    used = t[i, B_PENDING]
    if used > 0 and last_id <= t[i, B_PENDING_ID]:
        t[i, B_DROPPED] += 1
        return IGNORE, flags
    if used > 0 and not follows(
        first_id, previous_id, t[i, B_PENDING_ID]
    ):  # no snapshot bridges a gap in the kept diffs
        t[i, B_GAPS] += 1
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS]
        t[i, B_PENDING_DIFFS] = 0
        used = 0
    if used + 1 + levels > PENDING_ROWS_MAX:
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS] + 1
        empty_book(t, sides, i, BOOK_NONE)  # the next diff requests a snapshot again
        return IGNORE, flags
    pending[i, used, 0] = (
        previous_id + 1 if previous_id > 0 else first_id
    )  # the join needs only the first id it continues
    pending[i, used, 1] = last_id
    pending[i, used, 2] = levels
    t[i, B_PENDING] = used + 1
    t[i, B_PENDING_DIFFS] += 1
    t[i, B_PENDING_ID] = last_id
    return KEEP, flags


@compiled
def begin_snapshot(t: Rows, sides: Rows, pending: Rows, i: int, snapshot_id: int) -> tuple[int, int]:
    """Accept a snapshot unless it is older than the book; return the mode for its levels and the flags raised."""
    if t[i, B_STATE] == BOOK_SYNCED and snapshot_id < t[i, B_ID]:
        t[i, B_SNAPSHOTS_REFUSED] += 1
        return IGNORE, 0
    if t[i, B_PENDING] > 0 and pending[i, 0, 0] > snapshot_id + 1:
        if t[i, D_ID] >= pending[i, 0, 0]:
            t[i, B_SNAPSHOTS_REFUSED] += 1
            return IGNORE, BOOK_NEEDS_SNAPSHOT
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS]  # the stream itself is below them: its numbering restarted
        t[i, B_PENDING] = 0
        t[i, B_PENDING_DIFFS] = 0
        t[i, B_PENDING_ID] = 0
    for side in range(2):
        t[i, B_BIDS + side] = 0
        forget_window(sides[2 * i + side])
    t[i, B_SNAPSHOT_ID] = snapshot_id
    return LOAD, 0


@compiled
def apply_levels(rows: Rows, start: int, end: int, t: Rows, sides: Rows, levels_max: int) -> int:
    """Apply levels of a diff up to the first row that needs the general path; return that row.

    Nine rows in ten are such levels, and the general path costs three times as much for each.
    """
    most = min(levels_max, room_of(sides))
    for k in range(start, end):
        i = rows[k, r.INSTRUMENT]
        side = rows[k, r.LEVEL_SIDE]
        count = t[i, B_BIDS + side]
        if rows[k, r.TYPE] != r.LEVEL or rows[k, r.LAST] != 0 or count >= most:
            return k
        key = rows[k, r.LEVEL_PRICE] if side == 0 else -rows[k, r.LEVEL_PRICE]
        row = sides[2 * i + side]
        slot = slot_of(row, key)
        if slot < 0:
            t[i, B_BIDS + side] += set_outside(row, count, key, rows[k, r.LEVEL_SIZE])
        else:
            t[i, B_BIDS + side] += set_slot(row, slot, rows[k, r.LEVEL_SIZE])
    return end


@compiled
def finish_snapshot(t: Rows, sides: Rows, pending: Rows, i: int, levels_max: int, edge: int) -> int:
    """Sort the loaded levels and apply the younger diffs kept; return the flags raised."""
    for side in range(2):
        t[i, B_BIDS + side] = sort_side(sides[2 * i + side], t[i, B_BIDS + side])
    t[i, B_SNAPSHOT_LOW] = sides[2 * i, N_FAR] if t[i, B_BIDS] > 0 else 0
    t[i, B_SNAPSHOT_HIGH] = -sides[2 * i + 1, N_FAR] if t[i, B_ASKS] > 0 else 0
    t[i, B_ID] = t[i, B_SNAPSHOT_ID]
    head = 0
    while head < t[i, B_PENDING]:
        levels = pending[i, head, 2]
        if is_old(pending[i, head, 1], t[i, B_ID], t[i, B_SNAPSHOT_ID], edge):
            t[i, B_DROPPED] += 1
        else:
            t[i, B_ID] = pending[i, head, 1]
            t[i, B_APPLIED] += 1
            for k in range(head + 1, head + 1 + levels):
                side = pending[i, k, 0] & 1
                key = pending[i, k, 1] if side == 0 else -pending[i, k, 1]
                size = pending[i, k, 2]
                if pending[i, k, 0] > 1:
                    before = size_at(sides[2 * i + side], t[i, B_BIDS + side], key)
                    size = size_after(before, size, (pending[i, k, 0] >> 1) - 1, r.VALUE_MAX)
                t[i, B_BIDS + side] = set_far(sides[2 * i + side], t[i, B_BIDS + side], key, size)
        head += 1 + levels
    if t[i, B_BIDS] > levels_max or t[i, B_ASKS] > levels_max:
        empty_book(t, sides, i, BOOK_BROKEN)
        return LEVELS_EXCEEDED
    t[i, B_STATE] = BOOK_SYNCED
    t[i, B_PENDING] = 0
    t[i, B_PENDING_DIFFS] = 0
    t[i, B_PENDING_ID] = 0
    return BOOK_JOINED


@compiled
def drop_unreadable(t: Rows, sides: Rows, i: int) -> None:
    """Drop a book that misses a depth message because it could not be read."""
    if t[i, B_STATE] == BOOK_SYNCED:
        t[i, B_GAPS] += 1
    empty_book(t, sides, i, BOOK_NONE)  # the next diff requests a snapshot
