"""The loop of the fold: rows in, market state changed in place, flags out.

Compiled; explicit loops over scalars, no reductions. The loop stops after a record that raised a flag, before a row for
which an array is too small (Market.fold grows it and calls again), and, with `until_ns`, before the first record whose
time has something due. All flags of a record collect in `s` until its last row: the place where a batch of rows is cut
never changes a result.
"""

from engine.market import rows as r
from engine.market.fold.bar_rows import end_bar, merge_bar
from engine.market.fold.bars import close_until
from engine.market.fold.book_checks import check_book
from engine.market.fold.book_rows import finish_book, fold_book, note_touched
from engine.market.fold.books import apply_levels, drop_unreadable
from engine.market.fold.indicator_inputs import update_with_row
from engine.market.fold.quotes import fold_mark, fold_quote
from engine.market.fold.trades import fold_trade
from engine.market.fold.trigger_flags import (
    check_conditions,
    evaluate_predicates,
    fire_changed,
    note_stream,
    raise_flags,
)
from engine.market.jit import compiled, compiled_apart
from engine.market.layout import (
    APPLY,
    B_ASKS,
    B_BIDS,
    B_STATE,
    B_TOP_ASK,
    B_TOP_ASK_SIZE,
    B_TOP_BID,
    B_TOP_BID_SIZE,
    B_TOP_LIVE,
    B_TOUCHED,
    BAD_VALUE_SEEN,
    BAR_FIELDS,
    BARS_KEPT,
    BOOK_MOVED,
    BOOK_QUOTES,
    BOOK_SYNCED,
    C_FIELDS,
    CLOSED_NUMBERS,
    DUE,
    GROW,
    I_INTEGERS,
    IGNORE,
    L_BEFORE_NS,
    L_SINCE_NS,
    LEVEL_ASK_WEIGHT,
    LEVEL_BID_WEIGHT,
    LEVEL_HIGH,
    LEVEL_LOW,
    LEVEL_MARK_HIGH,
    LEVEL_MARK_LOW,
    LOSS_LEVEL,
    NEVER,
    Q_ID,
    Q_LIVE,
    S_BARS,
    S_CHANGED,
    S_CONDITIONS,
    S_FIELDS,
    S_FIRED,
    S_FLAGS,
    S_IN_RECORD,
    S_INDICATORS,
    S_INPUTS_CHANGED,
    S_INSTRUMENTS,
    S_LEVELS_MAX,
    S_MESSAGES,
    S_MODE,
    S_NEXT_DUE,
    S_PREDICATE_FIELDS,
    S_PREDICATES,
    S_REMAINING,
    S_RETURNED,
    S_SEQ,
    S_TIME_NS,
    S_TOUCHED,
    S_TRIGGERS,
    T_FIELDS,
    T_SEQ,
    TRADED,
    W_FIELDS,
    X_FLAGS,
)
from engine.market.rows import Floats, Rows


@compiled
def fold_bad_value(row: Rows, s: Rows, t: Rows, sides: Rows) -> int:
    """Drop the quote or the book that an unreadable message has made stale; return the flag raised."""
    i = row[r.INSTRUMENT]
    if row[r.BAD_VALUE_TYPE] == r.QUOTE:
        t[i, Q_LIVE] = 0
    elif row[r.BAD_VALUE_TYPE] == r.TRADE:
        t[i, L_SINCE_NS] = row[r.TIME_NS] + 1
        t[i, L_BEFORE_NS] = NEVER
    elif row[r.BAD_VALUE_TYPE] == r.DIFF:
        drop_unreadable(t, sides, i)
        note_touched(s, t, i)
    return BAD_VALUE_SEEN


@compiled
def apply_quote(
    row: Rows, s: Rows, t: Rows, indicators: Rows, values: Floats, conditions: Rows, loss_levels: Rows
) -> None:
    """Apply a quote: the last one, levels of loss, indicators and conditions that follow quotes."""
    if fold_quote(row, s, t) and row[r.QUOTE_BID] != 0 and row[r.QUOTE_ASK] != 0:  # one side alone has no mid
        level = loss_levels[row[r.INSTRUMENT]]
        total = level[LEVEL_BID_WEIGHT] * row[r.QUOTE_BID] + level[LEVEL_ASK_WEIGHT] * row[r.QUOTE_ASK]
        if total <= level[LEVEL_LOW] or total >= level[LEVEL_HIGH]:
            s[S_FLAGS] |= LOSS_LEVEL
        update_with_row(row, s, indicators, values)
        if s[S_CONDITIONS] > 0:
            check_conditions(row, s, indicators, values, conditions)


@compiled_apart
def apply_book_quote(
    row: Rows,
    i: int,
    s: Rows,
    t: Rows,
    pending: Rows,
    indicators: Rows,
    values: Floats,
    conditions: Rows,
    loss_levels: Rows,
) -> None:
    """Apply the best levels of a book as a quote of the record that changed it. Its row is made in unused room."""
    quote = pending[i].reshape((pending.shape[1] * pending.shape[2],))  # a synchronised book keeps no diffs
    quote[r.TYPE] = r.QUOTE
    quote[r.INSTRUMENT] = i
    quote[r.SEQ] = row[r.SEQ]
    quote[r.TIME_NS] = row[r.TIME_NS]
    quote[r.VENUE_NS] = row[r.VENUE_NS]
    quote[r.QUOTE_BID] = t[i, B_TOP_BID]
    quote[r.QUOTE_BID_SIZE] = t[i, B_TOP_BID_SIZE]
    quote[r.QUOTE_ASK] = t[i, B_TOP_ASK]
    quote[r.QUOTE_ASK_SIZE] = t[i, B_TOP_ASK_SIZE]
    quote[r.QUOTE_ID] = BOOK_QUOTES
    apply_quote(quote, s, t, indicators, values, conditions, loss_levels)


@compiled
def finish_record(
    row: Rows,
    s: Rows,
    t: Rows,
    sides: Rows,
    pending: Rows,
    triggers: Rows,
    indicators: Rows,
    values: Floats,
    conditions: Rows,
    loss_levels: Rows,
) -> None:
    """Check the books that a whole record touched, and fire the triggers that saw a change."""
    if s[S_TOUCHED] > 0:
        first = row[r.INSTRUMENT] if s[S_TOUCHED] == 1 and t[row[r.INSTRUMENT], B_TOUCHED] else 0
        for i in range(first, t.shape[0]):
            if t[i, B_TOUCHED]:
                raise_flags(s, t, i, finish_book(s, t, sides, i))
                if s[S_CONDITIONS] > 0 and t[i, B_STATE] == BOOK_SYNCED:
                    note_stream(i, BOOK_MOVED, s, conditions)
                if t[i, Q_ID] == BOOK_QUOTES and t[i, B_TOP_LIVE] and t[i, B_BIDS] > 0 and t[i, B_ASKS] > 0:
                    apply_book_quote(row, i, s, t, pending, indicators, values, conditions, loss_levels)
                s[S_TOUCHED] -= 1
            if s[S_TOUCHED] == 0:
                break
    if s[S_CHANGED] != 0:
        fire_changed(s, triggers, row[r.TIME_NS])
    s[S_MODE] = IGNORE
    s[S_REMAINING] = 0
    s[S_MESSAGES] += 1
    s[S_SEQ] = row[r.SEQ]
    s[S_TIME_NS] = row[r.TIME_NS]


@compiled
def fold_rows(
    rows: Rows,
    start: int,
    until_ns: int,
    numbers: Rows,
    values: Floats,
    sides: Rows,
    pending: Rows,
    inputs: Floats,
    loss_levels: Rows,
) -> tuple[int, int, int, int]:
    """Fold rows from `start` until a record raises a flag.

    Args:
        rows: the table; only whole rows, a record may be cut.
        start: the first row to fold.
        until_ns: stop before a record at or past this time or the market's next due time; negative: stop for neither.
        numbers: all integers of the market except the levels, as layout.py orders them.
        values: the floats of the indicators.
        sides: the levels, one row for each side of each book.
        pending: the diffs kept for a snapshot, by instrument.
        inputs: the floats of the predicates.
        loss_levels: prices of each instrument at which the fold stops with LOSS_LEVEL, as layout.py orders them.

    Returns:
        (next row, flags, bits of the fired triggers, next due time).

    """
    s = numbers[:S_FIELDS]
    end = S_FIELDS + s[S_INSTRUMENTS] * T_FIELDS
    t = numbers[S_FIELDS:end].reshape((s[S_INSTRUMENTS], T_FIELDS))
    begin = end
    end = begin + s[S_BARS] * BAR_FIELDS
    bars = numbers[begin:end].reshape((s[S_BARS], BAR_FIELDS))
    begin = end
    end = begin + s[S_INDICATORS] * I_INTEGERS
    indicators = numbers[begin:end].reshape((s[S_INDICATORS], I_INTEGERS))
    begin = end
    end = begin + s[S_TRIGGERS] * W_FIELDS
    triggers = numbers[begin:end].reshape((s[S_TRIGGERS], W_FIELDS))
    begin = end
    end = begin + s[S_CONDITIONS] * C_FIELDS
    conditions = numbers[begin:end].reshape((s[S_CONDITIONS], C_FIELDS))
    begin = end
    end = begin + s[S_PREDICATES] * s[S_PREDICATE_FIELDS]
    predicates = numbers[begin:end].reshape((s[S_PREDICATES], s[S_PREDICATE_FIELDS]))
    closed = numbers[end:].reshape((s[S_BARS], BARS_KEPT, CLOSED_NUMBERS))
    if s[S_RETURNED]:
        s[S_RETURNED] = 0
        for i in range(t.shape[0]):
            t[i, X_FLAGS] = 0
    k = start
    while k < rows.shape[0]:
        if s[S_MODE] == APPLY and s[S_REMAINING] > 1:
            end = apply_levels(rows, k, min(rows.shape[0], k + int(s[S_REMAINING]) - 1), t, sides, s[S_LEVELS_MAX])
            s[S_REMAINING] -= end - k
            k = end
            if k == rows.shape[0]:
                break
        kind = rows[k, r.TYPE]
        row = rows[k]
        if until_ns >= 0 and s[S_IN_RECORD] == 0:
            if row[r.TIME_NS] >= until_ns or row[r.TIME_NS] >= s[S_NEXT_DUE]:
                return k, DUE, 0, int(s[S_NEXT_DUE])
        flags = 0
        if kind == r.QUOTE:
            apply_quote(row, s, t, indicators, values, conditions, loss_levels)
        elif kind == r.TRADE:
            flags = fold_trade(row, s, t, bars, closed, indicators, values, conditions)
            if s[S_CONDITIONS] > 0 and t[row[r.INSTRUMENT], T_SEQ] == row[r.SEQ]:  # else it was repeated
                note_stream(row[r.INSTRUMENT], TRADED, s, conditions)
        elif kind == r.MARK:
            fold_mark(row, t)
            level = loss_levels[row[r.INSTRUMENT]]
            if row[r.MARK_PRICE] <= level[LEVEL_MARK_LOW] or row[r.MARK_PRICE] >= level[LEVEL_MARK_HIGH]:
                s[S_FLAGS] |= LOSS_LEVEL
        elif kind == r.CLOCK:
            flags = close_until(
                row[r.CLOCK_END_NS], 0, bars.shape[0], s, t, bars, closed, indicators, values, conditions
            )
        elif kind == r.RETOLD:
            pass
        elif kind == r.BAR:
            flags = merge_bar(row, s, t, bars, closed, indicators, values, conditions)
        elif kind == r.BAR_END:
            flags = end_bar(row, s, t, bars, closed, indicators, values, conditions)
        elif kind == r.BOOK_CHECK:
            flags = check_book(row, t, sides, pending)
        elif kind == r.BAD_VALUE:
            flags = fold_bad_value(row, s, t, sides)
        else:
            flags = fold_book(row, s, t, sides, pending)
            if flags == GROW:
                return k, GROW, 0, int(s[S_NEXT_DUE])
        raise_flags(s, t, row[r.INSTRUMENT], flags)
        s[S_IN_RECORD] = 1
        if row[r.LAST]:
            s[S_IN_RECORD] = 0
            finish_record(row, s, t, sides, pending, triggers, indicators, values, conditions, loss_levels)
            if s[S_INPUTS_CHANGED] != 0:
                evaluate_predicates(row, s, t, indicators, values, triggers, predicates, inputs)
            if s[S_FLAGS] != 0:
                flags = int(s[S_FLAGS])
                fired = int(s[S_FIRED])
                s[S_FLAGS] = 0
                s[S_FIRED] = 0
                s[S_RETURNED] = 1
                return k + 1, flags, fired, int(s[S_NEXT_DUE])
        k += 1
    return rows.shape[0], 0, 0, int(s[S_NEXT_DUE])
