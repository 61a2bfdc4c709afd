"""A strategy that follows quotes: its trigger in the fold, its throttle, its predicate, and how far the venue may go.

Compiled. A decision may come with any row, so the venue is folded no further than the first request that it could send
would arrive, and the engine no further than the first report of a fill that the venue could send.
"""

from engine.market import layout as at
from engine.market.jit import compiled
from engine.market.rows import LAST, TIME_NS, Floats, Rows
from engine.sim.exchange.venue_arrays import ONE
from engine.sim.fold_orders.fold_layout import (
    A_CANCEL_NS,
    A_IS_OPEN,
    A_PRICE,
    A_SIDE,
    W_ENGINE_ROW,
    W_OWN,
    W_POSITION,
    W_REQUEST_HEAD,
    W_REQUEST_NS,
    W_REQUEST_TAIL,
    W_RESTING,
)


@compiled
def trigger_place(numbers: Rows) -> int:
    """Return the place of the only trigger in the market's numbers."""
    return int(
        at.S_FIELDS
        + numbers[at.S_INSTRUMENTS] * at.T_FIELDS
        + numbers[at.S_BARS] * at.BAR_FIELDS
        + numbers[at.S_INDICATORS] * at.I_INTEGERS
    )


@compiled
def restart_throttle(numbers: Rows, time_ns: int) -> None:
    """Note that the strategy ran at a time, as Market.note_evaluated does."""
    place = trigger_place(numbers)
    numbers[place + at.W_EVALUATED_NS] = time_ns
    numbers[place + at.W_DUE_NS] = at.NEVER
    numbers[at.S_NEXT_DUE] = at.NEVER


@compiled
def next_row_ns(w: Rows, rows: Rows) -> int:
    """Return the time of the next row; NEVER behind the last one."""
    return int(rows[w[W_ENGINE_ROW], TIME_NS]) if w[W_ENGINE_ROW] < rows.shape[0] else at.NEVER


@compiled
def next_record_end(w: Rows, rows: Rows) -> int:
    """Return the row behind the next record."""
    k = w[W_ENGINE_ROW]
    while rows[k, LAST] == 0:
        k += 1
    return int(k + 1)


@compiled
def venue_waits(w: Rows) -> bool:
    """Return True if nothing that the venue folds could have an effect before the next request arrives."""
    return bool(w[W_REQUEST_NS] > 0 and w[W_RESTING] == 0 and w[W_REQUEST_HEAD] == w[W_REQUEST_TAIL])


@compiled
def venue_until_ns(w: Rows, numbers: Rows, rows: Rows, until_ns: int) -> int:
    """Return a time, at most `until_ns`, up to which no request can arrive that was not sent yet."""
    first_ns = next_row_ns(w, rows)
    place = trigger_place(numbers)
    if numbers[place + at.W_EVALUATED_NS] >= 0:
        first_ns = max(first_ns, numbers[place + at.W_EVALUATED_NS] + numbers[place + at.W_THROTTLE_NS])
    return int(until_ns if first_ns >= until_ns else min(until_ns, first_ns + w[W_REQUEST_NS]))


@compiled
def own_order_numbers(w: Rows, own: Rows) -> tuple[int, int, int, int, int]:
    """Return MarketTick's fields from `bids` to `unsettled`."""
    bids = asks = bid_price = ask_price = unsettled = 0
    for k in range(w[W_OWN]):
        price = own[k, A_PRICE]
        if own[k, A_SIDE] > 0:
            bid_price = price if bids == 0 else max(bid_price, price)
            bids += 1
        else:
            ask_price = price if asks == 0 else min(ask_price, price)
            asks += 1
        unsettled += own[k, A_CANCEL_NS] > 0 or own[k, A_IS_OPEN] == 0
    return bids, bid_price, asks, ask_price, unsettled


@compiled
def refresh_predicate(w: Rows, own: Rows, numbers: Rows, inputs: Floats) -> None:
    """Give the predicate the own orders and the position, as engine/strategy/predicate_inputs.py does."""
    place = (
        trigger_place(numbers) + numbers[at.S_TRIGGERS] * at.W_FIELDS + numbers[at.S_CONDITIONS] * at.C_FIELDS
    ) + at.P_ACCOUNT
    bids, bid_price, asks, ask_price, unsettled = own_order_numbers(w, own)
    numbers[place] = bids
    numbers[place + 1] = bid_price
    numbers[place + 2] = asks
    numbers[place + 3] = ask_price
    numbers[place + 4] = unsettled
    inputs[0, at.F_POSITION] = float(w[W_POSITION]) / float(ONE)
