"""The search for the first row of the venue's market that might reach a resting order. Compiled; changes nothing.

Engine and venue fold their rows by the thousand up to there. It compares prices, and follows the least size that can be
before each order: a trade that is smaller fills nothing. A row that it passes reaches no order, for any content of the
books; one that it names need not reach one.
"""

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.rows import Floats, Rows
from engine.sim.exchange.bar_kernel import bar_reaches_order, triggers_order
from engine.sim.exchange.price_levels import best_offered
from engine.sim.exchange.queue_models import UNSEEN, is_counted
from engine.sim.exchange.venue_arrays import (
    HIGHEST,
    O_AHEAD,
    O_PRICE,
    O_SHOWN,
    O_SIDE,
    O_SYMBOL,
    V_FAR,
    V_JOINED,
    V_PRICE_UNIT,
    V_QUEUE,
    V_QUOTES_ALONE,
    V_SIZE_UNIT,
)


@compiled
def is_crossed(v: Rows, levels: Rows, orders: Rows) -> bool:
    """Return True if an order could trade with the current book: it was restored without matching."""
    for k in range(orders.shape[0]):
        other = 1 - orders[k, O_SIDE]
        i = orders[k, O_SYMBOL]
        key = orders[k, O_PRICE] if other == 0 else -orders[k, O_PRICE]
        if best_offered(levels[2 * i + other], v[i, V_FAR + other], HIGHEST) >= key:
            return True
    return False


@compiled
def begin_least(v: Rows, orders: Rows, fronts: Floats, least: Rows) -> None:
    """Set for each order the least size before it, and the largest size of its level since its last update."""
    for n in range(orders.shape[0]):
        least[n, 0] = 0
        least[n, 1] = orders[n, O_SHOWN]
        if is_counted(v[orders[n, O_SYMBOL], V_QUEUE]):
            least[n, 0] = orders[n, O_AHEAD]
        elif fronts[n] > 1.0:
            front = int(fronts[n])
            least[n, 0] = max(front - 1 - (front >> 40), 0)  # more than the model rounds


@compiled
def shrink_least(least: Rows, n: int, size: int, counted: bool) -> None:
    """Note another size of an order's level. A probabilistic model may count all that vanishes as before the order."""
    if not counted:
        vanished = max(least[n, 1] - size, 0)
        least[n, 0] = max(least[n, 0] - vanished - (vanished >> 40) - 1, 0)
    least[n, 0] = min(least[n, 0], size)
    least[n, 1] = max(least[n, 1], size)


@compiled
def follow_queue(n: int, row: Rows, v: Rows, orders: Rows, least: Rows) -> bool:
    """Note a row in the queue before an order; return True if the row might fill the order."""
    i = row[r.INSTRUMENT]
    kind = row[r.TYPE]
    side = orders[n, O_SIDE]
    price = orders[n, O_PRICE]
    counted = is_counted(v[i, V_QUEUE])
    if kind == r.TRADE:
        traded = row[r.TRADE_PRICE] * v[i, V_PRICE_UNIT]
        if traded != price:
            return bool(traded < price) if side == 0 else bool(traded > price)
        if v[i, V_QUEUE] == UNSEEN or (row[r.TRADE_BUYER_IS_MAKER] != 0) != (side == 0):
            return False  # no book shows the queue, or the trade was with the other side
        size = row[r.TRADE_SIZE] * v[i, V_SIZE_UNIT]
        if size > least[n, 0]:
            return True
        least[n, 0] -= size
    elif kind == r.LEVEL or kind == r.ORDER:
        of = row[r.LEVEL_PRICE] * v[i, V_PRICE_UNIT]
        if row[r.LEVEL_SIDE] != side:  # a level that goes away offers nothing
            return bool((of <= price if side == 0 else of >= price) and (kind == r.ORDER or row[r.LEVEL_SIZE] > 0))
        if of == price:
            if kind == r.ORDER:
                least[n, 0] = 0
            else:
                shrink_least(least, n, row[r.LEVEL_SIZE] * v[i, V_SIZE_UNIT], counted)
    elif kind == r.QUOTE or kind == r.BAR_START:
        bid = row[r.QUOTE_BID] * v[i, V_PRICE_UNIT]
        ask = row[r.QUOTE_ASK] * v[i, V_PRICE_UNIT]
        if (ask <= price) if side == 0 else (bid >= price):
            return True
        own = bid if side == 0 else ask
        if own == price and kind == r.QUOTE:
            size = row[r.QUOTE_BID_SIZE] if side == 0 else row[r.QUOTE_ASK_SIZE]
            shrink_least(least, n, size * v[i, V_SIZE_UNIT], counted)
        elif v[i, V_QUOTES_ALONE] or kind == r.BAR_START or (own < price if side == 0 else own > price):
            least[n, 0] = 0
    else:  # a snapshot: it removes the levels that it does not list, and the first one brings the diffs kept for it
        least[n, 0] = 0
        return bool(v[i, V_JOINED] == 0)
    return False


@compiled
def first_touch(
    rows: Rows,
    start: int,
    before_ns: int,
    v: Rows,
    levels: Rows,
    orders: Rows,
    fronts: Floats,
    least: Rows,
    continues: bool,
) -> int:
    """Return the first row before `before_ns` that might reach an order; the number of rows if no row does.

    `least` has room for two numbers of each order. A search that continues an earlier one over the rows before these
    needs its numbers; any other begins them.
    """
    if not continues:
        if start < rows.shape[0] and is_crossed(v, levels, orders):
            return start
        begin_least(v, orders, fronts, least)
    for k in range(start, rows.shape[0]):
        if rows[k, r.TIME_NS] >= before_ns:
            return k
        kind = rows[k, r.TYPE]
        i = rows[k, r.INSTRUMENT]
        if kind == r.BAR:
            if bar_reaches_order(i, rows[k], v, orders):
                return k
            continue
        if kind == r.TRADE:
            if triggers_order(i, rows[k, r.TRADE_PRICE] * v[i, V_PRICE_UNIT], v):
                return k
        elif kind == r.QUOTE or kind == r.BAR_START:
            middle = (rows[k, r.QUOTE_BID] + rows[k, r.QUOTE_ASK]) * v[i, V_PRICE_UNIT] // 2
            if v[i, V_QUOTES_ALONE] and triggers_order(i, middle, v):
                return k
        elif kind != r.LEVEL and kind != r.ORDER and kind != r.SNAPSHOT:
            continue
        for n in range(orders.shape[0]):
            if orders[n, O_SYMBOL] == i and follow_queue(n, rows[k], v, orders, least):
                return k
    return int(rows.shape[0])
