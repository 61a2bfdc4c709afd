"""A book's life: snapshot join, gaps, loss. Compiled; knows of no quote, trade or strategy, and nothing of where levels lie (window.py)."""

from engine.market import rows as r
from engine.market.fold.dense_book import (
    N_FAR,
    forget_window,
    room_of,
    set_far,
    set_outside,
    set_slot,
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
def empty_book(t: Rows, sides: Rows, i: int, state: int) -> None:
    """Forget the levels and the diffs kept."""
    t[i, B_STATE] = state
    for side in range(2):
        t[i, B_BIDS + side] = 0
        forget_window(sides[2 * i + side])
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
def begin_diff(  # noqa: PLR0917 - compiled code takes arguments by place
    t: Rows, sides: Rows, pending: Rows, i: int, first_id: int, last_id: int, levels: int, previous_id: int
) -> tuple[int, int]:
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
        empty_book(t, sides, i, BOOK_BROKEN)
        wake = BOOK_NEEDS_SNAPSHOT
    elif t[i, B_STATE] == BOOK_NONE:
        t[i, B_STATE] = BOOK_BUFFERING
        wake = BOOK_NEEDS_SNAPSHOT
    used = t[i, B_PENDING]
    if used > 0 and last_id <= t[i, B_PENDING_ID]:
        t[i, B_DROPPED] += 1
        return IGNORE, wake
    if used > 0 and not follows(
        first_id, previous_id, t[i, B_PENDING_ID]
    ):  # a snapshot cannot bridge it: only what follows is of use
        t[i, B_GAPS] += 1
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS]
        t[i, B_PENDING_DIFFS] = 0
        used = 0
    if used + 1 + levels > PENDING_ROWS_MAX:
        t[i, B_DROPPED] += t[i, B_PENDING_DIFFS] + 1
        empty_book(t, sides, i, BOOK_NONE)  # the next diff asks for a snapshot again
        return IGNORE, wake
    pending[i, used, 0] = (
        previous_id + 1 if previous_id > 0 else first_id
    )  # where it goes on from: the join asks no more
    pending[i, used, 1] = last_id
    pending[i, used, 2] = levels
    t[i, B_PENDING] = used + 1
    t[i, B_PENDING_DIFFS] += 1
    t[i, B_PENDING_ID] = last_id
    return KEEP, wake


@compiled
def begin_snapshot(t: Rows, sides: Rows, pending: Rows, i: int, snapshot_id: int) -> tuple[int, int]:
    """Take a snapshot unless it is older than what we hold; the mode for its levels and the flags raised."""
    if t[i, B_STATE] == BOOK_SYNCED and snapshot_id < t[i, B_ID]:
        t[i, B_SNAPSHOTS_REFUSED] += 1
        return IGNORE, 0
    if t[i, B_PENDING] > 0 and pending[i, 0, 0] > snapshot_id + 1:
        t[i, B_SNAPSHOTS_REFUSED] += 1
        return IGNORE, BOOK_NEEDS_SNAPSHOT
    for side in range(2):
        t[i, B_BIDS + side] = 0
        forget_window(sides[2 * i + side])
    t[i, B_SNAPSHOT_ID] = snapshot_id
    return LOAD, 0


@compiled
def apply_levels(rows: Rows, start: int, end: int, t: Rows, sides: Rows, levels_max: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """Levels of a diff to be applied, none of them its last: the first row not taken, for which something special must be looked at.

    Nine rows in ten are such levels. What handles rows of all kinds does the same with them, and costs three times as much.
    """
    most = min(levels_max, room_of(sides))
    for k in range(start, end):
        i = rows[k, r.INSTRUMENT]
        side = rows[k, r.A]
        count = t[i, B_BIDS + side]
        if rows[k, r.TYPE] != r.LEVEL or rows[k, r.LAST] != 0 or count >= most:
            return k
        key = rows[k, r.B] if side == 0 else -rows[k, r.B]
        row = sides[2 * i + side]
        slot = slot_of(row, key)
        if slot < 0:
            t[i, B_BIDS + side] += set_outside(row, count, key, rows[k, r.C])
        else:
            t[i, B_BIDS + side] += set_slot(row, slot, rows[k, r.C])
    return end


@compiled
def finish_snapshot(t: Rows, sides: Rows, pending: Rows, i: int, levels_max: int) -> int:
    """All levels are here, and no window: sort, then apply the diffs kept that are younger; the flags raised."""
    for side in range(2):
        t[i, B_BIDS + side] = sort_side(sides[2 * i + side], t[i, B_BIDS + side])
    t[i, B_VOUCHED_LOW] = sides[2 * i, N_FAR] if t[i, B_BIDS] > 0 else 0
    t[i, B_VOUCHED_HIGH] = -sides[2 * i + 1, N_FAR] if t[i, B_ASKS] > 0 else 0
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
                t[i, B_BIDS + side] = set_far(sides[2 * i + side], t[i, B_BIDS + side], key, pending[i, k, 2])
        at += 1 + levels
    if t[i, B_BIDS] > levels_max or t[i, B_ASKS] > levels_max:
        empty_book(t, sides, i, BOOK_BROKEN)
        return LEVELS_EXCEEDED
    t[i, B_STATE] = BOOK_SYNCED
    t[i, B_PENDING] = 0
    t[i, B_PENDING_DIFFS] = 0
    t[i, B_PENDING_ID] = 0
    return BOOK_JOINED


@compiled
def lose_value(t: Rows, sides: Rows, i: int) -> int:
    """A depth message could not be read: the book misses it, so it is no book any more."""
    if t[i, B_STATE] == BOOK_SYNCED:
        t[i, B_GAPS] += 1
    empty_book(t, sides, i, BOOK_NONE)  # the next diff asks for a snapshot
    return BAD_VALUE_SEEN
