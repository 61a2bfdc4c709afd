"""Flags, triggers, conditions and predicates: the fold's answer to "must Python act?". Compiled; applies no row."""

from engine.market import rows as r
from engine.market.jit import call_at, compiled
from engine.market.layout import (
    B_TOP_BID,
    BAD_VALUE_SEEN,
    BOOK_CROSSED,
    BOOK_JOINED,
    BOOK_NEEDS_SNAPSHOT,
    C_FIRST,
    C_FROM,
    C_INSTRUMENT,
    C_KIND,
    C_PPM,
    C_SECOND,
    C_SIDE,
    C_TRIGGER,
    C_WARM,
    F_INDICATORS,
    I_BARS,
    I_COUNT,
    I_VALUE,
    LEVELS_EXCEEDED,
    MOVE,
    NEVER,
    P_ADDRESS,
    P_BID,
    P_BOOK_BID,
    P_BUYER_IS_MAKER,
    P_ENABLED,
    P_FIELDS,
    P_INDICATORS,
    P_INSTRUMENT,
    P_TIME_NS,
    P_TRADE_PRICE,
    P_TRIGGER,
    Q_BID,
    Q_LIVE,
    S_CHANGED,
    S_FIRED,
    S_FLAGS,
    S_INPUTS_CHANGED,
    S_NEXT_DUE,
    SEVERAL,
    T_BUYER_IS_MAKER,
    T_PRICE,
    TRIGGER_FIRED,
    W_DUE_NS,
    W_EVALUATED_NS,
    W_THROTTLE_NS,
    X_CONDITIONS,
    X_FLAGS,
)
from engine.market.rows import Floats, Rows

MILLION = 1_000_000
NOT_WARM = float("nan")
_BOOK_CONDITIONS = BOOK_NEEDS_SNAPSHOT | BOOK_CROSSED | LEVELS_EXCEEDED  # a joined book ends these


@compiled
def raise_flags(s: Rows, t: Rows, i: int, flags: int) -> None:
    """Add flags to the current record and latch those that are conditions."""
    if flags == 0:
        return
    s[S_FLAGS] |= flags
    t[i, X_FLAGS] |= flags
    if flags & BOOK_JOINED:
        t[i, X_CONDITIONS] &= ~_BOOK_CONDITIONS
    t[i, X_CONDITIONS] |= flags & (_BOOK_CONDITIONS | BAD_VALUE_SEEN)


@compiled
def note_inputs_changed(s: Rows, i: int) -> None:
    """Mark an instrument whose predicate inputs the current record changed."""
    s[S_INPUTS_CHANGED] = i + 1 if s[S_INPUTS_CHANGED] == 0 or s[S_INPUTS_CHANGED] == i + 1 else SEVERAL


@compiled
def is_met(condition: Rows, row: Rows, indicators: Rows, values: Floats) -> bool:
    """Return True if this two-sided quote meets the condition, and update the condition's memory."""
    if condition[C_KIND] != MOVE:
        first = condition[C_FIRST]
        second = condition[C_SECOND]
        if indicators[first, I_COUNT] < condition[C_WARM] or indicators[second, I_COUNT] < condition[C_WARM]:
            return False
        side = condition[C_SIDE]
        if values[first, I_VALUE] > values[second, I_VALUE]:
            side = 1
        elif values[first, I_VALUE] < values[second, I_VALUE]:
            side = -1
        if side == condition[C_SIDE]:
            return False
        condition[C_SIDE] = side
        return True
    now = row[r.QUOTE_BID] + row[r.QUOTE_ASK]
    before = condition[C_FROM]
    ppm = condition[C_PPM]
    most = before // MILLION * ppm + before % MILLION * ppm // MILLION
    if before > 0 and before - most <= now <= before + most:
        return False
    condition[C_FROM] = now
    return True


@compiled
def check_conditions(row: Rows, s: Rows, indicators: Rows, values: Floats, conditions: Rows) -> None:
    """Note each trigger whose condition a two-sided quote meets, after the indicators were updated."""
    for k in range(conditions.shape[0]):
        if (
            conditions[k, C_KIND] <= MOVE
            and conditions[k, C_INSTRUMENT] == row[r.INSTRUMENT]
            and is_met(conditions[k], row, indicators, values)
        ):
            s[S_CHANGED] |= 1 << conditions[k, C_TRIGGER]


@compiled
def check_crosses(
    kind: int, i: int, source: int, row: Rows, s: Rows, indicators: Rows, values: Floats, conditions: Rows
) -> None:
    """Note each trigger whose indicators over the bars of index `source`, or over trades (-1), changed their order."""
    for k in range(conditions.shape[0]):
        if (
            conditions[k, C_KIND] == kind
            and conditions[k, C_INSTRUMENT] == i
            and indicators[conditions[k, C_FIRST], I_BARS] == source
            and is_met(conditions[k], row, indicators, values)
        ):
            s[S_CHANGED] |= 1 << conditions[k, C_TRIGGER]


@compiled
def note_stream(i: int, kind: int, s: Rows, conditions: Rows) -> None:
    """Note each trigger on any trade (TRADED) or any change of the book (BOOK_MOVED) of an instrument."""
    for k in range(conditions.shape[0]):
        if conditions[k, C_KIND] == kind and conditions[k, C_INSTRUMENT] == i:
            s[S_CHANGED] |= 1 << conditions[k, C_TRIGGER]


@compiled
def fire_changed(s: Rows, triggers: Rows, time_ns: int) -> None:
    """Fire each trigger that saw a change and may run now; set when the throttled ones are due."""
    changed = s[S_CHANGED]
    s[S_CHANGED] = 0
    w = 0
    while changed != 0:
        if changed & 1:
            evaluated_ns = triggers[w, W_EVALUATED_NS]
            if evaluated_ns < 0 or time_ns - evaluated_ns >= triggers[w, W_THROTTLE_NS]:
                s[S_FIRED] |= 1 << w
                s[S_FLAGS] |= TRIGGER_FIRED
            elif triggers[w, W_DUE_NS] == NEVER:
                due_ns = evaluated_ns + triggers[w, W_THROTTLE_NS]
                triggers[w, W_DUE_NS] = due_ns
                s[S_NEXT_DUE] = min(s[S_NEXT_DUE], due_ns)
        changed >>= 1
        w += 1


@compiled
def evaluate_predicates(
    row: Rows, s: Rows, t: Rows, indicators: Rows, values: Floats, triggers: Rows, predicates: Rows, inputs: Floats
) -> None:
    """Call the predicates whose inputs changed, and fire those that return True."""
    changed = s[S_INPUTS_CHANGED]
    s[S_INPUTS_CHANGED] = 0
    for k in range(predicates.shape[0]):
        i = predicates[k, P_INSTRUMENT]
        if predicates[k, P_ENABLED] == 0 or (changed != i + 1 and changed != SEVERAL):
            continue
        w = predicates[k, P_TRIGGER]
        evaluated_ns = triggers[w, W_EVALUATED_NS]
        if evaluated_ns >= 0 and row[r.TIME_NS] - evaluated_ns < triggers[w, W_THROTTLE_NS]:
            continue
        predicates[k, P_TIME_NS] = row[r.TIME_NS]
        for n in range(4):
            predicates[k, P_BID + n] = t[i, Q_BID + n] if t[i, Q_LIVE] else 0
            predicates[k, P_BOOK_BID + n] = t[i, B_TOP_BID + n]
        for n in range(2):
            predicates[k, P_TRADE_PRICE + n] = t[i, T_PRICE + n]
        predicates[k, P_BUYER_IS_MAKER] = t[i, T_BUYER_IS_MAKER]
        for n in range(predicates[k, P_INDICATORS]):
            index = predicates[k, P_FIELDS + 2 * n]
            warm = indicators[index, I_COUNT] >= predicates[k, P_FIELDS + 2 * n + 1]
            inputs[k, F_INDICATORS + n] = values[index, I_VALUE] if warm else NOT_WARM
        if call_at(predicates[k, P_ADDRESS], predicates, P_TIME_NS, inputs, k) != 0:
            s[S_FIRED] |= 1 << w
            s[S_FLAGS] |= TRIGGER_FIRED
