"""Bars of trades. Compiled; knows no stream."""

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.layout import (
    BAR_CLOSE,
    BAR_CLOSED_COUNT,
    BAR_HIGH,
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
    WORD_BITS,
    WORD_MASK,
)
from engine.market.rows import Rows


@compiled
def fold_bar(row: Rows, bar: Rows, closed: Rows) -> bool:
    """Add a trade to its bar by the venue's time; return True if that closed the previous bar."""
    venue_ns = row[r.VENUE_NS] if row[r.VENUE_NS] > 0 else row[r.TIME_NS]
    start_ns = venue_ns - venue_ns % bar[BAR_INTERVAL_NS]
    price = row[r.TRADE_PRICE]
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
    total = bar[BAR_VOLUME_0] + row[r.TRADE_SIZE]
    bar[BAR_VOLUME_0] = total & WORD_MASK
    bar[BAR_VOLUME_1] += total >> WORD_BITS
    bar[BAR_TRADES] += 1
    return done
