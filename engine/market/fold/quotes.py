"""Quotes and marks of the fold. Compiled; knows no book."""

from engine.market import rows as r
from engine.market.fold.trigger_flags import note_inputs_changed
from engine.market.jit import compiled
from engine.market.layout import (
    M_COUNT,
    M_INDEX,
    M_NEXT_NS,
    M_PRICE,
    M_RATE,
    M_SEQ,
    M_SETTLE,
    M_TIME_NS,
    M_VENUE_NS,
    Q_ASK,
    Q_ASK_SIZE,
    Q_BID,
    Q_BID_SIZE,
    Q_COUNT,
    Q_ID,
    Q_LIVE,
    Q_SEQ,
    Q_STALE,
    Q_TIME_NS,
    RESTART_NS,
    S_CHANGED,
    X_SEEN_QUOTE_NS,
    X_TRIGGERS,
)
from engine.market.rows import Rows


@compiled
def fold_quote(row: Rows, s: Rows, t: Rows) -> bool:
    """Apply a quote unless it is older than the last; return True if the quote changed.

    Messages of a link keep their order, so an id that is lower a second later belongs to numbering that restarted.
    """
    i = row[r.INSTRUMENT]
    live = t[i, Q_LIVE]
    if live and row[r.QUOTE_ID] < t[i, Q_ID] and row[r.TIME_NS] - t[i, Q_TIME_NS] <= RESTART_NS:
        t[i, Q_STALE] += 1
        return False
    same = (
        live
        and t[i, Q_BID] == row[r.QUOTE_BID]
        and t[i, Q_BID_SIZE] == row[r.QUOTE_BID_SIZE]
        and t[i, Q_ASK] == row[r.QUOTE_ASK]
        and t[i, Q_ASK_SIZE] == row[r.QUOTE_ASK_SIZE]
    )
    t[i, Q_LIVE] = 1
    t[i, Q_BID] = row[r.QUOTE_BID]
    t[i, Q_BID_SIZE] = row[r.QUOTE_BID_SIZE]
    t[i, Q_ASK] = row[r.QUOTE_ASK]
    t[i, Q_ASK_SIZE] = row[r.QUOTE_ASK_SIZE]
    t[i, Q_ID] = row[r.QUOTE_ID]
    t[i, Q_SEQ] = row[r.SEQ]
    t[i, Q_TIME_NS] = row[r.TIME_NS]
    t[i, Q_COUNT] += 1
    t[i, X_SEEN_QUOTE_NS] = row[r.TIME_NS]
    if same:
        return False
    note_inputs_changed(s, i)
    s[S_CHANGED] |= t[i, X_TRIGGERS]
    return True


@compiled
def fold_mark(row: Rows, t: Rows) -> None:
    """Apply the venue's figures of a contract. They fire no trigger."""
    i = row[r.INSTRUMENT]
    t[i, M_PRICE] = row[r.MARK_PRICE]
    t[i, M_INDEX] = row[r.MARK_INDEX]
    t[i, M_SETTLE] = row[r.MARK_SETTLE]
    t[i, M_RATE] = row[r.MARK_RATE]
    t[i, M_NEXT_NS] = row[r.MARK_NEXT_NS]
    t[i, M_SEQ] = row[r.SEQ]
    t[i, M_TIME_NS] = row[r.TIME_NS]
    t[i, M_VENUE_NS] = row[r.VENUE_NS]
    t[i, M_COUNT] += 1
