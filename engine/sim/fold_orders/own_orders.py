"""Own orders as the engine knows them: requests, risk's pure limits, answers. Compiled; knows no queue.

Each rule compares what engine/risk/rules compares. A case that needs more than these numbers ends the run with its
reason, and the ordinary way decides it.
"""

from typing import Final

from engine.market.jit import compiled
from engine.market.layout import (
    B_STATE,
    B_TIME_NS,
    B_TOP_ASK,
    B_TOP_BID,
    BOOK_SYNCED,
    Q_ASK,
    Q_BID,
    Q_LIVE,
    Q_TIME_NS,
)
from engine.market.rows import Rows
from engine.sim.fold_orders.fold_layout import (
    A_CANCEL_NS,
    A_FIELDS,
    A_FILLED,
    A_IS_OPEN,
    A_KIND,
    A_NUMBER,
    A_PRICE,
    A_SIDE,
    A_SIZE,
    ACCEPTED,
    BREAKER,
    CANCEL,
    CANCEL_REFUSED,
    CANCEL_SENT,
    CANCELED,
    FILLED,
    M_CODE,
    M_FIELDS,
    M_KIND,
    M_LINES,
    M_NUMBER,
    M_ORDER,
    M_PRICE,
    M_SIZE,
    M_TIME_NS,
    M_VENUE_NS,
    MARKET_NOTIONAL,
    MESSAGES_MAX,
    NEAR_PRICE_BOUND,
    NEAR_RATE_LIMIT,
    ORDERS_MAX,
    PLACE_MARKET,
    PLACED,
    R_LOT,
    R_NOTIONAL_MIN,
    R_OPEN_ORDERS,
    R_ORDER_SIZE,
    R_POSITION,
    R_QUOTE_AGE,
    R_RATE,
    R_SELLABLE,
    R_TICK,
    REFUSED,
    REJECTED,
    STALE_CANCEL,
    TOO_MANY_MESSAGES,
    TOO_MANY_ORDERS,
    W_BOUNDS_NS,
    W_BREAKER_NS,
    W_EVENTS,
    W_IN_MINUTE,
    W_IN_SECOND,
    W_IN_WINDOW,
    W_LOT,
    W_MARKET_NOTIONAL_MIN,
    W_MARKET_SIZE_MAX,
    W_MINUTE,
    W_NOTIONAL_MAX,
    W_NOTIONAL_MIN,
    W_NOW,
    W_OPEN_ORDERS_MAX,
    W_ORDER_SIZE_MAX,
    W_OWN,
    W_PER_10S_MAX,
    W_PER_SECOND_MAX,
    W_PLACED,
    W_POSITION,
    W_POSITION_MAX,
    W_PRICE_MAX,
    W_PRICE_MIN,
    W_QUOTE_AGE_MAX,
    W_REFUSALS,
    W_REFUSALS_MAX,
    W_REFUSED_NS,
    W_REJECTED_NS,
    W_REJECTIONS,
    W_REJECTIONS_MAX,
    W_REQUEST_HEAD,
    W_REQUEST_NS,
    W_REQUEST_TAIL,
    W_REQUESTS_MAX,
    W_SECOND,
    W_SELLABLE,
    W_SENT,
    W_SIZE_MAX,
    W_SIZE_MIN,
    W_SIZE_UNIT,
    W_TICK,
    W_TOUCH_MAX,
    W_WINDOW,
    X_CODE,
    X_KIND,
    X_NUMBER,
    X_PRICE,
    X_SIDE,
    X_SIZE,
    X_TIME_NS,
    X_VENUE_NS,
)
from engine.sim.fold_orders.spot_funds import is_far_from_market, position_change

OK: Final = 0
SECOND_NS: Final = 1_000_000_000


@compiled
def add_event(
    w: Rows, events: Rows, kind: int, number: int, side: int, price: int, size: int, code: int, venue_ns: int
) -> None:
    """Append an event of the current time."""
    event = events[w[W_EVENTS]]
    event[X_KIND] = kind
    event[X_TIME_NS] = w[W_NOW]
    event[X_NUMBER] = number
    event[X_SIDE] = side
    event[X_PRICE] = price
    event[X_SIZE] = size
    event[X_CODE] = code
    event[X_VENUE_NS] = venue_ns
    w[W_EVENTS] += 1


@compiled
def send(
    w: Rows, queue: Rows, head: int, tail: int, time_ns: int, kind: int, number: int, price: int, size: int, code: int
) -> int:
    """Send a message that arrives at a time; return OK or the reason to end the run. `w[W_NOW]` is the venue's time."""
    if w[tail] - w[head] >= MESSAGES_MAX:
        return TOO_MANY_MESSAGES
    message = queue[w[tail] % MESSAGES_MAX]
    w[tail] += 1
    w[W_SENT] += 1
    message[M_TIME_NS] = time_ns
    message[M_ORDER] = w[W_SENT]
    message[M_KIND] = kind
    message[M_NUMBER] = number
    message[M_PRICE] = price
    message[M_SIZE] = size
    message[M_CODE] = code
    message[M_VENUE_NS] = 0
    message[M_LINES] = 0
    return OK


@compiled
def find_own(w: Rows, own: Rows, number: int) -> int:
    """Return the place of a live order; -1 if no live order has this number."""
    for k in range(w[W_OWN]):
        if own[k, A_NUMBER] == number:
            return k
    return -1


@compiled
def remove_own(w: Rows, own: Rows, k: int) -> None:
    """Remove an order that has ended."""
    w[W_OWN] -= 1
    for n in range(k, w[W_OWN]):
        for field in range(A_FIELDS):
            own[n, field] = own[n + 1, field]


@compiled
def quote_age_ns(t: Rows, now_ns: int) -> int:
    """Return the age of the last message that states the quote, as MarketReader.quote_stated_ns has it."""
    stated_ns = t[0, Q_TIME_NS]
    same = t[0, Q_BID] == t[0, B_TOP_BID] and t[0, Q_ASK] == t[0, B_TOP_ASK]
    if t[0, B_STATE] == BOOK_SYNCED and same:
        stated_ns = max(stated_ns, t[0, B_TIME_NS])
    return int(now_ns - stated_ns)


@compiled
def objections(w: Rows, own: Rows, t: Rows, kind: int, side: int, price: int, size: int) -> int:
    """Return the bits of the risk rules that object to a new order."""
    bits = 0
    if size <= 0 or size % w[W_LOT] != 0 or size < w[W_SIZE_MIN] or (w[W_SIZE_MAX] > 0 and size > w[W_SIZE_MAX]):
        bits |= R_LOT
    if kind == PLACE_MARKET:
        if w[W_MARKET_SIZE_MAX] > 0 and size > w[W_MARKET_SIZE_MAX]:
            bits |= R_LOT
        price = t[0, Q_BID] if t[0, Q_LIVE] else 0  # the smallest notional counts at the bid
    elif (
        price <= 0
        or price % w[W_TICK] != 0
        or price < w[W_PRICE_MIN]
        or (w[W_PRICE_MAX] > 0 and price > w[W_PRICE_MAX])
    ):
        bits |= R_TICK
    notional = price * size
    if notional < w[W_NOTIONAL_MIN] and (kind != PLACE_MARKET or w[W_MARKET_NOTIONAL_MIN]):
        bits |= R_NOTIONAL_MIN
    if (w[W_ORDER_SIZE_MAX] > 0 and size > w[W_ORDER_SIZE_MAX]) or (
        w[W_NOTIONAL_MAX] > 0 and notional > w[W_NOTIONAL_MAX]
    ):
        bits |= R_ORDER_SIZE
    if w[W_POSITION_MAX] > 0 or (w[W_SELLABLE] and side < 0):
        most = size
        for k in range(w[W_OWN]):
            if own[k, A_SIDE] == side:
                most += own[k, A_SIZE] - own[k, A_FILLED]
        if w[W_POSITION_MAX] > 0 and w[W_POSITION] * side + most * w[W_SIZE_UNIT] > w[W_POSITION_MAX]:
            bits |= R_POSITION
        if w[W_SELLABLE] and side < 0 and most * w[W_SIZE_UNIT] > w[W_POSITION]:
            bits |= R_SELLABLE
    if w[W_OPEN_ORDERS_MAX] > 0 and w[W_OWN] + 1 > w[W_OPEN_ORDERS_MAX]:
        bits |= R_OPEN_ORDERS
    in_window = w[W_IN_WINDOW] if w[W_WINDOW] == w[W_NOW] // (10 * SECOND_NS) else 0
    in_second = w[W_IN_SECOND] if w[W_SECOND] == w[W_NOW] // SECOND_NS else 0
    if in_window >= w[W_PER_10S_MAX] or (w[W_PER_SECOND_MAX] > 0 and in_second + 1 > w[W_PER_SECOND_MAX]):
        bits |= R_RATE
    if w[W_QUOTE_AGE_MAX] > 0 and quote_age_ns(t, w[W_NOW]) > w[W_QUOTE_AGE_MAX]:
        bits |= R_QUOTE_AGE
    return bits


@compiled
def count_request(w: Rows) -> int:
    """Count a request in its minute; return OK or the reason to end the run."""
    minute = w[W_NOW] // (60 * SECOND_NS)
    w[W_IN_MINUTE] = w[W_IN_MINUTE] + 1 if w[W_MINUTE] == minute else 1
    w[W_MINUTE] = minute
    return NEAR_RATE_LIMIT if w[W_IN_MINUTE] > w[W_REQUESTS_MAX] else OK


@compiled
def count_failure(w: Rows, count: int, since: int, most: int) -> int:
    """Count an equal refusal since a time; return OK, or BREAKER if as many came as pause their subject."""
    if w[most] == 0:
        return OK
    if w[count] == 0 or w[W_NOW] - w[since] > w[W_BREAKER_NS]:
        w[since] = w[W_NOW]
        w[count] = 0
    w[count] += 1
    return BREAKER if w[count] >= w[most] else OK


@compiled
def place(
    w: Rows, own: Rows, t: Rows, requests: Rows, events: Rows, kind: int, side: int, price: int, size: int
) -> int:
    """Review a new order and send it; return OK or the reason to end the run."""
    if kind == PLACE_MARKET and w[W_NOTIONAL_MAX] > 0:
        return MARKET_NOTIONAL
    if kind == PLACE_MARKET:
        w[W_TOUCH_MAX] = max(w[W_TOUCH_MAX], t[0, Q_ASK])
    bits = objections(w, own, t, kind, side, price, size)
    if bits != 0:
        add_event(w, events, REFUSED, 0, side, price, size, bits, 0)
        return count_failure(w, W_REFUSALS, W_REFUSED_NS, W_REFUSALS_MAX)
    if w[W_OWN] == ORDERS_MAX:
        return TOO_MANY_ORDERS
    if kind != PLACE_MARKET and w[W_NOW] >= w[W_BOUNDS_NS] and is_far_from_market(w, t, price):
        return NEAR_PRICE_BOUND
    w[W_REFUSALS] = 0
    w[W_PLACED] += 1
    window = w[W_NOW] // (10 * SECOND_NS)
    w[W_IN_WINDOW] = w[W_IN_WINDOW] + 1 if w[W_WINDOW] == window else 1
    w[W_WINDOW] = window
    second = w[W_NOW] // SECOND_NS
    w[W_IN_SECOND] = w[W_IN_SECOND] + 1 if w[W_SECOND] == second else 1
    w[W_SECOND] = second
    order = own[w[W_OWN]]
    w[W_OWN] += 1
    order[A_NUMBER] = w[W_PLACED]
    order[A_SIDE] = side
    order[A_PRICE] = price
    order[A_SIZE] = size
    order[A_FILLED] = 0
    order[A_IS_OPEN] = 0
    order[A_CANCEL_NS] = 0
    order[A_KIND] = kind
    add_event(w, events, PLACED, w[W_PLACED], side, price, size, kind, 0)
    why = count_request(w)
    if why != OK:
        return why
    return send(
        w, requests, W_REQUEST_HEAD, W_REQUEST_TAIL, w[W_NOW] + w[W_REQUEST_NS], kind, w[W_PLACED], price, size, side
    )


@compiled
def cancel(w: Rows, order: Rows, requests: Rows, events: Rows) -> int:
    """Review a cancel and send it; return OK or the reason to end the run."""
    if order[A_CANCEL_NS] > 0:
        return STALE_CANCEL if w[W_NOW] - order[A_CANCEL_NS] >= SECOND_NS else OK
    number = order[A_NUMBER]
    if order[A_IS_OPEN] == 0:
        add_event(w, events, CANCEL_REFUSED, number, order[A_SIDE], order[A_PRICE], order[A_SIZE], 0, 0)
        return count_failure(w, W_REFUSALS, W_REFUSED_NS, W_REFUSALS_MAX)
    order[A_CANCEL_NS] = w[W_NOW]
    add_event(w, events, CANCEL_SENT, number, order[A_SIDE], order[A_PRICE], order[A_SIZE], 0, 0)
    why = count_request(w)
    if why != OK:
        return why
    return send(w, requests, W_REQUEST_HEAD, W_REQUEST_TAIL, w[W_NOW] + w[W_REQUEST_NS], CANCEL, number, 0, 0, 0)


@compiled
def apply_answer(w: Rows, own: Rows, message: Rows, events: Rows) -> int:
    """Apply an answer or a report of the venue; return OK or the reason to end the run."""
    k = find_own(w, own, message[M_NUMBER])
    if k < 0:
        return OK  # a cancel that failed: the order's last fill came before
    order, kind = own[k], message[M_KIND]
    number, side, price = order[A_NUMBER], order[A_SIDE], order[A_PRICE]
    if kind == ACCEPTED:
        order[A_IS_OPEN] = 1
        w[W_REJECTIONS] = 0
        add_event(w, events, ACCEPTED, number, side, price, order[A_SIZE], 0, message[M_VENUE_NS])
    elif kind == FILLED:
        order[A_FILLED] += message[M_SIZE]
        w[W_POSITION] += position_change(w, side, message[M_SIZE], message[M_CODE])
        add_event(
            w, events, FILLED, number, side, message[M_PRICE], message[M_SIZE], message[M_CODE], message[M_VENUE_NS]
        )
        if order[A_FILLED] == order[A_SIZE]:
            remove_own(w, own, k)
    elif kind == CANCELED:
        add_event(w, events, CANCELED, number, side, price, order[A_FILLED], message[M_CODE], message[M_VENUE_NS])
        remove_own(w, own, k)
    elif kind == REJECTED:
        add_event(w, events, REJECTED, number, side, price, order[A_SIZE], message[M_CODE], 0)
        remove_own(w, own, k)
        w[W_BOUNDS_NS] = min(w[W_BOUNDS_NS], w[W_NOW])  # the venue's rules are read again
        return count_failure(w, W_REJECTIONS, W_REJECTED_NS, W_REJECTIONS_MAX)
    return OK


assert M_FIELDS == M_LINES + 1, "`send` sets each field of a message"
