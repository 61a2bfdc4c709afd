"""DIFF, SNAPSHOT, LEVEL, ORDER and NUMBERED rows on their way into a book, and the check of a book after a record.

Compiled; knows no quote or trade.
"""

from engine.market import rows as r
from engine.market.fold.books import begin_diff, begin_snapshot, empty_book, finish_snapshot
from engine.market.fold.dense_book import (
    add_level,
    needs_window,
    room_of,
    set_outside,
    set_slot,
    size_after,
    size_at,
    slot_of,
    top_of,
)
from engine.market.fold.id_gaps import check_diff_ids, diff_ids_restarted, note_gap
from engine.market.fold.trigger_flags import note_inputs_changed
from engine.market.jit import compiled
from engine.market.layout import (
    APPLY,
    B_ASKS,
    B_BIDS,
    B_GAPS,
    B_ID,
    B_PENDING,
    B_PENDING_ID,
    B_SEQ,
    B_STATE,
    B_TIME_NS,
    B_TOP_ASK,
    B_TOP_ASK_SIZE,
    B_TOP_BID,
    B_TOP_BID_SIZE,
    B_TOP_LIVE,
    B_TOUCHED,
    B_VENUE_NS,
    BOOK_BROKEN,
    BOOK_CROSSED,
    BOOK_NEEDS_SNAPSHOT,
    BOOK_SYNCED,
    D_ID,
    D_SEQ,
    D_TIME_NS,
    GROW,
    IGNORE,
    KEEP,
    LEVELS_EXCEEDED,
    LOAD,
    S_CHANGED,
    S_LEVELS_MAX,
    S_MODE,
    S_REMAINING,
    S_TOUCHED,
    X_SEEN_BOOK_NS,
    X_TRIGGERS,
)
from engine.market.rows import Rows


@compiled
def fold_book(row: Rows, s: Rows, t: Rows, sides: Rows, pending: Rows) -> int:
    """Apply a row of a book; return the flags raised, GROW before anything is changed."""
    i = row[r.INSTRUMENT]
    kind = row[r.TYPE]
    if kind == r.NUMBERED:
        return fold_number(row, s, t, sides)
    is_level = kind in (r.LEVEL, r.ORDER)
    if is_level:
        ends = s[S_REMAINING] == 1
    else:
        ends = row[r.DIFF_LEVELS] == 0
        if kind == r.DIFF and t[i, B_PENDING] + 1 + row[r.DIFF_LEVELS] > pending.shape[1]:
            return GROW
        if needs_window(sides[2 * i]) or needs_window(sides[2 * i + 1]):
            return GROW
    # the end of a snapshot applies all diffs kept at once: room for them first
    if ends and (kind == r.SNAPSHOT or (is_level and s[S_MODE] == LOAD)):
        most = max(t[i, B_BIDS], t[i, B_ASKS])
        if most + t[i, B_PENDING] + 2 > room_of(sides):
            return GROW
    flags = 0
    if is_level:
        if s[S_REMAINING] == 0:
            return 0  # more levels than the header announced: the fold must not trust them
        flags = fold_level(row, s, t, sides, pending)
        if flags == GROW:
            return GROW
        s[S_REMAINING] -= 1
    else:
        if kind == r.DIFF:
            restarted = diff_ids_restarted(row, t)
            mode, flags = begin_diff(
                t,
                sides,
                pending,
                i,
                row[r.DIFF_FIRST_ID],
                row[r.DIFF_LAST_ID],
                row[r.DIFF_LEVELS],
                row[r.DIFF_PREVIOUS_ID],
                restarted,
            )
            flags |= check_diff_ids(row, t, restarted)
        else:
            mode, flags = begin_snapshot(t, sides, pending, i, row[r.SNAPSHOT_ID])
        s[S_MODE] = mode
        s[S_REMAINING] = row[r.DIFF_LEVELS]
        t[i, X_SEEN_BOOK_NS] = row[r.TIME_NS]
        note_touched(s, t, i)
    if s[S_MODE] == LOAD and ends:
        flags |= finish_snapshot(t, sides, pending, i, s[S_LEVELS_MAX], row[r.SNAPSHOT_EDGE])
    if ends:
        if s[S_MODE] == LOAD or s[S_MODE] == APPLY:
            t[i, B_SEQ] = row[r.SEQ]
            t[i, B_TIME_NS] = row[r.TIME_NS]
            t[i, B_VENUE_NS] = row[r.VENUE_NS]
        s[S_MODE] = IGNORE
    return flags


@compiled
def fold_number(row: Rows, s: Rows, t: Rows, sides: Rows) -> int:
    """Continue a book with the number of a frame of its link; break it if numbers are missing. Return the flags."""
    i = row[r.INSTRUMENT]
    number = row[r.NUMBERED_ID]
    flags = 0
    if t[i, B_STATE] == BOOK_SYNCED:
        if number <= t[i, B_ID]:
            return 0
        if number > t[i, B_ID] + 1:
            t[i, B_GAPS] += 1
            flags = note_gap(row, t, t[i, D_ID], t[i, D_SEQ], t[i, D_TIME_NS], number) | BOOK_NEEDS_SNAPSHOT
            empty_book(t, sides, i, BOOK_BROKEN)
            note_touched(s, t, i)
        else:  # it proves that no frame is lost, but not that the venue still sends this book: its age stays
            t[i, B_ID] = number
    elif t[i, B_PENDING] > 0 and number == t[i, B_PENDING_ID] + 1:
        t[i, B_PENDING_ID] = number  # the diffs that are kept have no gap here
    t[i, D_ID] = number
    t[i, D_SEQ] = row[r.SEQ]
    t[i, D_TIME_NS] = row[r.TIME_NS]
    return flags


@compiled
def fold_level(row: Rows, s: Rows, t: Rows, sides: Rows, pending: Rows) -> int:
    """Apply, keep or load one level by its message's mode; return the flags raised, GROW before anything is changed."""
    i = row[r.INSTRUMENT]
    mode = s[S_MODE]
    side = row[r.LEVEL_SIDE]
    size = row[r.LEVEL_SIZE]
    if mode == KEEP:
        used = t[i, B_PENDING]
        pending[i, used, 0] = side + 2 * (row[r.ORDER_ACTION] + 1 if row[r.TYPE] == r.ORDER else 0)
        pending[i, used, 1] = row[r.LEVEL_PRICE]
        pending[i, used, 2] = size
        t[i, B_PENDING] = used + 1
    elif mode != IGNORE and (size > 0 or mode == APPLY):
        count = t[i, B_BIDS + side]
        if count >= room_of(sides) and size > 0:
            return GROW
        key = row[r.LEVEL_PRICE] if side == 0 else -row[r.LEVEL_PRICE]
        if row[r.TYPE] == r.ORDER:
            size = size_after(size_at(sides[2 * i + side], count, key), size, row[r.ORDER_ACTION], r.VALUE_MAX)
        if mode == LOAD:
            add_level(sides[2 * i + side], count, key, size)
            count += 1
        else:
            levels = sides[2 * i + side]
            slot = slot_of(levels, key)
            count += set_outside(levels, count, key, size) if slot < 0 else set_slot(levels, slot, size)
        t[i, B_BIDS + side] = count
        if count > s[S_LEVELS_MAX]:
            empty_book(t, sides, i, BOOK_BROKEN)
            s[S_MODE] = IGNORE
            return LEVELS_EXCEEDED
    return 0


@compiled
def note_touched(s: Rows, t: Rows, i: int) -> None:
    """Mark a book that the current record changed: finish_record checks it."""
    if t[i, B_TOUCHED] == 0:
        t[i, B_TOUCHED] = 1
        s[S_TOUCHED] += 1


@compiled
def update_top(t: Rows, i: int, bid: int, bid_size: int, ask: int, ask_size: int) -> bool:
    """Store the top of a synced book; return True if it differs from the last one."""
    same = (
        t[i, B_TOP_LIVE] == 1
        and t[i, B_TOP_BID] == bid
        and t[i, B_TOP_BID_SIZE] == bid_size
        and t[i, B_TOP_ASK] == ask
        and t[i, B_TOP_ASK_SIZE] == ask_size
    )
    t[i, B_TOP_LIVE] = 1
    t[i, B_TOP_BID] = bid
    t[i, B_TOP_BID_SIZE] = bid_size
    t[i, B_TOP_ASK] = ask
    t[i, B_TOP_ASK_SIZE] = ask_size
    return not same


@compiled
def finish_book(s: Rows, t: Rows, sides: Rows, i: int) -> int:
    """Check a touched book after a whole record: crossed, or with another top. Return the flags raised."""
    t[i, B_TOUCHED] = 0
    flags = 0
    if t[i, B_STATE] == BOOK_SYNCED:
        bid, bid_size = top_of(sides[2 * i], t[i, B_BIDS])
        ask, ask_size = top_of(sides[2 * i + 1], t[i, B_ASKS])
        if t[i, B_BIDS] > 0 and t[i, B_ASKS] > 0 and bid >= -ask:
            empty_book(t, sides, i, BOOK_BROKEN)
            flags = BOOK_CROSSED | BOOK_NEEDS_SNAPSHOT
        elif update_top(t, i, bid, bid_size, -ask, ask_size):
            note_inputs_changed(s, i)
            s[S_CHANGED] |= t[i, X_TRIGGERS]
    if t[i, B_STATE] != BOOK_SYNCED:
        t[i, B_TOP_LIVE] = 0
        t[i, B_TOP_BID] = 0
        t[i, B_TOP_BID_SIZE] = 0
        t[i, B_TOP_ASK] = 0
        t[i, B_TOP_ASK_SIZE] = 0
    return flags
