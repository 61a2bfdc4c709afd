"""The loop: engine rows, venue rows, the strategy's timer and messages between both, in the order of the ordinary way.

    next = the strategy's timer or the next message
    venue rows up to and including it; a fill sends a report, which may come before it
    engine rows before it, up to a row that triggers the strategy
    the messages of that time by their order, and the timer before the first one that reaches the engine

Compiled. The loop returns whenever Python must supply rows or room, and continues there when it is called again.
"""

from engine.market.fold.row_loop import fold_rows
from engine.market.jit import compiled, compiled_apart
from engine.market.layout import (
    DUE,
    GROW,
    MISSED,
    NEVER,
    S_FIELDS,
    S_MESSAGES,
    S_NEXT_DUE,
    S_PREDICATES,
    S_TIME_NS,
    T_FIELDS,
    TRIGGER_FIRED,
)
from engine.market.rows import TIME_NS, Floats, Rows
from engine.sim.exchange import matching_kernel as kernel
from engine.sim.fold_orders.ask_strategy import decide
from engine.sim.fold_orders.fold_layout import (
    ENDED,
    EVENTS_OF_A_STEP,
    FLAGGED,
    GROW_BOOKS,
    GROW_EVENTS,
    GROW_MARKET,
    M_LINES,
    M_ORDER,
    M_TIME_NS,
    MESSAGES_MAX,
    NEEDS_ENGINE_ROWS,
    NEEDS_VENUE_ROWS,
    UNSUITABLE_ROW,
    W_AHEAD_NS,
    W_ANSWER_HEAD,
    W_ANSWER_NS,
    W_ANSWER_TAIL,
    W_DUE,
    W_END,
    W_ENGINE_LAST,
    W_ENGINE_ROW,
    W_EVENTS,
    W_FLAGS,
    W_FOLLOWS,
    W_LINE,
    W_NOW,
    W_PERIOD,
    W_REQUEST_HEAD,
    W_REQUEST_TAIL,
    W_RESTING,
    W_VENUE_LAST,
    W_VENUE_ROW,
)
from engine.sim.fold_orders.own_orders import OK, apply_answer
from engine.sim.fold_orders.triggers import (
    next_record_end,
    next_row_ns,
    refresh_predicate,
    restart_throttle,
    venue_until_ns,
    venue_waits,
)
from engine.sim.fold_orders.venue_orders import apply_request, fill_by_book, fill_by_print


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


@compiled
def act_on_flags(
    w: Rows, flags: int, numbers: Rows, t: Rows, own: Rows, requests: Rows, events: Rows, floats: Floats
) -> int:
    """Let the strategy decide if a row triggered it; return OK or the reason to return to Python."""
    if flags == GROW:
        return GROW_MARKET
    if flags & ~(DUE | MISSED | TRIGGER_FIRED) != 0:
        w[W_FLAGS] = flags
        return FLAGGED
    if flags & TRIGGER_FIRED:
        w[W_NOW] = numbers[S_TIME_NS]
        restart_throttle(numbers, w[W_NOW])
        return decide(w, t, own, requests, events, floats)
    return OK


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
    follows, end_ns = w[W_FOLLOWS] == 1, w[W_END]
    while True:
        if events.shape[0] - w[W_EVENTS] < EVENTS_OF_A_STEP:
            return GROW_EVENTS
        if w[W_ENGINE_ROW] == engine_rows.shape[0] and w[W_ENGINE_LAST] == 0:
            return NEEDS_ENGINE_ROWS
        due_ns = min(w[W_DUE], numbers[S_NEXT_DUE], next_message_ns(w, requests, answers))
        until_ns, before_ns = min(due_ns, end_ns), min(due_ns, end_ns + 1)
        if not (follows and venue_waits(w)):
            if follows:
                until_ns = venue_until_ns(w, numbers, engine_rows, until_ns)
            venue_ns = until_ns + w[W_AHEAD_NS]
            why, filled = fold_venue(
                w, venue_ns, venue_rows, v, levels, prints, minutes, known, orders, fronts, rest, answers
            )
            if why != OK:
                return why
            if filled:
                continue  # its report may come before all that was due
            before_ns = min(before_ns, until_ns + w[W_ANSWER_NS] + 1)
        next_ns, end = next_row_ns(w, engine_rows), engine_rows.shape[0]
        if until_ns == due_ns and next_ns >= due_ns:
            w[W_NOW], line = due_ns, NEVER
            is_shared = follows and next_ns == due_ns
            if is_shared:  # answers that the venue sent after this record follow it
                before_ns, end, line = due_ns + 1, next_record_end(w, engine_rows), w[W_LINE] + numbers[S_MESSAGES]
            why = run_moment(
                w, line, numbers, t, own, requests, answers, events, floats, v, levels, minutes, orders, fronts, rest
            )
            if why != OK:
                return why
            if not is_shared:
                continue
        elif min(due_ns, next_ns) > end_ns:
            return ENDED
        if numbers[S_PREDICATES] > 0:
            refresh_predicate(w, own, numbers, inputs)
        w[W_ENGINE_ROW], flags, _, _ = fold_rows(
            engine_rows[:end], w[W_ENGINE_ROW], before_ns, numbers, values, sides, pending, inputs, loss_levels
        )
        why = act_on_flags(w, flags, numbers, t, own, requests, events, floats)
        if why != OK:
            return why
