"""Gaps in the ids of trades and diffs. Compiled; independent of the state of a book."""

from engine.market import rows as r
from engine.market.fold.books import reaches
from engine.market.jit import compiled
from engine.market.layout import (
    B_ID,
    B_SEQ,
    B_STATE,
    B_TIME_NS,
    B_VENUE_NS,
    BOOK_SYNCED,
    D_ID,
    D_SEQ,
    D_TIME_NS,
    G_FIRST_ID,
    G_LAST_ID,
    G_LAST_NS,
    G_LAST_SEQ,
    G_STREAM,
    MISSED,
    RESTART_NS,
    RESTART_UNSTAMPED_NS,
)
from engine.market.rows import Rows


@compiled
def note_gap(row: Rows, t: Rows, last_id: int, last_seq: int, last_ns: int, first_id: int) -> int:
    """Record the last id before a gap and the first one after it; return the flag raised."""
    i = row[r.INSTRUMENT]
    t[i, G_STREAM] = row[r.TYPE]
    t[i, G_LAST_ID] = last_id
    t[i, G_LAST_SEQ] = last_seq
    t[i, G_LAST_NS] = last_ns
    t[i, G_FIRST_ID] = first_id
    return MISSED


@compiled
def has_restarted(venue_ns: int, held_venue_ns: int, time_ns: int, held_ns: int) -> bool:
    """Return True if a message with a lower id is so much later than the last one that it is no old message.

    Args:
        venue_ns: The message's time in the venue's clock; 0 if unknown.
        held_venue_ns: As `venue_ns`, of the last message.
        time_ns: When the message came.
        held_ns: When the last message came.

    """
    if venue_ns > 0 and held_venue_ns > 0:
        return bool(venue_ns - held_venue_ns > RESTART_NS)
    return bool(time_ns - held_ns > RESTART_UNSTAMPED_NS)


@compiled
def diff_ids_restarted(row: Rows, t: Rows) -> bool:
    """Return True if a diff's lower ids are no old message's: the venue began its numbering again.

    Without that a synchronised book would ignore every later diff and keep its last prices.
    """
    i = row[r.INSTRUMENT]
    if t[i, B_STATE] != BOOK_SYNCED or row[r.DIFF_LAST_ID] >= t[i, B_ID]:
        return False
    return has_restarted(row[r.VENUE_NS], t[i, B_VENUE_NS], row[r.TIME_NS], t[i, B_TIME_NS])


@compiled
def check_diff_ids(row: Rows, t: Rows, restarted: int) -> int:
    """Compare a diff's ids with the depth stream; return the flag raised."""
    i = row[r.INSTRUMENT]
    flags = 0
    if restarted:
        flags = note_gap(row, t, t[i, B_ID], t[i, B_SEQ], t[i, B_TIME_NS], row[r.DIFF_FIRST_ID])
    elif t[i, D_ID] > 0 and not reaches(row[r.DIFF_FIRST_ID], row[r.DIFF_PREVIOUS_ID], t[i, D_ID]):
        flags = note_gap(row, t, t[i, D_ID], t[i, D_SEQ], t[i, D_TIME_NS], row[r.DIFF_FIRST_ID])
    t[i, D_ID] = row[r.DIFF_LAST_ID]
    t[i, D_SEQ] = row[r.SEQ]
    t[i, D_TIME_NS] = row[r.TIME_NS]
    return flags
