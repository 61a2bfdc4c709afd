"""Bars of a source that has no trades: they enter the bars, indicators and conditions as one trade each would.

Such a bar is complete when it arrives, so it also ends the bars of its instrument that end with it. Compiled.
"""

from engine.market import rows as r
from engine.market.fold.bars import close_until
from engine.market.fold.trades import add_to_sums
from engine.market.fold.trigger_flags import note_inputs_changed
from engine.market.jit import compiled
from engine.market.layout import (
    BAR_ANCHOR_NS,
    BAR_BEGUN,
    BAR_CLOSE,
    BAR_CLOSED,
    BAR_HIGH,
    BAR_INSTRUMENT,
    BAR_INTERVAL_NS,
    BAR_LATE,
    BAR_LOW,
    BAR_OPEN,
    BAR_START_NS,
    BAR_TRADES,
    BAR_VOLUME_0,
    BAR_VOLUME_1,
    L_BEFORE_NS,
    L_SINCE_NS,
    NEVER,
    T_COUNT,
    T_ID,
    T_PRICE,
    T_REPEATED,
    T_SEQ,
    T_SIZE,
    T_TIME_NS,
    T_VENUE_NS,
    WORD_BITS,
    WORD_MASK,
    X_SEEN_TRADE_NS,
)
from engine.market.rows import Floats, Rows


@compiled
def merge_bar(
    row: Rows, s: Rows, t: Rows, bars: Rows, closed: Rows, indicators: Rows, values: Floats, conditions: Rows
) -> int:
    """Merge a bar into the declared bars that contain it, unless it begins before the end of the last one."""
    i = row[r.INSTRUMENT]
    start_ns = row[r.VENUE_NS]
    if t[i, T_COUNT] > 0 and start_ns < t[i, T_VENUE_NS]:
        t[i, T_REPEATED] += 1
        return 0
    if t[i, T_COUNT] == 0 or start_ns != t[i, T_VENUE_NS]:  # a bar is missing before it
        t[i, L_SINCE_NS] = start_ns
        t[i, L_BEFORE_NS] = NEVER
    t[i, T_PRICE] = row[r.BAR_CLOSE]
    t[i, T_SIZE] = row[r.BAR_VOLUME]
    t[i, T_ID] = -1
    t[i, T_SEQ] = row[r.SEQ]
    t[i, T_TIME_NS] = row[r.TIME_NS]
    t[i, T_VENUE_NS] = start_ns
    t[i, T_COUNT] += 1
    t[i, X_SEEN_TRADE_NS] = row[r.TIME_NS]
    note_inputs_changed(s, i)
    add_to_sums(t, i, row[r.BAR_CLOSE], row[r.BAR_VOLUME])
    flags = BAR_CLOSED if t[i, T_COUNT] == 1 else 0  # the policy sees that the market has begun: no timer is near
    for k in range(bars.shape[0]):
        if bars[k, BAR_INSTRUMENT] == i:
            flags |= _merge(row, start_ns, k, s, t, bars, closed, indicators, values, conditions)
    return flags


@compiled
def _merge(
    row: Rows,
    start_ns: int,
    k: int,
    s: Rows,
    t: Rows,
    bars: Rows,
    closed: Rows,
    indicators: Rows,
    values: Floats,
    conditions: Rows,
) -> int:
    """Merge a bar into the declared bar of index `k`, after the bars before it were closed."""
    bar = bars[k]
    flags = 0
    if bar[BAR_BEGUN] != 0:
        if start_ns < bar[BAR_START_NS]:
            bar[BAR_LATE] += 1
            return 0
        if start_ns - bar[BAR_START_NS] >= bar[BAR_INTERVAL_NS]:
            first_ns = start_ns - (start_ns - bar[BAR_ANCHOR_NS]) % bar[BAR_INTERVAL_NS]
            flags = close_until(first_ns, k, k + 1, s, t, bars, closed, indicators, values, conditions)
    if bar[BAR_TRADES] == 0:
        bar[BAR_BEGUN] = 1
        bar[BAR_START_NS] = start_ns - (start_ns - bar[BAR_ANCHOR_NS]) % bar[BAR_INTERVAL_NS]
        bar[BAR_OPEN] = row[r.BAR_OPEN]
        bar[BAR_HIGH] = row[r.BAR_HIGH]
        bar[BAR_LOW] = row[r.BAR_LOW]
        bar[BAR_VOLUME_1] = 0
        bar[BAR_VOLUME_0] = 0
    bar[BAR_HIGH] = max(bar[BAR_HIGH], row[r.BAR_HIGH])
    bar[BAR_LOW] = min(bar[BAR_LOW], row[r.BAR_LOW])
    bar[BAR_CLOSE] = row[r.BAR_CLOSE]
    total = bar[BAR_VOLUME_0] + row[r.BAR_VOLUME]
    bar[BAR_VOLUME_0] = total & WORD_MASK
    bar[BAR_VOLUME_1] += total >> WORD_BITS
    bar[BAR_TRADES] += 1
    return flags


@compiled
def end_bar(
    row: Rows, s: Rows, t: Rows, bars: Rows, closed: Rows, indicators: Rows, values: Floats, conditions: Rows
) -> int:
    """Close the declared bars of the instrument that end with this bar, unless it was repeated."""
    i = row[r.INSTRUMENT]
    if t[i, T_SEQ] != row[r.SEQ]:
        return 0
    t[i, T_VENUE_NS] = row[r.BAR_END_NS]
    flags = 0
    for k in range(bars.shape[0]):
        if bars[k, BAR_INSTRUMENT] == i:
            flags |= close_until(row[r.BAR_END_NS], k, k + 1, s, t, bars, closed, indicators, values, conditions)
    return flags
