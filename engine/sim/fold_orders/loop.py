"""The loop: engine rows, venue rows, the strategy's timer and messages between both, in the order of the ordinary way.

    next = the strategy's timer or the next message
    venue rows up to and including it; a fill sends a report, which may come before it
    engine rows before it, up to a row that asks a strategy that follows quotes
    the messages of that time by their order, and the timer before the first one that reaches the engine

Compiled. The loop returns whenever Python must supply rows or room, and continues there when it is called again.
"""

from typing import Final

from engine.market.fold.row_loop import fold_rows
from engine.market.jit import call_update, compiled, compiled_apart
from engine.market.layout import (
    B_TOP_BID,
    DUE,
    GROW,
    MISSED,
    NEVER,
    Q_BID,
    Q_LIVE,
    S_FIELDS,
    S_MESSAGES,
    S_NEXT_DUE,
    S_PREDICATES,
    S_TIME_NS,
    T_BUYER_IS_MAKER,
    T_FIELDS,
    T_PRICE,
    TRIGGER_FIRED,
)
from engine.market.order_decision import COUNT_AT, INTENTS_AT, ORDERS_AT
from engine.market.predicates import MarketTick
from engine.market.rows import TIME_NS, Floats, Rows
from engine.sim.exchange import matching_kernel as kernel
from engine.sim.exchange.venue_arrays import ONE
from engine.sim.fold_orders.fold_layout import (
    A_CANCEL_NS,
    A_FILLED,
    A_IS_OPEN,
    A_PRICE,
    A_SIDE,
    A_SIZE,
    BAD_INTENT,
    CANCEL,
    ENDED,
    EVENTS_OF_A_STEP,
    FLAGGED,
    GROW_BOOKS,
    GROW_EVENTS,
    GROW_MARKET,
    INTENTS_MAX,
    M_LINES,
    M_ORDER,
    M_TIME_NS,
    MESSAGES_MAX,
    NEEDS_ENGINE_ROWS,
    NEEDS_VENUE_ROWS,
    ORDERS_MAX,
    PLACE_LIMIT,
    PLACE_MAKER,
    PLACE_MARKET,
    STRATEGY_FAILED,
    UNSUITABLE_ROW,
    W_ADDRESS,
    W_AHEAD_NS,
    W_ANSWER_HEAD,
    W_ANSWER_NS,
    W_ANSWER_TAIL,
    W_DECISIONS,
    W_DUE,
    W_END,
    W_ENGINE_LAST,
    W_ENGINE_ROW,
    W_EVENTS,
    W_FLAGS,
    W_FOLLOWS,
    W_LINE,
    W_NOW,
    W_OWN,
    W_PERIOD,
    W_POSITION,
    W_REQUEST_HEAD,
    W_REQUEST_TAIL,
    W_RESTING,
    W_VENUE_LAST,
    W_VENUE_ROW,
)
from engine.sim.fold_orders.own_orders import OK, apply_answer, cancel, place
from engine.sim.fold_orders.triggers import (
    next_record_end,
    next_row_ns,
    own_order_numbers,
    refresh_predicate,
    restart_throttle,
    venue_until_ns,
    venue_waits,
)
from engine.sim.fold_orders.venue_orders import apply_request, fill_by_book, fill_by_print

WHOLE_MAX: Final = 2.0**35  # times 1e8, the finest units of the venue, it fits an int64
NOTIONAL_MAX: Final = 2.0**62
SECONDS: Final = 1e9
# places of MarketTick's fields in the row of floats
TICK_BID: Final = MarketTick._fields.index("bid")
TICK_BOOK_BID: Final = MarketTick._fields.index("book_bid")
TICK_TRADE_PRICE: Final = MarketTick._fields.index("trade_price")
TICK_BUYER_IS_MAKER: Final = MarketTick._fields.index("buyer_is_maker")
TICK_BIDS: Final = MarketTick._fields.index("bids")
TICK_POSITION: Final = MarketTick._fields.index("position")


@compiled
def next_message_ns(w: Rows, requests: Rows, answers: Rows) -> int:
    """Return when the next message arrives."""
    time_ns = NEVER
    if w[W_REQUEST_HEAD] < w[W_REQUEST_TAIL]:
        time_ns = requests[w[W_REQUEST_HEAD] % MESSAGES_MAX, M_TIME_NS]
    if w[W_ANSWER_HEAD] < w[W_ANSWER_TAIL]:
        time_ns = min(time_ns, answers[w[W_ANSWER_HEAD] % MESSAGES_MAX, M_TIME_NS])
    return int(time_ns)


@compiled
def fold_venue(
    w: Rows,
    until_ns: int,
    rows: Rows,
    v: Rows,
    levels: Rows,
    prints: Rows,
    minutes: Rows,
    known: Rows,
    orders: Rows,
    fronts: Floats,
    rest: Rows,
    answers: Rows,
) -> tuple[int, bool]:
    """Fold venue rows up to and including a time, or up to a fill; return (reason to return, True if one filled)."""
    while True:
        resting = w[W_RESTING]
        k, why = kernel.match_rows(
            rows,
            w[W_VENUE_ROW],
            until_ns,
            v,
            levels,
            prints,
            minutes,
            orders[:resting],
            fronts[:resting],
            known,
        )
        w[W_VENUE_ROW] = k
        if why == kernel.DONE:
            return (NEEDS_VENUE_ROWS if k == rows.shape[0] and w[W_VENUE_LAST] == 0 else OK), False
        if why == kernel.GROW:
            return GROW_BOOKS, False
        if why not in (kernel.PRINTED, kernel.CROSSED):
            return UNSUITABLE_ROW, False
        sent = w[W_ANSWER_TAIL]
        row = rows[k - 1]
        time_ns = row[TIME_NS] - w[W_AHEAD_NS]
        if why == kernel.PRINTED:
            failed = fill_by_print(w, row, v, orders, fronts, rest, answers, time_ns)
        else:
            failed = fill_by_book(w, v, levels, orders, fronts, rest, answers, time_ns)
        if failed != OK:
            return failed, False
        if w[W_ANSWER_TAIL] > sent:
            return OK, True


@compiled_apart
def decide(w: Rows, t: Rows, own: Rows, requests: Rows, events: Rows, floats: Floats) -> int:
    """Ask the strategy and send what it wants; return OK or the reason to end the run."""
    row = floats[0]
    row[0] = float(w[W_NOW]) / SECONDS
    for n in range(4):
        row[TICK_BID + n] = float(t[0, Q_BID + n]) if t[0, Q_LIVE] else 0.0
        row[TICK_BOOK_BID + n] = float(t[0, B_TOP_BID + n])
    row[TICK_TRADE_PRICE] = float(t[0, T_PRICE])
    row[TICK_TRADE_PRICE + 1] = float(t[0, T_PRICE + 1])
    row[TICK_BUYER_IS_MAKER] = float(t[0, T_BUYER_IS_MAKER])
    for n, number in enumerate(own_order_numbers(w, own)):
        row[TICK_BIDS + n] = float(number)
    for n in range(5 * ORDERS_MAX):  # nothing of an earlier decision is left behind the last order
        row[ORDERS_AT + n] = 0.0
    for k in range(w[W_OWN]):
        side, price = own[k, A_SIDE], float(own[k, A_PRICE])
        row[ORDERS_AT + k] = float(side)
        row[ORDERS_AT + ORDERS_MAX + k] = price
        row[ORDERS_AT + 2 * ORDERS_MAX + k] = float(own[k, A_SIZE] - own[k, A_FILLED])
        row[ORDERS_AT + 3 * ORDERS_MAX + k] = 1.0 if own[k, A_IS_OPEN] else 0.0
        row[ORDERS_AT + 4 * ORDERS_MAX + k] = 1.0 if own[k, A_CANCEL_NS] > 0 else 0.0
    row[TICK_POSITION] = float(w[W_POSITION]) / float(ONE)
    row[COUNT_AT] = float(w[W_OWN])
    for n in range(5 * INTENTS_MAX):
        row[INTENTS_AT + n] = 0.0
    w[W_DECISIONS] += 1
    count = int(call_update(w[W_ADDRESS], floats, 0, 0, 0))
    if count < 0:
        return STRATEGY_FAILED
    return send_intents(w, t, own, requests, events, row[INTENTS_AT:], count)


@compiled
def is_whole(number: float) -> bool:
    """Return True for a whole number that is not too large for the venue's units."""
    return bool(-WHOLE_MAX < number < WHOLE_MAX and float(int(number)) == number)


@compiled
def send_intents(w: Rows, t: Rows, own: Rows, requests: Rows, events: Rows, intents: Floats, count: int) -> int:
    """Send the first intents; return OK or the reason to end the run."""
    live = w[W_OWN]
    for n in range(count):
        kind, side = intents[n], intents[INTENTS_MAX + n]
        price, size, k = intents[2 * INTENTS_MAX + n], intents[3 * INTENTS_MAX + n], intents[4 * INTENTS_MAX + n]
        if price * size >= NOTIONAL_MAX:
            return BAD_INTENT
        if kind == CANCEL:
            if not is_whole(k) or k < 0 or k >= live:
                return BAD_INTENT
            why = cancel(w, own[int(k)], requests, events)
        elif (
            (kind in (PLACE_LIMIT, PLACE_MAKER) or (kind == PLACE_MARKET and price == 0.0))
            and side in (1.0, -1.0)
            and is_whole(price)
            and is_whole(size)
        ):
            why = place(w, own, t, requests, events, int(kind), int(side), int(price), int(size))
        else:
            return BAD_INTENT
        if why != OK:
            return int(why)
    return OK


@compiled
def fire(w: Rows, numbers: Rows, t: Rows, own: Rows, requests: Rows, events: Rows, floats: Floats) -> int:
    """Fire the strategy's timer, or end its throttle; return OK or the reason to end the run."""
    if w[W_FOLLOWS]:
        restart_throttle(numbers, w[W_NOW])
    else:
        w[W_DUE] += w[W_PERIOD]
    return decide(w, t, own, requests, events, floats)


@compiled_apart
def run_moment(
    w: Rows,
    line: int,
    numbers: Rows,
    t: Rows,
    own: Rows,
    requests: Rows,
    answers: Rows,
    events: Rows,
    floats: Floats,
    v: Rows,
    levels: Rows,
    minutes: Rows,
    orders: Rows,
    fronts: Floats,
    rest: Rows,
) -> int:
    """Deliver the messages of the current time and fire the timer; return OK or the reason to end the run.

    Answers that the venue sent after the record with number `line` wait until the engine has folded that.
    """
    now_ns = w[W_NOW]
    while True:
        request = requests[w[W_REQUEST_HEAD] % MESSAGES_MAX]
        answer = answers[w[W_ANSWER_HEAD] % MESSAGES_MAX]
        has_request = w[W_REQUEST_HEAD] < w[W_REQUEST_TAIL] and request[M_TIME_NS] <= now_ns
        has_answer = w[W_ANSWER_HEAD] < w[W_ANSWER_TAIL] and answer[M_TIME_NS] <= now_ns and answer[M_LINES] < line
        is_due = min(w[W_DUE], numbers[S_NEXT_DUE]) <= now_ns
        if has_request and not (has_answer and answer[M_ORDER] < request[M_ORDER]):
            why = apply_request(w, request, v, levels, minutes, orders, fronts, rest, answers)
            w[W_REQUEST_HEAD] += 1
        elif has_answer:
            if is_due:
                why = fire(w, numbers, t, own, requests, events, floats)
                if why != OK:
                    return int(why)
            why = apply_answer(w, own, answer, events)
            w[W_ANSWER_HEAD] += 1
        elif is_due:
            why = fire(w, numbers, t, own, requests, events, floats)
        else:
            return OK
        if why != OK:
            return int(why)


@compiled_apart
def run_loop(
    w: Rows,
    engine_rows: Rows,
    numbers: Rows,
    values: Floats,
    sides: Rows,
    pending: Rows,
    inputs: Floats,
    loss_levels: Rows,
    venue_rows: Rows,
    v: Rows,
    levels: Rows,
    prints: Rows,
    minutes: Rows,
    known: Rows,
    orders: Rows,
    fronts: Floats,
    rest: Rows,
    own: Rows,
    requests: Rows,
    answers: Rows,
    events: Rows,
    floats: Floats,
) -> int:
    """Run until the session ends or Python must act; return the reason.

    `engine_rows` is a block of rows in the order of the engine, with the arrays of fold_rows behind it; `venue_rows` is
    one in the order of the venue, with the arrays of matching_kernel.match_rows. The tables of this package follow.
    """
    t = numbers[S_FIELDS : S_FIELDS + T_FIELDS].reshape((1, T_FIELDS))
    while True:
        if events.shape[0] - w[W_EVENTS] < EVENTS_OF_A_STEP:
            return GROW_EVENTS
        due_ns = min(w[W_DUE], numbers[S_NEXT_DUE], next_message_ns(w, requests, answers))
        last_ns = min(due_ns, w[W_END])
        until_ns = last_ns
        before_ns = due_ns if due_ns <= w[W_END] else w[W_END] + 1
        if w[W_FOLLOWS]:
            if w[W_ENGINE_ROW] == engine_rows.shape[0] and w[W_ENGINE_LAST] == 0:
                return NEEDS_ENGINE_ROWS
            until_ns = last_ns if venue_waits(w) else venue_until_ns(w, numbers, engine_rows, last_ns)
        if w[W_FOLLOWS] == 0 or not venue_waits(w):
            why, filled = fold_venue(
                w,
                until_ns + w[W_AHEAD_NS],
                venue_rows,
                v,
                levels,
                prints,
                minutes,
                known,
                orders,
                fronts,
                rest,
                answers,
            )
            if why != OK:
                return why
            if filled:
                continue  # its report may come before all that was due
            before_ns = min(before_ns, until_ns + w[W_ANSWER_NS] + 1)
        end = engine_rows.shape[0]
        is_shared = w[W_FOLLOWS] == 1 and due_ns <= w[W_END] and next_row_ns(w, engine_rows) == due_ns
        if is_shared:  # a row and something else have one time: the record follows what came before it
            w[W_NOW] = due_ns
            line = w[W_LINE] + numbers[S_MESSAGES]
            why = run_moment(
                w, line, numbers, t, own, requests, answers, events, floats, v, levels, minutes, orders, fronts, rest
            )
            if why != OK:
                return why
            before_ns = due_ns + 1
            end = next_record_end(w, engine_rows)
        if numbers[S_PREDICATES] > 0:
            refresh_predicate(w, own, numbers, inputs)
        k, flags, _, _ = fold_rows(
            engine_rows[:end], w[W_ENGINE_ROW], before_ns, numbers, values, sides, pending, inputs, loss_levels
        )
        w[W_ENGINE_ROW] = k
        if flags == GROW:
            return GROW_MARKET
        if flags & ~(DUE | MISSED | TRIGGER_FIRED) != 0:
            w[W_FLAGS] = flags
            return FLAGGED
        if flags & TRIGGER_FIRED:
            w[W_NOW] = numbers[S_TIME_NS]
            restart_throttle(numbers, w[W_NOW])
            why = decide(w, t, own, requests, events, floats)
            if why != OK:
                return why
            continue
        if flags == MISSED or is_shared:
            continue
        if k == engine_rows.shape[0] and w[W_ENGINE_LAST] == 0:
            return NEEDS_ENGINE_ROWS
        if until_ns < last_ns or numbers[S_NEXT_DUE] < due_ns:
            continue
        if due_ns > w[W_END]:
            return ENDED
        if next_row_ns(w, engine_rows) == due_ns and w[W_FOLLOWS]:
            continue
        w[W_NOW] = due_ns
        why = run_moment(
            w, NEVER, numbers, t, own, requests, answers, events, floats, v, levels, minutes, orders, fronts, rest
        )
        if why != OK:
            return why
