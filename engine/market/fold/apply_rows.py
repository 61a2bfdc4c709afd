"""The fold: rows in, market state changed in place, wake flags out. Compiled; explicit loops over scalars, no reductions.

It stops after the record that woke somebody, before a row for which an array is too small (market.py grows it and calls
again), and, if asked to, before the first record at whose time something is due. All that a record raises is gathered in
`s` until its last row, so where a batch of rows is cut never changes a result.
"""

from engine.market import rows as r
from engine.market.fold.books import (
    apply_levels,
    begin_diff,
    begin_snapshot,
    empty_book,
    finish_snapshot,
    lose_value,
    reaches,
)
from engine.market.fold.dense_book import (
    add_level,
    room_of,
    set_outside,
    set_slot,
    slot_of,
    top_of,
    wants_window,
)
from engine.market.jit import asked, compiled
from engine.market.layout import (
    APPLY,
    B_ASKS,
    B_BIDS,
    B_PENDING,
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
    BAD_VALUE_SEEN,
    BAR_CLOSE,
    BAR_CLOSED,
    BAR_CLOSED_COUNT,
    BAR_FIELDS,
    BAR_HIGH,
    BAR_INSTRUMENT,
    BAR_INTERVAL_NS,
    BAR_LATE,
    BAR_LOW,
    BAR_NUMBERS,
    BAR_OPEN,
    BAR_START_NS,
    BAR_TRADES,
    BAR_VOLUME_0,
    BAR_VOLUME_1,
    BARS_KEPT,
    BOOK_BROKEN,
    BOOK_CROSSED,
    BOOK_JOINED,
    BOOK_NEEDS_SNAPSHOT,
    BOOK_SYNCED,
    C_FIELDS,
    C_FIRST,
    C_FROM,
    C_INSTRUMENT,
    C_KIND,
    C_PPM,
    C_SECOND,
    C_SIDE,
    C_WARM,
    C_WATCH,
    CROSS,
    D_ID,
    D_SEQ,
    D_TIME_NS,
    DUE,
    E_ALPHA,
    E_COUNT,
    E_DIVISOR,
    E_INSTRUMENT,
    E_INTEGERS,
    E_VALUE,
    F_AVERAGES,
    G_FIRST_ID,
    G_LAST_ID,
    G_LAST_NS,
    G_LAST_SEQ,
    G_STREAM,
    GROW,
    HALF_BITS,
    HALF_MASK,
    IGNORE,
    KEEP,
    L_ADDRESS,
    L_AVERAGES,
    L_AWAKE,
    L_BID,
    L_BOOK_BID,
    L_BUYER_IS_MAKER,
    L_FIELDS,
    L_INSTRUMENT,
    L_TIME_NS,
    L_TRADE_PRICE,
    L_WATCH,
    LEVELS_EXCEEDED,
    LOAD,
    M_COUNT,
    M_INDEX,
    M_NEXT_NS,
    M_PRICE,
    M_RATE,
    M_SEQ,
    M_SETTLE,
    M_TIME_NS,
    M_VENUE_NS,
    MISSED,
    NEVER,
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
    S_AVERAGES,
    S_BARS,
    S_CHANGED,
    S_CONDITIONS,
    S_FIELDS,
    S_IN_RECORD,
    S_INSTRUMENTS,
    S_LEVELS_MAX,
    S_LOOK_FIELDS,
    S_LOOKS,
    S_MESSAGES,
    S_MODE,
    S_NEXT_DUE,
    S_RELEASED,
    S_REMAINING,
    S_SEQ,
    S_SHOWN,
    S_STRATEGIES,
    S_TIME_NS,
    S_TOUCHED,
    S_WAKE,
    S_WATCHES,
    STRATEGY,
    T_BUYER_IS_MAKER,
    T_BUYER_IS_MAKER_COUNT,
    T_COUNT,
    T_FIELDS,
    T_ID,
    T_ID_GAPS,
    T_IDS_MISSING,
    T_NOTIONAL_0,
    T_NOTIONAL_1,
    T_NOTIONAL_2,
    T_PRICE,
    T_REPEATED,
    T_SEQ,
    T_SIZE,
    T_TIME_NS,
    T_VENUE_NS,
    T_VOLUME_0,
    T_VOLUME_1,
    W_DUE_NS,
    W_EVALUATED_NS,
    W_FIELDS,
    W_THROTTLE_NS,
    WORD_BITS,
    WORD_MASK,
    X_BAR_WATCHES,
    X_CONDITIONS,
    X_SEEN_BOOK_NS,
    X_SEEN_QUOTE_NS,
    X_SEEN_TRADE_NS,
    X_WATCHES,
    X_WOKEN,
)
from engine.market.rows import Floats, Rows

# Conditions that a joined book ends
MILLION = 1_000_000
NOT_WARM = float("nan")
SEVERAL = -1
_BOOK_CONDITIONS = BOOK_NEEDS_SNAPSHOT | BOOK_CROSSED | LEVELS_EXCEEDED


@compiled
def is_met(condition: Rows, row: Rows, averages: Rows, floats: Floats) -> bool:
    """Whether what a watch waits for has come with this two-sided quote; remembers it."""
    if condition[C_KIND] == CROSS:
        first = condition[C_FIRST]
        second = condition[C_SECOND]
        if averages[first, E_COUNT] < condition[C_WARM] or averages[second, E_COUNT] < condition[C_WARM]:
            return False
        side = condition[C_SIDE]
        if floats[first, E_VALUE] > floats[second, E_VALUE]:
            side = 1
        elif floats[first, E_VALUE] < floats[second, E_VALUE]:
            side = -1
        if side == condition[C_SIDE]:
            return False
        condition[C_SIDE] = side
        return True
    now = row[r.A] + row[r.C]
    before = condition[C_FROM]
    ppm = condition[C_PPM]
    most = before // MILLION * ppm + before % MILLION * ppm // MILLION
    if before > 0 and before - most <= now <= before + most:
        return False
    condition[C_FROM] = now
    return True


@compiled
def look_at_conditions(row: Rows, s: Rows, averages: Rows, floats: Floats, conditions: Rows) -> None:
    """Which of the watches that wait for something have it with this quote, whose averages were moved."""
    if row[r.A] == 0 or row[r.C] == 0:
        return
    for k in range(conditions.shape[0]):
        if conditions[k, C_INSTRUMENT] == row[r.INSTRUMENT] and is_met(conditions[k], row, averages, floats):
            s[S_CHANGED] |= 1 << conditions[k, C_WATCH]


@compiled
def note_shown(s: Rows, i: int) -> None:
    """The record at hand changed what compiled strategies are shown of an instrument."""
    s[S_SHOWN] = i + 1 if s[S_SHOWN] == 0 or s[S_SHOWN] == i + 1 else SEVERAL


@compiled
def fold_quote(row: Rows, s: Rows, t: Rows, averages: Rows, floats: Floats) -> bool:
    """Take a quote unless it is older than the one held; move the averages of its instrument. Whether it changed anything."""
    i = row[r.INSTRUMENT]
    live = t[i, Q_LIVE]
    if live and row[r.E] < t[i, Q_ID]:
        t[i, Q_STALE] += 1
        return False
    same = (
        live
        and t[i, Q_BID] == row[r.A]
        and t[i, Q_BID_SIZE] == row[r.B]
        and t[i, Q_ASK] == row[r.C]
        and t[i, Q_ASK_SIZE] == row[r.D]
    )
    t[i, Q_LIVE] = 1
    t[i, Q_BID] = row[r.A]
    t[i, Q_BID_SIZE] = row[r.B]
    t[i, Q_ASK] = row[r.C]
    t[i, Q_ASK_SIZE] = row[r.D]
    t[i, Q_ID] = row[r.E]
    t[i, Q_SEQ] = row[r.SEQ]
    t[i, Q_TIME_NS] = row[r.TIME_NS]
    t[i, Q_COUNT] += 1
    t[i, X_SEEN_QUOTE_NS] = row[r.TIME_NS]
    if same:
        return False
    note_shown(s, i)
    s[S_CHANGED] |= t[i, X_WATCHES]
    if row[r.A] == 0 or row[r.C] == 0:
        return True  # one side only: there is no mid
    for k in range(averages.shape[0]):
        if averages[k, E_INSTRUMENT] == i:
            mid = float(row[r.A] + row[r.C]) / floats[k, E_DIVISOR]
            if averages[k, E_COUNT] == 0:
                floats[k, E_VALUE] = mid
            else:
                value = floats[k, E_VALUE]
                floats[k, E_VALUE] = value + floats[k, E_ALPHA] * (mid - value)
            averages[k, E_COUNT] += 1
    return True


@compiled
def fold_mark(row: Rows, t: Rows) -> None:
    """Take what the venue computed of a contract; nobody is woken by it."""
    i = row[r.INSTRUMENT]
    t[i, M_PRICE] = row[r.A]
    t[i, M_INDEX] = row[r.B]
    t[i, M_SETTLE] = row[r.C]
    t[i, M_RATE] = row[r.D]
    t[i, M_NEXT_NS] = row[r.E]
    t[i, M_SEQ] = row[r.SEQ]
    t[i, M_TIME_NS] = row[r.TIME_NS]
    t[i, M_VENUE_NS] = row[r.VENUE_NS]
    t[i, M_COUNT] += 1


@compiled
def fold_bar(row: Rows, bar: Rows, closed: Rows) -> bool:
    """Put a trade into its bar by the venue's time; True if that closed the bar before it."""
    at_ns = row[r.VENUE_NS] if row[r.VENUE_NS] > 0 else row[r.TIME_NS]
    start_ns = at_ns - at_ns % bar[BAR_INTERVAL_NS]
    price = row[r.A]
    done = False
    if bar[BAR_TRADES] > 0 and start_ns < bar[BAR_START_NS]:
        bar[BAR_LATE] += 1
        return False
    if bar[BAR_TRADES] > 0 and start_ns > bar[BAR_START_NS]:
        slot = bar[BAR_CLOSED_COUNT] % BARS_KEPT
        for k in range(BAR_NUMBERS):
            closed[slot, k] = bar[k]
        bar[BAR_CLOSED_COUNT] += 1
        bar[BAR_TRADES] = 0
        done = True
    if bar[BAR_TRADES] == 0:
        bar[BAR_START_NS] = start_ns
        bar[BAR_OPEN] = price
        bar[BAR_HIGH] = price
        bar[BAR_LOW] = price
        bar[BAR_VOLUME_1] = 0
        bar[BAR_VOLUME_0] = 0
    bar[BAR_HIGH] = max(bar[BAR_HIGH], price)
    bar[BAR_LOW] = min(bar[BAR_LOW], price)
    bar[BAR_CLOSE] = price
    total = bar[BAR_VOLUME_0] + row[r.B]
    bar[BAR_VOLUME_0] = total & WORD_MASK
    bar[BAR_VOLUME_1] += total >> WORD_BITS
    bar[BAR_TRADES] += 1
    return done


@compiled
def note_break(row: Rows, t: Rows, last_id: int, last_seq: int, last_ns: int, first_id: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """Remember between which ids of a stream something is missing; the flag raised."""
    i = row[r.INSTRUMENT]
    t[i, G_STREAM] = row[r.TYPE]
    t[i, G_LAST_ID] = last_id
    t[i, G_LAST_SEQ] = last_seq
    t[i, G_LAST_NS] = last_ns
    t[i, G_FIRST_ID] = first_id
    return MISSED


@compiled
def follow_diffs(row: Rows, t: Rows) -> int:
    """Whether a diff goes on where the stream's last one ended, whatever the book makes of it; the flag raised."""
    i = row[r.INSTRUMENT]
    wake = 0
    if t[i, D_ID] > 0 and not reaches(row[r.A], row[r.D], t[i, D_ID]):
        wake = note_break(row, t, t[i, D_ID], t[i, D_SEQ], t[i, D_TIME_NS], row[r.A])
    t[i, D_ID] = row[r.B]
    t[i, D_SEQ] = row[r.SEQ]
    t[i, D_TIME_NS] = row[r.TIME_NS]
    return wake


@compiled
def fold_trade(row: Rows, s: Rows, t: Rows, bars: Rows, closed: Rows) -> int:
    """Take a trade unless its id was seen; the flags raised."""
    i = row[r.INSTRUMENT]
    trade_id = row[r.C]
    wake = 0
    if t[i, T_COUNT] > 0:
        if trade_id <= t[i, T_ID]:
            t[i, T_REPEATED] += 1
            return 0
        if trade_id > t[i, T_ID] + 1:
            t[i, T_ID_GAPS] += 1
            t[i, T_IDS_MISSING] += trade_id - t[i, T_ID] - 1
            wake = note_break(row, t, t[i, T_ID], t[i, T_SEQ], t[i, T_TIME_NS], trade_id)
    price = row[r.A]
    size = row[r.B]
    t[i, T_PRICE] = price
    t[i, T_SIZE] = size
    t[i, T_ID] = trade_id
    t[i, T_BUYER_IS_MAKER] = row[r.D]
    t[i, T_SEQ] = row[r.SEQ]
    t[i, T_TIME_NS] = row[r.TIME_NS]
    t[i, T_VENUE_NS] = row[r.VENUE_NS]
    t[i, T_COUNT] += 1
    t[i, T_BUYER_IS_MAKER_COUNT] += row[r.D]
    t[i, X_SEEN_TRADE_NS] = row[r.TIME_NS]
    note_shown(s, i)
    total = t[i, T_VOLUME_0] + size
    t[i, T_VOLUME_0] = total & WORD_MASK
    t[i, T_VOLUME_1] += total >> WORD_BITS
    # price * size in two words, by halves of 27 bits: each part stays below 2**56
    price_1 = price >> HALF_BITS
    price_0 = price & HALF_MASK
    size_1 = size >> HALF_BITS
    size_0 = size & HALF_MASK
    middle = price_1 * size_0 + price_0 * size_1
    low = price_0 * size_0 + ((middle & HALF_MASK) << HALF_BITS) + t[i, T_NOTIONAL_0]
    high = price_1 * size_1 + (middle >> HALF_BITS) + (low >> WORD_BITS) + t[i, T_NOTIONAL_1]
    t[i, T_NOTIONAL_0] = low & WORD_MASK
    t[i, T_NOTIONAL_1] = high & WORD_MASK
    t[i, T_NOTIONAL_2] += high >> WORD_BITS
    for k in range(bars.shape[0]):
        if bars[k, BAR_INSTRUMENT] == i and fold_bar(row, bars[k], closed[k]) and t[i, X_BAR_WATCHES]:
            s[S_CHANGED] |= t[i, X_BAR_WATCHES]
            wake |= BAR_CLOSED
    return wake


@compiled
def fold_level(row: Rows, s: Rows, t: Rows, sides: Rows, pending: Rows) -> int:
    """Put one level where the header of its message said; the flags raised, GROW before anything is changed."""
    i = row[r.INSTRUMENT]
    mode = s[S_MODE]
    side = row[r.A]
    size = row[r.C]
    if mode == KEEP:
        at = t[i, B_PENDING]
        pending[i, at, 0] = side
        pending[i, at, 1] = row[r.B]
        pending[i, at, 2] = size
        t[i, B_PENDING] = at + 1
    elif mode != IGNORE and (size > 0 or mode == APPLY):
        count = t[i, B_BIDS + side]
        if count >= room_of(sides) and size > 0:
            return GROW
        key = row[r.B] if side == 0 else -row[r.B]
        if mode == LOAD:
            add_level(sides[2 * i + side], count, key, size)
            count += 1
        else:
            held = sides[2 * i + side]
            slot = slot_of(held, key)
            count += set_outside(held, count, key, size) if slot < 0 else set_slot(held, slot, size)
        t[i, B_BIDS + side] = count
        if count > s[S_LEVELS_MAX]:
            empty_book(t, sides, i, BOOK_BROKEN)
            s[S_MODE] = IGNORE
            return LEVELS_EXCEEDED
    return 0


@compiled
def top_changed(t: Rows, i: int, bid: int, bid_size: int, ask: int, ask_size: int) -> bool:  # noqa: PLR0917 - compiled code takes arguments by place
    """Whether the top of a synced book differs from the one last seen; remembers it."""
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
    """After a whole record: is the book crossed, did its top move; the flags raised."""
    t[i, B_TOUCHED] = 0
    wake = 0
    if t[i, B_STATE] == BOOK_SYNCED:
        bid, bid_size = top_of(sides[2 * i], t[i, B_BIDS])
        ask, ask_size = top_of(sides[2 * i + 1], t[i, B_ASKS])
        if t[i, B_BIDS] > 0 and t[i, B_ASKS] > 0 and bid >= -ask:
            empty_book(t, sides, i, BOOK_BROKEN)
            wake = BOOK_CROSSED | BOOK_NEEDS_SNAPSHOT
        elif top_changed(t, i, bid, bid_size, -ask, ask_size):
            note_shown(s, i)
            s[S_CHANGED] |= t[i, X_WATCHES]
    if t[i, B_STATE] != BOOK_SYNCED:
        t[i, B_TOP_LIVE] = 0
        t[i, B_TOP_BID] = 0
        t[i, B_TOP_BID_SIZE] = 0
        t[i, B_TOP_ASK] = 0
        t[i, B_TOP_ASK_SIZE] = 0
    return wake


@compiled
def raise_wake(s: Rows, t: Rows, i: int, wake: int) -> None:
    """Note flags for the record at hand and latch the conditions they stand for."""
    if wake == 0:
        return
    s[S_WAKE] |= wake
    t[i, X_WOKEN] |= wake
    if wake & BOOK_JOINED:
        t[i, X_CONDITIONS] &= ~_BOOK_CONDITIONS
    t[i, X_CONDITIONS] |= wake & (_BOOK_CONDITIONS | BAD_VALUE_SEEN)


@compiled
def throttle(s: Rows, watches: Rows, time_ns: int) -> None:
    """Which of the watches that saw a change may run now, and when the others may."""
    changed = s[S_CHANGED]
    s[S_CHANGED] = 0
    w = 0
    while changed != 0:
        if changed & 1:
            evaluated_ns = watches[w, W_EVALUATED_NS]
            if evaluated_ns < 0 or time_ns - evaluated_ns >= watches[w, W_THROTTLE_NS]:
                s[S_STRATEGIES] |= 1 << w
                s[S_WAKE] |= STRATEGY
            elif watches[w, W_DUE_NS] == NEVER:
                due_ns = evaluated_ns + watches[w, W_THROTTLE_NS]
                watches[w, W_DUE_NS] = due_ns
                s[S_NEXT_DUE] = min(s[S_NEXT_DUE], due_ns)
        changed >>= 1
        w += 1


@compiled
def look(  # noqa: PLR0917 - compiled code takes arguments by place
    row: Rows, s: Rows, t: Rows, averages: Rows, floats: Floats, watches: Rows, looks: Rows, given: Floats
) -> None:
    """Show what there is to the compiled strategies of what changed; wake those that want to decide."""
    shown = s[S_SHOWN]
    s[S_SHOWN] = 0
    for k in range(looks.shape[0]):
        i = looks[k, L_INSTRUMENT]
        if looks[k, L_AWAKE] == 0 or (shown != i + 1 and shown != SEVERAL):
            continue
        w = looks[k, L_WATCH]
        evaluated_ns = watches[w, W_EVALUATED_NS]
        if evaluated_ns >= 0 and row[r.TIME_NS] - evaluated_ns < watches[w, W_THROTTLE_NS]:
            continue
        looks[k, L_TIME_NS] = row[r.TIME_NS]
        for n in range(4):
            looks[k, L_BID + n] = t[i, Q_BID + n] if t[i, Q_LIVE] else 0
            looks[k, L_BOOK_BID + n] = t[i, B_TOP_BID + n]
        for n in range(2):
            looks[k, L_TRADE_PRICE + n] = t[i, T_PRICE + n]
        looks[k, L_BUYER_IS_MAKER] = t[i, T_BUYER_IS_MAKER]
        for n in range(looks[k, L_AVERAGES]):
            place = looks[k, L_FIELDS + 2 * n]
            warm = averages[place, E_COUNT] >= looks[k, L_FIELDS + 2 * n + 1]
            given[k, F_AVERAGES + n] = floats[place, E_VALUE] if warm else NOT_WARM
        if asked(looks[k, L_ADDRESS], looks, L_TIME_NS, given, k) != 0:
            s[S_STRATEGIES] |= 1 << w
            s[S_WAKE] |= STRATEGY


@compiled
def fold_book(row: Rows, s: Rows, t: Rows, sides: Rows, pending: Rows) -> int:
    """DIFF, SNAPSHOT and LEVEL rows; the flags raised, GROW before anything is changed."""
    i = row[r.INSTRUMENT]
    kind = row[r.TYPE]
    if kind == r.LEVEL:
        ends = s[S_REMAINING] == 1
    else:
        ends = row[r.C] == 0
        if kind == r.DIFF and t[i, B_PENDING] + 1 + row[r.C] > pending.shape[1]:
            return GROW
        if wants_window(sides[2 * i]) or wants_window(sides[2 * i + 1]):
            return GROW
    # the end of a snapshot applies all diffs kept in one go: room for them first
    if ends and (kind == r.SNAPSHOT or (kind == r.LEVEL and s[S_MODE] == LOAD)):
        most = max(t[i, B_BIDS], t[i, B_ASKS])
        if most + t[i, B_PENDING] + 2 > room_of(sides):
            return GROW
    wake = 0
    if kind == r.LEVEL:
        if s[S_REMAINING] == 0:
            return 0  # its message was more than its header said: nothing here may trust it
        wake = fold_level(row, s, t, sides, pending)
        if wake == GROW:
            return GROW
        s[S_REMAINING] -= 1
    else:
        if kind == r.DIFF:
            mode, wake = begin_diff(t, sides, pending, i, row[r.A], row[r.B], row[r.C], row[r.D])
            wake |= follow_diffs(row, t)
        else:
            mode, wake = begin_snapshot(t, sides, pending, i, row[r.A])
        s[S_MODE] = mode
        s[S_REMAINING] = row[r.C]
        t[i, X_SEEN_BOOK_NS] = row[r.TIME_NS]
        if t[i, B_TOUCHED] == 0:
            t[i, B_TOUCHED] = 1
            s[S_TOUCHED] += 1
    if s[S_MODE] == LOAD and ends:
        wake |= finish_snapshot(t, sides, pending, i, s[S_LEVELS_MAX])
    if ends:
        if s[S_MODE] == LOAD or s[S_MODE] == APPLY:
            t[i, B_SEQ] = row[r.SEQ]
            t[i, B_TIME_NS] = row[r.TIME_NS]
            t[i, B_VENUE_NS] = row[r.VENUE_NS]
        s[S_MODE] = IGNORE
    return wake


@compiled
def finish_record(row: Rows, s: Rows, t: Rows, sides: Rows, watches: Rows) -> None:
    """What is looked at only when a whole record is in."""
    if s[S_TOUCHED] > 0:
        first = row[r.INSTRUMENT] if s[S_TOUCHED] == 1 and t[row[r.INSTRUMENT], B_TOUCHED] else 0
        for i in range(first, t.shape[0]):
            if t[i, B_TOUCHED]:
                raise_wake(s, t, i, finish_book(s, t, sides, i))
                s[S_TOUCHED] -= 1
            if s[S_TOUCHED] == 0:
                break
    if s[S_CHANGED] != 0:
        throttle(s, watches, row[r.TIME_NS])
    s[S_MODE] = IGNORE
    s[S_REMAINING] = 0
    s[S_MESSAGES] += 1
    s[S_SEQ] = row[r.SEQ]
    s[S_TIME_NS] = row[r.TIME_NS]


@compiled
def fold_rows(  # noqa: PLR0917 - compiled code takes arguments by place
    rows: Rows,
    start: int,
    until_ns: int,
    numbers: Rows,
    floats: Floats,
    sides: Rows,
    pending: Rows,
    given: Floats,
) -> tuple[int, int, int, int]:
    """Fold from `start` until somebody must act: (next row, wake flags, strategies, next due). until_ns < 0 looks at no due."""
    s = numbers[:S_FIELDS]
    end = S_FIELDS + s[S_INSTRUMENTS] * T_FIELDS
    t = numbers[S_FIELDS:end].reshape((s[S_INSTRUMENTS], T_FIELDS))
    begin = end
    end = begin + s[S_BARS] * BAR_FIELDS
    bars = numbers[begin:end].reshape((s[S_BARS], BAR_FIELDS))
    begin = end
    end = begin + s[S_AVERAGES] * E_INTEGERS
    averages = numbers[begin:end].reshape((s[S_AVERAGES], E_INTEGERS))
    begin = end
    end = begin + s[S_WATCHES] * W_FIELDS
    watches = numbers[begin:end].reshape((s[S_WATCHES], W_FIELDS))
    begin = end
    end = begin + s[S_CONDITIONS] * C_FIELDS
    conditions = numbers[begin:end].reshape((s[S_CONDITIONS], C_FIELDS))
    begin = end
    end = begin + s[S_LOOKS] * s[S_LOOK_FIELDS]
    looks = numbers[begin:end].reshape((s[S_LOOKS], s[S_LOOK_FIELDS]))
    closed = numbers[end:].reshape((s[S_BARS], BARS_KEPT, BAR_NUMBERS))
    if s[S_RELEASED]:
        s[S_RELEASED] = 0
        for i in range(t.shape[0]):
            t[i, X_WOKEN] = 0
    k = start
    while k < rows.shape[0]:
        if s[S_MODE] == APPLY and s[S_REMAINING] > 1:
            end = apply_levels(rows, k, min(rows.shape[0], k + int(s[S_REMAINING]) - 1), t, sides, s[S_LEVELS_MAX])
            s[S_REMAINING] -= end - k
            k = end
            if k == rows.shape[0]:
                break
        kind = rows[k, r.TYPE]
        i = rows[k, r.INSTRUMENT]
        row = rows[k]
        if until_ns >= 0 and s[S_IN_RECORD] == 0:
            if row[r.TIME_NS] >= until_ns or row[r.TIME_NS] >= s[S_NEXT_DUE]:
                return k, DUE, 0, int(s[S_NEXT_DUE])
        wake = 0
        if kind == r.QUOTE:
            if fold_quote(row, s, t, averages, floats) and s[S_CONDITIONS] > 0:
                look_at_conditions(row, s, averages, floats, conditions)
        elif kind == r.TRADE:
            wake = fold_trade(row, s, t, bars, closed)
        elif kind == r.MARK:
            fold_mark(row, t)
        elif kind == r.BAD_VALUE:
            wake = BAD_VALUE_SEEN
            if row[r.A] == r.QUOTE:
                t[i, Q_LIVE] = 0  # the quote we hold is not the venue's any more
            elif row[r.A] == r.DIFF:
                wake = lose_value(t, sides, i)
                if t[i, B_TOUCHED] == 0:
                    t[i, B_TOUCHED] = 1
                    s[S_TOUCHED] += 1
        else:
            wake = fold_book(row, s, t, sides, pending)
            if wake == GROW:
                return k, GROW, 0, int(s[S_NEXT_DUE])
        raise_wake(s, t, i, wake)
        s[S_IN_RECORD] = 1
        if row[r.LAST]:
            s[S_IN_RECORD] = 0
            finish_record(row, s, t, sides, watches)
            if s[S_SHOWN] != 0:
                look(row, s, t, averages, floats, watches, looks, given)
            if s[S_WAKE] != 0:
                wake = int(s[S_WAKE])
                strategies = int(s[S_STRATEGIES])
                s[S_WAKE] = 0
                s[S_STRATEGIES] = 0
                s[S_RELEASED] = 1
                return k + 1, wake, strategies, int(s[S_NEXT_DUE])
        k += 1
    return rows.shape[0], 0, 0, int(s[S_NEXT_DUE])
