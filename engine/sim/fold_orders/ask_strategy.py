"""A decision of the strategy: its arguments, the call of its machine code, and its intents. Compiled."""

from typing import Final

from engine.market.jit import call_update, compiled, compiled_apart
from engine.market.layout import B_TOP_BID, Q_BID, Q_LIVE, T_BUYER_IS_MAKER, T_PRICE
from engine.market.order_decision import COUNT_AT, INTENTS_AT, ORDERS_AT
from engine.market.predicates import MarketTick
from engine.market.rows import Floats, Rows
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
    INTENTS_MAX,
    ORDERS_MAX,
    PLACE_LIMIT,
    PLACE_MAKER,
    PLACE_MARKET,
    STRATEGY_FAILED,
    W_ADDRESS,
    W_DECISIONS,
    W_NOW,
    W_OWN,
    W_POSITION,
)
from engine.sim.fold_orders.own_orders import OK, cancel, place
from engine.sim.fold_orders.triggers import own_order_numbers

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
