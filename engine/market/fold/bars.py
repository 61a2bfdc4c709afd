"""Bars of trades, closed by the next trade or by the clock. Compiled; knows no stream."""

from engine.market import rows as r
from engine.market.fold.indicator_inputs import update_with_bar
from engine.market.fold.trigger_flags import check_crosses
from engine.market.jit import compiled, compiled_apart
from engine.market.layout import (
    BAR_ANCHOR_NS,
    BAR_BEGUN,
    BAR_CLOSE,
    BAR_CLOSED,
    BAR_CLOSED_COUNT,
    BAR_HIGH,
    BAR_INSTRUMENT,
    BAR_INTERVAL_NS,
    BAR_LATE,
    BAR_LOW,
    BAR_NUMBERS,
    BAR_OPEN,
    BAR_START_NS,
    BAR_TRADES,
    BAR_TRIGGERS,
    BAR_VOLUME_0,
    BAR_VOLUME_1,
    BARS_KEPT,
    CLOSED_COMPLETE,
    CROSS_AT_BAR,
    L_SINCE_NS,
    S_BARS_BY_TIME,
    S_CHANGED,
    S_CONDITIONS,
    WORD_BITS,
    WORD_MASK,
    X_BAR_TRIGGERS,
)
from engine.market.rows import Floats, Rows


@compiled_apart
def close_until(
    end_ns: int,
    first: int,
    end: int,
    s: Rows,
    t: Rows,
    bars: Rows,
    closed: Rows,
    indicators: Rows,
    values: Floats,
    conditions: Rows,
) -> int:
    """Close the bars of indexes `first` to `end` that end at or before `end_ns`; return the flags raised.

    If bars close by time, those without a trade close too. Such a bar has the last close as its four prices. Of a long
    gap only the bars that are kept are made.
    """
    flags = 0
    for k in range(first, end):
        bar = bars[k]
        i = bar[BAR_INSTRUMENT]
        interval_ns = bar[BAR_INTERVAL_NS]
        while bar[BAR_BEGUN] != 0 and bar[BAR_START_NS] + interval_ns <= end_ns:
            slot = bar[BAR_CLOSED_COUNT] % BARS_KEPT
            for n in range(BAR_NUMBERS):
                closed[k, slot, n] = bar[n]
            closed[k, slot, CLOSED_COMPLETE] = 1 if t[i, L_SINCE_NS] <= bar[BAR_START_NS] else 0
            bar[BAR_CLOSED_COUNT] += 1
            update_with_bar(k, bar, s, indicators, values)
            if s[S_CONDITIONS] > 0:
                check_crosses(CROSS_AT_BAR, i, k, bar, s, indicators, values, conditions)
            s[S_CHANGED] |= bar[BAR_TRIGGERS] | t[i, X_BAR_TRIGGERS]
            if t[i, X_BAR_TRIGGERS] != 0:
                flags = BAR_CLOSED
            bar[BAR_BEGUN] = s[S_BARS_BY_TIME]
            bar[BAR_TRADES] = 0
            first_ns = end_ns - BARS_KEPT * interval_ns
            first_ns -= (first_ns - bar[BAR_ANCHOR_NS]) % interval_ns
            bar[BAR_START_NS] = max(bar[BAR_START_NS] + interval_ns, first_ns)
            bar[BAR_OPEN] = bar[BAR_CLOSE]
            bar[BAR_HIGH] = bar[BAR_CLOSE]
            bar[BAR_LOW] = bar[BAR_CLOSE]
            bar[BAR_VOLUME_1] = 0
            bar[BAR_VOLUME_0] = 0
    return flags


@compiled
def fold_bar(
    row: Rows,
    venue_ns: int,
    k: int,
    s: Rows,
    t: Rows,
    bars: Rows,
    closed: Rows,
    indicators: Rows,
    values: Floats,
    conditions: Rows,
) -> int:
    """Add a trade to its bar by the venue's time, after closing the bars before it; return the flags raised."""
    bar = bars[k]
    price = row[r.TRADE_PRICE]
    flags = 0
    if bar[BAR_BEGUN] != 0:
        if venue_ns < bar[BAR_START_NS]:
            bar[BAR_LATE] += 1
            return 0
        if venue_ns - bar[BAR_START_NS] >= bar[BAR_INTERVAL_NS]:
            start_ns = venue_ns - (venue_ns - bar[BAR_ANCHOR_NS]) % bar[BAR_INTERVAL_NS]
            flags = close_until(start_ns, k, k + 1, s, t, bars, closed, indicators, values, conditions)
    if bar[BAR_TRADES] == 0:
        bar[BAR_BEGUN] = 1
        bar[BAR_START_NS] = venue_ns - (venue_ns - bar[BAR_ANCHOR_NS]) % bar[BAR_INTERVAL_NS]
        bar[BAR_OPEN] = price
        bar[BAR_HIGH] = price
        bar[BAR_LOW] = price
        bar[BAR_VOLUME_1] = 0
        bar[BAR_VOLUME_0] = 0
    bar[BAR_HIGH] = max(bar[BAR_HIGH], price)
    bar[BAR_LOW] = min(bar[BAR_LOW], price)
    bar[BAR_CLOSE] = price
    total = bar[BAR_VOLUME_0] + row[r.TRADE_SIZE]
    bar[BAR_VOLUME_0] = total & WORD_MASK
    bar[BAR_VOLUME_1] += total >> WORD_BITS
    bar[BAR_TRADES] += 1
    return flags
