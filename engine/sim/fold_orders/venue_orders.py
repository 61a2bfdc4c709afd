"""Own orders at the simulated venue: placing, cancelling, and the fills of those that rest. Compiled.

The queues are those of engine/sim/exchange: its kernel moves them and stops after a row that may fill an order. Here
that row fills as engine/sim/exchange/order_matching.py fills. Amounts are units of 1e-8.
"""

from engine.market import rows as r
from engine.market.jit import compiled, compiled_apart
from engine.market.layout import NEVER
from engine.market.rows import Floats, Rows
from engine.sim.exchange.price_levels import LOWEST, SIZE, TAKEN, best_offered, find_level
from engine.sim.exchange.queue_models import excess
from engine.sim.exchange.trade_tape import product
from engine.sim.exchange.venue_arrays import (
    HIGHEST,
    O_AHEAD,
    O_FIELDS,
    O_PRICE,
    O_SHOWN,
    O_SIDE,
    O_SINCE,
    O_SYMBOL,
    O_TRADED,
    V_FAR,
    V_LOT,
    V_PLACED,
    V_PRICE_UNIT,
    V_QUEUE,
    V_RECORDS,
    V_SIZE_UNIT,
)
from engine.sim.fold_orders.average_bounds import check_prices
from engine.sim.fold_orders.fold_layout import (
    ACCEPTED,
    B_FIELDS,
    B_LEAVES,
    B_NUMBER,
    B_PRIORITY,
    CANCEL,
    CANCEL_FAILED,
    CANCELED,
    FILLED,
    M_CODE,
    M_KIND,
    M_LINES,
    M_NUMBER,
    M_PRICE,
    M_SIZE,
    M_VENUE_NS,
    MESSAGES_MAX,
    NEAR_PRICE_BOUND,
    NEAR_RATE_LIMIT,
    ORDERS_MAX,
    PLACE_MAKER,
    PLACE_MARKET,
    REJECTED,
    SELF_TRADE,
    TOO_MANY_ORDERS,
    V_EXPIRED,
    V_MAX_ORDERS,
    V_NOTIONAL,
    V_WOULD_MATCH,
    W_ANSWER_HEAD,
    W_ANSWER_NS,
    W_ANSWER_TAIL,
    W_FILLS_WHOLE,
    W_IN_VENUE_WINDOW,
    W_NOW,
    W_PER_10S_MAX,
    W_PRIORITY,
    W_RESTING,
    W_VENUE_NOTIONAL_MAX,
    W_VENUE_ORDERS_MAX,
    W_VENUE_WINDOW,
)
from engine.sim.fold_orders.own_orders import OK, SECOND_NS, send

MILLISECOND_NS = 1_000_000


@compiled
def report(
    w: Rows, v: Rows, answers: Rows, time_ns: int, kind: int, number: int, price: int, size: int, code: int
) -> int:
    """Send what happened at the venue at a time to the engine."""
    why = send(w, answers, W_ANSWER_HEAD, W_ANSWER_TAIL, time_ns + w[W_ANSWER_NS], kind, number, price, size, code)
    message = answers[(w[W_ANSWER_TAIL] - 1) % MESSAGES_MAX]
    message[M_VENUE_NS] = time_ns - time_ns % MILLISECOND_NS
    message[M_LINES] = v[0, V_RECORDS]
    return why


# ---- the resting orders, in the order of VenueBooks: asks first, best price first, then by age


@compiled
def is_before(first: Rows, second: Rows) -> bool:
    """Return True if a resting order precedes the youngest one."""
    if first[O_SIDE] != second[O_SIDE]:
        return bool(first[O_SIDE] > second[O_SIDE])
    if first[O_SIDE] == 1:
        return bool(first[O_PRICE] <= second[O_PRICE])
    return bool(first[O_PRICE] >= second[O_PRICE])


@compiled
def move_resting(orders: Rows, fronts: Floats, rest: Rows, to: int, start: int) -> None:
    """Copy a resting order to another place."""
    for field in range(O_FIELDS):
        orders[to, field] = orders[start, field]
    for field in range(B_FIELDS):
        rest[to, field] = rest[start, field]
    fronts[to] = fronts[start]


@compiled
def add_resting(
    w: Rows,
    v: Rows,
    levels: Rows,
    orders: Rows,
    fronts: Floats,
    rest: Rows,
    number: int,
    side: int,
    price: int,
    leaves: int,
) -> None:
    """Put an order at the end of the queue at its price. `side` is 0 for a buy, 1 for a sale."""
    k = w[W_RESTING]
    w[W_RESTING] += 1
    w[W_PRIORITY] += 1
    row = levels[side]
    at = find_level(row, v[0, V_FAR + side], price if side == 0 else -price)
    shown = row[at + SIZE] if at > 0 else 0
    newest = orders[ORDERS_MAX]
    newest[O_SYMBOL] = 0
    newest[O_SIDE] = side
    newest[O_PRICE] = price
    while k > 0 and not is_before(orders[k - 1], newest):
        move_resting(orders, fronts, rest, k, k - 1)
        k -= 1
    orders[k, O_SYMBOL] = 0
    orders[k, O_SIDE] = side
    orders[k, O_PRICE] = price
    orders[k, O_AHEAD] = shown
    orders[k, O_SHOWN] = shown
    orders[k, O_TRADED] = 0
    orders[k, O_SINCE] = v[0, V_PLACED]
    fronts[k] = float(shown)
    rest[k, B_NUMBER] = number
    rest[k, B_LEAVES] = leaves
    rest[k, B_PRIORITY] = w[W_PRIORITY]


@compiled
def remove_resting(w: Rows, orders: Rows, fronts: Floats, rest: Rows, k: int) -> None:
    """Remove a resting order."""
    w[W_RESTING] -= 1
    for n in range(k, w[W_RESTING]):
        move_resting(orders, fronts, rest, n, n + 1)


# ---- fills


@compiled
def fill(w: Rows, v: Rows, rest: Rows, answers: Rows, k: int, price: int, size: int, time_ns: int) -> int:
    """Fill a part of a resting order; return OK or the reason to end the run."""
    rest[k, B_LEAVES] -= size
    return report(
        w, v, answers, time_ns, FILLED, rest[k, B_NUMBER], price // v[0, V_PRICE_UNIT], size // v[0, V_SIZE_UNIT], 1
    )


@compiled
def remove_filled(w: Rows, orders: Rows, fronts: Floats, rest: Rows) -> bool:
    """Remove the orders that are filled; return True if there was one."""
    before = w[W_RESTING]
    k = before - 1
    while k >= 0:
        if rest[k, B_LEAVES] == 0:
            remove_resting(w, orders, fronts, rest, k)
        k -= 1
    return bool(w[W_RESTING] < before)


@compiled_apart
def fill_by_print(
    w: Rows, row: Rows, v: Rows, orders: Rows, fronts: Floats, rest: Rows, answers: Rows, time_ns: int
) -> int:
    """Fill the resting orders that a trade reaches, as OrderMatching._fill_by_print does."""
    price = row[r.TRADE_PRICE] * v[0, V_PRICE_UNIT]
    traded = row[r.TRADE_SIZE] * v[0, V_SIZE_UNIT]
    hit = 0 if row[r.TRADE_BUYER_IS_MAKER] else 1
    for side in range(2):
        left = traded
        for k in range(w[W_RESTING]):
            if orders[k, O_SIDE] != side:
                continue
            beyond = orders[k, O_PRICE] - price if side == 0 else price - orders[k, O_PRICE]
            if beyond < 0:
                break
            if beyond == 0 and side != hit:
                continue
            reached = traded
            if beyond == 0:
                reached = min(traded, excess(v[0, V_QUEUE], v[0, V_LOT], orders[k, O_AHEAD], fronts[k], traded))
            ours = left - traded + reached
            orders[k, O_AHEAD] = 0 if beyond > 0 else max(0, orders[k, O_AHEAD] - traded)
            fronts[k] = 0.0 if reached > 0 else fronts[k] - traded
            orders[k, O_TRADED] += traded
            size = min(rest[k, B_LEAVES], ours)
            if w[W_FILLS_WHOLE] and ours > 0:
                size = rest[k, B_LEAVES]
            if size > 0:
                left -= 0 if w[W_FILLS_WHOLE] else size
                why = fill(w, v, rest, answers, k, orders[k, O_PRICE], size, time_ns)
                if why != OK:
                    return int(why)
    remove_filled(w, orders, fronts, rest)
    return OK


@compiled_apart
def fill_by_book(
    w: Rows, v: Rows, levels: Rows, orders: Rows, fronts: Floats, rest: Rows, answers: Rows, time_ns: int
) -> int:
    """Fill resting orders by the market's offers at or better than their price, as OrderMatching._fill_by_book does."""
    for side in range(2):
        row, far = levels[1 - side], v[0, V_FAR + 1 - side]
        for k in range(w[W_RESTING]):
            if orders[k, O_SIDE] != side:
                continue
            key = best_offered(row, far, HIGHEST)
            least = -orders[k, O_PRICE] if side == 0 else orders[k, O_PRICE]
            while key != LOWEST and key >= least and rest[k, B_LEAVES] > 0:
                at = find_level(row, far, key)
                size = rest[k, B_LEAVES]
                if not w[W_FILLS_WHOLE]:
                    size = min(size, row[at + SIZE] - row[at + TAKEN])
                    row[at + TAKEN] += size
                why = fill(w, v, rest, answers, k, orders[k, O_PRICE], size, time_ns)
                if why != OK:
                    return int(why)
                key = best_offered(row, far, key)
    remove_filled(w, orders, fronts, rest)
    return OK


# ---- requests


@compiled
def crosses_market(v: Rows, levels: Rows, side: int, price: int) -> bool:
    """Return True if an order would trade with the market's offers."""
    key = best_offered(levels[1 - side], v[0, V_FAR + 1 - side], HIGHEST)
    return bool(key != LOWEST and key >= (-price if side == 0 else price))


@compiled
def crosses_own(w: Rows, orders: Rows, side: int, price: int) -> bool:
    """Return True if an order with a limit would trade with an own order."""
    for k in range(w[W_RESTING]):
        if orders[k, O_SIDE] != side and (orders[k, O_PRICE] - price) * (1 if side == 0 else -1) <= 0:
            return True
    return False


@compiled
def refusal_of(
    w: Rows, message: Rows, v: Rows, levels: Rows, minutes: Rows, orders: Rows, side: int, price: int, size: int
) -> int:
    """Return why the venue refuses an order; OK if it does not, NEAR_PRICE_BOUND if floats cannot decide."""
    kind = message[M_KIND]
    code = check_prices(w, v, levels, minutes, kind, price, size)
    if code != OK or kind == PLACE_MARKET:
        return V_MAX_ORDERS if code == OK and w[W_RESTING] >= w[W_VENUE_ORDERS_MAX] else int(code)
    if w[W_VENUE_NOTIONAL_MAX] > 0 and product(price, size) > w[W_VENUE_NOTIONAL_MAX]:
        return V_NOTIONAL
    if w[W_RESTING] >= w[W_VENUE_ORDERS_MAX]:
        return V_MAX_ORDERS
    if kind == PLACE_MAKER and (crosses_own(w, orders, side, price) or crosses_market(v, levels, side, price)):
        return V_WOULD_MATCH
    return OK


@compiled
def fill_taker(
    w: Rows, v: Rows, levels: Rows, answers: Rows, number: int, side: int, least: int, size: int
) -> tuple[int, int, int]:
    """Fill an order by the market's offers down to the key `least`; return (reason, rest, last key)."""
    row, far = levels[1 - side], v[0, V_FAR + 1 - side]
    last, left = HIGHEST, size
    key = best_offered(row, far, HIGHEST)
    while left > 0 and key >= least:
        at = find_level(row, far, key)
        taken = min(left, row[at + SIZE] - row[at + TAKEN])
        row[at + TAKEN] += taken
        left -= taken
        last = key
        paid = (-key if side == 0 else key) // v[0, V_PRICE_UNIT]
        why = report(w, v, answers, w[W_NOW], FILLED, number, paid, taken // v[0, V_SIZE_UNIT], 0)
        if why != OK:
            return why, left, last
        key = best_offered(row, far, key)
    return OK, left, last


@compiled
def meets_own(w: Rows, orders: Rows, side: int, left: int, last: int) -> bool:
    """Return True if a market order would trade with an own order: it takes all, or beyond that order's price."""
    for k in range(w[W_RESTING]):
        key = -orders[k, O_PRICE] if side == 0 else orders[k, O_PRICE]
        if orders[k, O_SIDE] != side and (left > 0 or key > last):
            return True
    return False


@compiled_apart
def place_at_venue(
    w: Rows,
    message: Rows,
    v: Rows,
    levels: Rows,
    minutes: Rows,
    orders: Rows,
    fronts: Floats,
    rest: Rows,
    answers: Rows,
) -> int:
    """Place an order that arrives at the venue, and match it; return OK or the reason to end the run."""
    now_ns, number, kind = w[W_NOW], message[M_NUMBER], message[M_KIND]
    side = 0 if message[M_CODE] > 0 else 1
    price, size = message[M_PRICE] * v[0, V_PRICE_UNIT], message[M_SIZE] * v[0, V_SIZE_UNIT]
    window = now_ns // (10 * SECOND_NS)
    w[W_IN_VENUE_WINDOW] = w[W_IN_VENUE_WINDOW] + 1 if w[W_VENUE_WINDOW] == window else 1
    w[W_VENUE_WINDOW] = window
    if w[W_IN_VENUE_WINDOW] > w[W_PER_10S_MAX]:
        return NEAR_RATE_LIMIT
    code = refusal_of(w, message, v, levels, minutes, orders, side, price, size)
    if code == NEAR_PRICE_BOUND:
        return NEAR_PRICE_BOUND
    if code != OK:
        return report(w, v, answers, now_ns, REJECTED, number, 0, 0, code)
    if kind != PLACE_MARKET and crosses_own(w, orders, side, price):
        return SELF_TRADE
    if w[W_RESTING] == ORDERS_MAX:
        return TOO_MANY_ORDERS
    why = report(w, v, answers, now_ns, ACCEPTED, number, 0, 0, 0)
    if why != OK:
        return why
    least = LOWEST + 1
    if kind != PLACE_MARKET:
        least = -price if side == 0 else price
    why, left, last = fill_taker(w, v, levels, answers, number, side, least, size)
    if why != OK:
        return int(why)
    if kind == PLACE_MARKET:
        if meets_own(w, orders, side, left, last):
            return SELF_TRADE
        if left > 0:
            return report(w, v, answers, now_ns, CANCELED, number, 0, 0, V_EXPIRED)
    elif left > 0:
        add_resting(w, v, levels, orders, fronts, rest, number, side, price, left)
    return OK


@compiled_apart
def cancel_at_venue(w: Rows, v: Rows, number: int, orders: Rows, fronts: Floats, rest: Rows, answers: Rows) -> int:
    """Cancel an order of a request that arrives at the venue; return OK or the reason to end the run."""
    for k in range(w[W_RESTING]):
        if rest[k, B_NUMBER] == number:
            remove_resting(w, orders, fronts, rest, k)
            return report(w, v, answers, w[W_NOW], CANCELED, number, 0, 0, 0)
    return report(w, v, answers, w[W_NOW], CANCEL_FAILED, number, 0, 0, 0)


@compiled
def apply_request(
    w: Rows,
    message: Rows,
    v: Rows,
    levels: Rows,
    minutes: Rows,
    orders: Rows,
    fronts: Floats,
    rest: Rows,
    answers: Rows,
) -> int:
    """Apply a request that arrives at the venue; return OK or the reason to end the run."""
    sent = w[W_ANSWER_TAIL]
    if message[M_KIND] == CANCEL:
        why = cancel_at_venue(w, v, message[M_NUMBER], orders, fronts, rest, answers)
    else:
        why = place_at_venue(w, message, v, levels, minutes, orders, fronts, rest, answers)
    if w[W_ANSWER_NS] == 0:  # an answer at the time of its request follows all records of that time
        for n in range(sent, w[W_ANSWER_TAIL]):
            answers[n % MESSAGES_MAX, M_LINES] = NEVER - 1
    return int(why)
