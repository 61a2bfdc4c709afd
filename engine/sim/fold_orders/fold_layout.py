"""Names of the numbers of a run with orders in the fold. Only names; knows no code.

Prices and sizes of own orders are whole multiples of the instrument's price and size unit, as in rows. A prefix names
the table: W the run, A an own order as the engine knows it, B an own order that rests at the venue, M a message on its
way, X an event.
"""

from typing import Final

ORDERS_MAX: Final = 64  # own live orders
INTENTS_MAX: Final = 32  # of one decision, as of every strategy
MESSAGES_MAX: Final = 4096  # on their way in one direction
EVENTS_OF_A_STEP: Final = 4096  # room that a step of the loop may need

# Reasons why the loop returns to Python
ENDED: Final = 0
NEEDS_ENGINE_ROWS: Final = 1
NEEDS_VENUE_ROWS: Final = 2
GROW_MARKET: Final = 3  # before an engine row for which an array is too small
GROW_BOOKS: Final = 4  # before a venue row for which an array is too small
GROW_EVENTS: Final = 5
# and those after which the ordinary way must run instead
FLAGGED: Final = 10  # an engine row raised a flag that may change the mode of the session
UNSUITABLE_ROW: Final = 11  # a venue row that this loop does not fold: a snapshot, a funding
STRATEGY_FAILED: Final = 12
BAD_INTENT: Final = 13
TOO_MANY_ORDERS: Final = 14
TOO_MANY_MESSAGES: Final = 15
NEAR_RATE_LIMIT: Final = 16
BREAKER: Final = 17  # equal refusals reached the number that pauses an instrument or a strategy
NEAR_PRICE_BOUND: Final = 18  # of the venue's average price: its exact value decides
SELF_TRADE: Final = 19
STALE_CANCEL: Final = 20  # an order would be cancelled again after a second
MARKET_NOTIONAL: Final = 21  # of a market order, which a limit of notional compares

# w: numbers of the run
W_ENGINE_ROW: Final = 0  # next rows
W_VENUE_ROW: Final = 1
W_ENGINE_LAST: Final = 2  # 1: no rows follow the current ones
W_VENUE_LAST: Final = 3
W_NOW: Final = 4
W_END: Final = 5
W_DUE: Final = 6  # of the strategy's timer
W_PERIOD: Final = 7
W_REQUEST_NS: Final = 8
W_ANSWER_NS: Final = 9
W_AHEAD_NS: Final = 10
W_FILLS_WHOLE: Final = 11
W_OWN: Final = 12  # own live orders
W_RESTING: Final = 13  # of them at the venue
W_PLACED: Final = 14  # orders placed so far: the number of the last one
W_PRIORITY: Final = 15
W_EVENTS: Final = 16
W_SENT: Final = 17  # messages so far: the order of those with one time
W_REQUEST_HEAD: Final = 18
W_REQUEST_TAIL: Final = 19
W_ANSWER_HEAD: Final = 20
W_ANSWER_TAIL: Final = 21
W_POSITION: Final = 22  # in units of 1e-8
W_FLAGS: Final = 23  # of FLAGGED
# limits, 0: none
W_ORDER_SIZE_MAX: Final = 24
W_NOTIONAL_MAX: Final = 25
W_NOTIONAL_MIN: Final = 26
W_POSITION_MAX: Final = 27  # in units of 1e-8
W_OPEN_ORDERS_MAX: Final = 28
W_PER_SECOND_MAX: Final = 29
W_TICK: Final = 30
W_LOT: Final = 31
W_PRICE_MIN: Final = 32
W_PRICE_MAX: Final = 33
W_SIZE_MIN: Final = 34
W_SIZE_MAX: Final = 35
W_PER_10S_MAX: Final = 36
W_REJECTIONS_MAX: Final = 37
W_REFUSALS_MAX: Final = 38
W_BREAKER_NS: Final = 39
# counts
W_SECOND: Final = 40
W_IN_SECOND: Final = 41
W_WINDOW: Final = 42  # of ten seconds
W_IN_WINDOW: Final = 43
W_VENUE_WINDOW: Final = 44
W_IN_VENUE_WINDOW: Final = 45
W_REJECTIONS: Final = 46
W_REJECTED_NS: Final = 47
W_REFUSALS: Final = 48
W_REFUSED_NS: Final = 49
W_REQUESTS_MAX: Final = 50  # a minute, kept far from the venue's limit of request weight
W_MINUTE: Final = 51
W_IN_MINUTE: Final = 52
W_VENUE_NOTIONAL_MAX: Final = 53  # in units of 1e-8
W_VENUE_ORDERS_MAX: Final = 54
W_ADDRESS: Final = 55  # of the strategy's machine code
W_QUOTE_AGE_MAX: Final = 56
W_LOW_SHARE: Final = 57  # of the average price, in units
W_HIGH_SHARE: Final = 58
W_DECISIONS: Final = 59
W_SIZE_UNIT: Final = 60  # of an order's size, in units of 1e-8
W_FEE_MAKER: Final = 61  # rates in units of 1e-8; they lower the position if buys pay their fees in base
W_FEE_TAKER: Final = 62
W_PAYS_BASE: Final = 63
W_SELLABLE: Final = 64  # 1: sales stay within the position
W_BOUNDS_NS: Final = 65  # from this time on risk knows the venue's bounds of prices
W_FOLLOWS: Final = 66  # 1: the strategy follows quotes, not its timer
W_LINE: Final = 67  # of the market's next record, less the records that the engine has folded
W_MARKET_SIZE_MAX: Final = 68
W_MARKET_NOTIONAL_MIN: Final = 69  # 1: W_NOTIONAL_MIN holds for market orders
W_VENUE_NOTIONAL_MIN: Final = 70  # of market orders, in units of 1e-8
W_TOUCH_MAX: Final = 71  # the highest ask at which a market order was placed
W_FIELDS: Final = 72

# own: live orders, oldest first
A_NUMBER: Final = 0
A_SIDE: Final = 1  # 1: buy, -1: sell
A_PRICE: Final = 2
A_SIZE: Final = 3
A_FILLED: Final = 4
A_IS_OPEN: Final = 5  # the venue has accepted it
A_CANCEL_NS: Final = 6  # of the request to cancel it; 0: none
A_KIND: Final = 7
A_FIELDS: Final = 8

# resting: beside the arrays `orders` and `fronts` of the venue's books, in their order
B_NUMBER: Final = 0
B_LEAVES: Final = 1  # in units of 1e-8
B_PRIORITY: Final = 2
B_FIELDS: Final = 3

# messages: requests to the venue, and its answers and reports
M_TIME_NS: Final = 0
M_ORDER: Final = 1
M_KIND: Final = 2
M_NUMBER: Final = 3
M_PRICE: Final = 4
M_SIZE: Final = 5
M_CODE: Final = 6
M_VENUE_NS: Final = 7
M_LINES: Final = 8  # of an answer: records of the market that the venue had folded
M_FIELDS: Final = 9

# requests and intents: their kinds are those of engine/market/order_decision.py
PLACE_LIMIT: Final = 1
PLACE_MAKER: Final = 2
CANCEL: Final = 3
PLACE_MARKET: Final = 4

# kinds of events
PLACED: Final = 1
REFUSED: Final = 2  # by risk; X_CODE has the bits of the rules
CANCEL_SENT: Final = 3
CANCEL_REFUSED: Final = 4  # by risk
ACCEPTED: Final = 5
REJECTED: Final = 6  # by the venue; X_CODE is its reason
FILLED: Final = 7  # X_CODE 1: as maker
CANCELED: Final = 8  # X_SIZE is what was filled; X_CODE 1: the market had no more for a market order
CANCEL_FAILED: Final = 9  # the order had ended at the venue

X_KIND: Final = 0
X_TIME_NS: Final = 1  # session time at the engine
X_NUMBER: Final = 2  # of the order: the orders placed count from 1; 0: it was refused by risk
X_SIDE: Final = 3
X_PRICE: Final = 4
X_SIZE: Final = 5
X_CODE: Final = 6
X_VENUE_NS: Final = 7  # the venue's stamp, whole milliseconds; 0 without one
X_FIELDS: Final = 8

# bits of risk rules
RULE_BITS: Final = {
    "lot": 1, "tick": 2, "notional_min": 4, "order_size": 8, "position": 16, "open_orders": 32, "rate": 64,
    "quote_age": 128, "sellable": 256,
}  # fmt: skip
R_LOT: Final = 1
R_TICK: Final = 2
R_NOTIONAL_MIN: Final = 4
R_ORDER_SIZE: Final = 8
R_POSITION: Final = 16
R_OPEN_ORDERS: Final = 32
R_RATE: Final = 64
R_QUOTE_AGE: Final = 128
R_SELLABLE: Final = 256

# reasons of the venue
V_WOULD_MATCH: Final = 1
V_PERCENT_PRICE: Final = 2
V_NOTIONAL: Final = 3
V_MAX_ORDERS: Final = 4
V_EXPIRED: Final = 1  # of CANCELED
