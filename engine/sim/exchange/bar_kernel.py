"""Quotes and bars in the simulated venue's matching book. Compiled; fills no order.

A bar is a quote at its start, which fills at most the bar's share of volume, and a range of prices at its end.
"""

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.rows import Rows
from engine.sim.exchange.price_levels import FAR, set_quoted
from engine.sim.exchange.venue_arrays import (
    O_PRICE,
    O_SIDE,
    O_SYMBOL,
    V_ASK,
    V_ASK_SIZE,
    V_BID,
    V_BID_SIZE,
    V_FAR,
    V_FRESH_ASK,
    V_FRESH_BID,
    V_FRESH_ID,
    V_ID,
    V_IS_BARS,
    V_LEFT,
    V_PRICE_UNIT,
    V_QUOTE_ID,
    V_QUOTED,
    V_QUOTES_ALONE,
    V_SIZE_UNIT,
    V_TRIGGER_HIGH,
    V_TRIGGER_LOW,
)


@compiled
def apply_quote(i: int, row: Rows, v: Rows, levels: Rows) -> None:
    """Set the best bid and ask as of an update, and remove better levels from the matching book."""
    bid = row[r.QUOTE_BID] * v[i, V_PRICE_UNIT]
    bid_size = row[r.QUOTE_BID_SIZE] * v[i, V_SIZE_UNIT]
    ask = row[r.QUOTE_ASK] * v[i, V_PRICE_UNIT]
    ask_size = row[r.QUOTE_ASK_SIZE] * v[i, V_SIZE_UNIT]
    v[i, V_QUOTED] = 1
    v[i, V_QUOTE_ID] = row[r.QUOTE_ID]
    v[i, V_BID] = bid
    v[i, V_BID_SIZE] = bid_size
    v[i, V_ASK] = ask
    v[i, V_ASK_SIZE] = ask_size
    if v[i, V_QUOTES_ALONE] == 0 and (row[r.QUOTE_ID] < v[i, V_ID] or v[i, V_ID] == 0):
        return
    for side in range(2):
        key = bid if side == 0 else -ask
        if v[i, V_QUOTES_ALONE]:  # one level a side; consumed size stays consumed while its price is the same
            v[i, V_FAR + side] = 1 if v[i, V_FAR + side] > 0 and levels[2 * i + side, FAR] == key else 0
        v[i, V_FAR + side] = set_quoted(
            levels[2 * i + side], v[i, V_FAR + side], key, bid_size if side == 0 else ask_size
        )
    v[i, V_FRESH_ID] = row[r.QUOTE_ID]
    v[i, V_FRESH_BID] = bid
    v[i, V_FRESH_ASK] = ask


@compiled
def start_bar(i: int, row: Rows, v: Rows, levels: Rows) -> None:
    """Set the quote at which a bar opens, and what the bar fills."""
    v[i, V_IS_BARS] = 1
    v[i, V_LEFT] = row[r.QUOTE_BID_SIZE] * v[i, V_SIZE_UNIT]
    for side in range(2):
        v[i, V_FAR + side] = 0  # sizes consumed of the last bar end with it
    apply_quote(i, row, v, levels)


@compiled
def triggers_order(i: int, price: int, v: Rows) -> bool:
    """Return True if a price triggers a held order."""
    return bool(price >= v[i, V_TRIGGER_HIGH] or price <= v[i, V_TRIGGER_LOW])


@compiled
def bar_reaches_order(i: int, row: Rows, v: Rows, orders: Rows) -> bool:
    """Return True if the prices of a bar reach the price or the trigger of an order."""
    low = row[r.BAR_LOW] * v[i, V_PRICE_UNIT]
    high = row[r.BAR_HIGH] * v[i, V_PRICE_UNIT]
    if triggers_order(i, low, v) or triggers_order(i, high, v):
        return True
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] == i and (
            low <= orders[k, O_PRICE] if orders[k, O_SIDE] == 0 else high >= orders[k, O_PRICE]
        ):
            return True
    return False
