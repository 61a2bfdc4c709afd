"""The market's rows in the simulated venue: its books, its tape and the queues of resting orders.

Compiled; fills no order. The loop stops after a row that may fill a resting order; engine/sim/exchange/exchange.py
checks and fills. Python runs only there. Amounts are integers in units of 1e-8 at any scale of the rows. The loop stops
only between records, and a record is never cut: the place where a batch of rows is cut never changes a result.

Each level has two sizes. The matching book has the depth diffs and, if it is newer, the last quote; what orders
consumed of a level stays consumed until that level changes. The public book has the diffs alone, and answers GET depth.
"""

from typing import Final

from engine.market import rows as r
from engine.market.fold.books import is_old
from engine.market.fold.dense_book import N_COUNT, N_MISSES, forget_window, needs_window, slot_of
from engine.market.fold.id_gaps import has_restarted
from engine.market.jit import compiled
from engine.market.rows import VALUE_MAX, Floats, Rows
from engine.sim.exchange.bar_kernel import apply_quote, bar_reaches_order, start_bar, triggers_order
from engine.sim.exchange.market_orders import apply_order, has_room
from engine.sim.exchange.price_levels import (
    SIZE,
    best_offered,
    find_level,
    room_of,
    set_far,
    set_slot,
)
from engine.sim.exchange.queue_models import UNSEEN, advance_front, excess, is_counted
from engine.sim.exchange.trade_tape import add_up_to_largest, apply_trade, is_new_trade
from engine.sim.exchange.venue_arrays import (
    HIGHEST,
    LARGEST,
    O_AHEAD,
    O_PRICE,
    O_SHOWN,
    O_SIDE,
    O_SYMBOL,
    O_TRADED,
    V_ASK,
    V_BID,
    V_BOOK_NS,
    V_BOOK_VENUE_NS,
    V_EDGE,
    V_FAR,
    V_FRESH_ASK,
    V_FRESH_BID,
    V_FRESH_ID,
    V_FUNDING_NS,
    V_GAPS,
    V_ID,
    V_JOINED,
    V_LOT,
    V_MARK,
    V_PRICE_UNIT,
    V_QUEUE,
    V_QUEUE_N,
    V_QUOTES_ALONE,
    V_RATE,
    V_RECORDS,
    V_SIZE_UNIT,
    V_SNAPSHOT_ID,
)

# Reasons to stop
DONE: Final = 0
PRINTED: Final = 1  # after a trade that reaches an order
CROSSED: Final = 2  # after a record that makes an order tradable with the book
UNJOINED: Final = 3  # before a diff that precedes the first snapshot
JOINED: Final = 4  # after a snapshot
GROW: Final = 5  # before a record for which the books need room or another window
FUNDED: Final = 6  # before a mark with a later funding time: the previous funding is due
TOO_LARGE: Final = 8  # before a record with a price above HIGHEST units or a size above LARGEST
BAR_REACHED: Final = 9  # after a bar whose prices reach an order
TRIGGERED: Final = 7  # after a price that triggers a held order and fills no resting one


@compiled
def update_queues(i: int, v: Rows, levels: Rows, orders: Rows, fronts: Floats) -> bool:
    """Update the queues after a change of the book; return True if an order could trade with the book."""
    crossed = False
    best_bid = best_ask = 0
    has_best = False
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] != i:
            continue
        side = orders[k, O_SIDE]
        price = orders[k, O_PRICE]
        key = price if side == 0 else -price
        if v[i, V_QUEUE] != UNSEEN and (orders[k, O_AHEAD] > 0 or not is_counted(v[i, V_QUEUE])):
            at = find_level(levels[2 * i + side], v[i, V_FAR + side], key)
            shown = levels[2 * i + side, at + SIZE] if at > 0 else 0
            if is_counted(v[i, V_QUEUE]):
                orders[k, O_AHEAD] = min(orders[k, O_AHEAD], shown)
            elif shown != orders[k, O_SHOWN]:
                fronts[k] = advance_front(
                    v[i, V_QUEUE], v[i, V_QUEUE_N], fronts[k], orders[k, O_SHOWN], shown, orders[k, O_TRADED]
                )
                orders[k, O_SHOWN] = shown
                orders[k, O_TRADED] = 0
        if not has_best:
            has_best = True
            for other in range(2):
                best_bid, best_ask = best_ask, best_offered(levels[2 * i + other], v[i, V_FAR + other], HIGHEST)
        crossed |= (best_ask if side == 0 else best_bid) >= -key
    return crossed


@compiled
def reaches_order(i: int, price: int, size: int, buyer_is_maker: int, v: Rows, orders: Rows, fronts: Floats) -> bool:
    """Return True if a trade fills a resting order; otherwise shorten the queues at its price."""
    hit = 0 if buyer_is_maker else 1
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] == i:
            side = orders[k, O_SIDE]
            beyond = orders[k, O_PRICE] - price if side == 0 else price - orders[k, O_PRICE]
            if beyond > 0 or (
                beyond == 0
                and side == hit
                and excess(v[i, V_QUEUE], v[i, V_LOT], orders[k, O_AHEAD], fronts[k], size) > 0
            ):
                return True
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] == i and orders[k, O_PRICE] == price and orders[k, O_SIDE] == hit:
            orders[k, O_AHEAD] = max(orders[k, O_AHEAD], size - LARGEST) - size
            add_up_to_largest(orders[k], O_TRADED, size)
            fronts[k] -= size
    return False


@compiled
def apply_sizes(
    i: int, rows: Rows, start: int, end: int, fresher: bool, v: Rows, levels: Rows, orders: Rows, known: Rows
) -> None:
    """Set a diff's sizes in both books. A newer quote overrides an older diff at its prices and better ones."""
    price_unit = v[i, V_PRICE_UNIT]
    size_unit = v[i, V_SIZE_UNIT]
    for k in range(start, end):
        if rows[k, r.TYPE] == r.ORDER:
            apply_order(i, rows[k], v, levels, orders, known)
            continue
        side = rows[k, r.LEVEL_SIDE]
        price = rows[k, r.LEVEL_PRICE] * price_unit
        size = rows[k, r.LEVEL_SIZE] * size_unit
        key = price if side == 0 else -price
        row = levels[2 * i + side]
        is_newest = fresher or (side == 0 and price < v[i, V_FRESH_BID]) or (side == 1 and price > v[i, V_FRESH_ASK])
        slot = slot_of(row, key)
        if slot < 0:
            row[N_MISSES] += 1
            v[i, V_FAR + side] = set_far(row, v[i, V_FAR + side], key, size, is_newest, True)
        else:
            set_slot(row, slot, size, is_newest, True)


@compiled
def is_joined(i: int, row: Rows, v: Rows, levels: Rows) -> bool:
    """Return True if a diff can change the book. A numbering that begins again, as the fold sees it, ends the book."""
    is_lower = v[i, V_JOINED] != 0 and row[r.DIFF_LAST_ID] < v[i, V_ID]
    if is_lower and has_restarted(row[r.VENUE_NS], v[i, V_BOOK_VENUE_NS], row[r.TIME_NS], v[i, V_BOOK_NS]):
        v[i, V_JOINED] = v[i, V_ID] = v[i, V_FRESH_ID] = 0
        v[i, V_GAPS] += 1
        for side in range(2):
            v[i, V_FAR + side] = 0
            forget_window(levels[2 * i + side])
    return bool(v[i, V_JOINED])


@compiled
def apply_depth(i: int, rows: Rows, start: int, v: Rows, levels: Rows, orders: Rows, known: Rows) -> bool:
    """Apply a snapshot, or a diff with its levels; return True if it was new."""
    last_id = rows[start, r.DIFF_LAST_ID]
    fresher = True
    if rows[start, r.TYPE] == r.SNAPSHOT:
        for side in range(2):
            v[i, V_FAR + side] = 0
            forget_window(levels[2 * i + side])
        last_id = rows[start, r.SNAPSHOT_ID]
        v[i, V_FRESH_ID] = 0
        v[i, V_JOINED] = 1
        v[i, V_SNAPSHOT_ID] = last_id
        v[i, V_EDGE] = rows[start + rows[start, r.DIFF_LEVELS], r.SNAPSHOT_EDGE]
    elif is_old(last_id, v[i, V_ID], v[i, V_SNAPSHOT_ID], v[i, V_EDGE]):
        return False
    else:
        first_id = rows[start, r.DIFF_FIRST_ID]
        previous_id = rows[start, r.DIFF_PREVIOUS_ID]
        missing = first_id > v[i, V_ID] + 1 if previous_id == 0 else previous_id > v[i, V_ID]
        v[i, V_GAPS] += missing
        fresher = last_id >= v[i, V_FRESH_ID]
    v[i, V_BOOK_VENUE_NS] = rows[start, r.VENUE_NS]
    v[i, V_BOOK_NS] = rows[start, r.TIME_NS]
    apply_sizes(i, rows, start + 1, start + 1 + rows[start, r.DIFF_LEVELS], fresher, v, levels, orders, known)
    v[i, V_ID] = last_id
    return True


@compiled
def set_mark(i: int, row: Rows, v: Rows) -> None:
    """Set the figures of the next funding."""
    v[i, V_MARK] = row[r.MARK_PRICE]  # both have eight decimal places, as units do
    v[i, V_RATE] = row[r.MARK_RATE]
    v[i, V_FUNDING_NS] = row[r.MARK_NEXT_NS]


@compiled
def match_bar(i: int, row: Rows, v: Rows, levels: Rows, orders: Rows, fronts: Floats) -> int:
    """Set the quote at which a bar opens, or compare its prices with the orders; return the reason to stop."""
    if row[r.TYPE] == r.BAR:
        return BAR_REACHED if bar_reaches_order(i, row, v, orders) else DONE
    start_bar(i, row, v, levels)
    if update_queues(i, v, levels, orders, fronts):
        return CROSSED
    return TRIGGERED if triggers_order(i, (v[i, V_BID] + v[i, V_ASK]) // 2, v) else DONE


@compiled
def fits_units(i: int, rows: Rows, start: int, end: int, v: Rows) -> bool:
    """Return True if no price of a record is above HIGHEST units, and no size above LARGEST."""
    price_max = HIGHEST // v[i, V_PRICE_UNIT]
    size_max = LARGEST // v[i, V_SIZE_UNIT]
    if price_max >= VALUE_MAX and size_max >= VALUE_MAX:
        return True
    for k in range(start, end):
        kind = rows[k, r.TYPE]
        if kind == r.BAR:
            if rows[k, r.BAR_HIGH] > price_max:
                return False
        elif kind == r.QUOTE or kind == r.BAR_START:
            if max(rows[k, r.QUOTE_BID], rows[k, r.QUOTE_ASK]) > price_max:
                return False
            if max(rows[k, r.QUOTE_BID_SIZE], rows[k, r.QUOTE_ASK_SIZE]) > size_max:
                return False
        elif kind == r.TRADE:
            if rows[k, r.TRADE_PRICE] > price_max or rows[k, r.TRADE_SIZE] > size_max:
                return False
        elif (kind == r.LEVEL or kind == r.ORDER) and (
            rows[k, r.LEVEL_PRICE] > price_max or rows[k, r.LEVEL_SIZE] > size_max
        ):
            return False
    return True


@compiled
def match_rows(
    rows: Rows,
    start: int,
    until_ns: int,
    v: Rows,
    levels: Rows,
    prints: Rows,
    minutes: Rows,
    orders: Rows,
    fronts: Floats,
    known: Rows,
) -> tuple[int, int]:
    """Fold whole records up to and including `until_ns`; return (next row, reason to stop)."""
    k = start
    while k < rows.shape[0] and rows[k, r.TIME_NS] <= until_ns:
        kind = rows[k, r.TYPE]
        i = rows[k, r.INSTRUMENT]
        last = k + (rows[k, r.DIFF_LEVELS] if kind == r.DIFF or kind == r.SNAPSHOT else 0)
        why = DONE
        if kind != r.MARK and not fits_units(i, rows, k, last + 1, v):
            return k, TOO_LARGE
        if kind == r.TRADE and is_new_trade(i, rows[k], v) and rows[k, r.TRADE_OFF_BOOK] == 0:
            apply_trade(i, rows[k], v, prints, minutes)
            price = rows[k, r.TRADE_PRICE] * v[i, V_PRICE_UNIT]
            if reaches_order(
                i, price, rows[k, r.TRADE_SIZE] * v[i, V_SIZE_UNIT], rows[k, r.TRADE_BUYER_IS_MAKER], v, orders, fronts
            ):
                why = PRINTED
            elif triggers_order(i, price, v):
                why = TRIGGERED
        elif kind == r.MARK:
            if v[i, V_FUNDING_NS] > 0 and rows[k, r.MARK_NEXT_NS] > v[i, V_FUNDING_NS]:
                return k, FUNDED
            set_mark(i, rows[k], v)
        elif kind == r.BAR or kind == r.BAR_START:
            why = match_bar(i, rows[k], v, levels, orders, fronts)
        elif kind == r.QUOTE or kind == r.DIFF or kind == r.SNAPSHOT:
            if kind == r.DIFF and not is_joined(i, rows[k], v, levels):
                return k, UNJOINED
            more = 1 if kind == r.QUOTE else last - k
            if max(
                v[i, V_FAR] + levels[2 * i, N_COUNT], v[i, V_FAR + 1] + levels[2 * i + 1, N_COUNT]
            ) + more >= room_of(levels):
                return k, GROW
            if kind == r.DIFF and (needs_window(levels[2 * i]) or needs_window(levels[2 * i + 1])):
                return k, GROW
            if last > k and rows[last, r.TYPE] == r.ORDER and not has_room(known, more, v):
                return k, GROW
            told = True
            if kind == r.QUOTE:
                apply_quote(i, rows[k], v, levels)
            else:
                told = apply_depth(i, rows, k, v, levels, orders, known)
            if kind == r.SNAPSHOT:
                why = JOINED
            elif told and v[i, V_JOINED] and update_queues(i, v, levels, orders, fronts):
                why = CROSSED
            elif v[i, V_QUOTES_ALONE] and triggers_order(i, (v[i, V_BID] + v[i, V_ASK]) // 2, v):
                why = TRIGGERED
        v[0, V_RECORDS] += rows[last, r.LAST]
        k = last + 1
        if why != DONE:
            return k, why
    return k, DONE
