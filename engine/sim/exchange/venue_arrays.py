"""The layout of the arrays in which the venue's books, its tape and the queues of resting orders are kept."""

from typing import Final

# v: one row for each symbol
V_JOINED: Final = 0
V_ID: Final = 1  # last update id of the diffs
V_GAPS: Final = 2  # diffs that did not continue the previous one: losses of the capture
V_QUOTED: Final = 3  # a quote has come
V_QUOTE_ID: Final = 4
V_BID: Final = 5
V_BID_SIZE: Final = 6
V_ASK: Final = 7
V_ASK_SIZE: Final = 8
V_FRESH_ID: Final = 9  # update id of the quote in the matching book; 0: no quote
V_FRESH_BID: Final = 10
V_FRESH_ASK: Final = 11
V_FAR: Final = 12  # number of levels in the sorted row of each side (price_levels.py): bids, asks
V_PRICE_UNIT: Final = 14  # factor from a row's price to units
V_SIZE_UNIT: Final = 15
V_PRINTS: Final = 16  # number of trades so far
V_BARS: Final = 17
V_RECORDS: Final = 18  # records of all symbols; only the first symbol has it
V_QUEUE: Final = 19  # queue model of resting orders
V_QUEUE_N: Final = 20  # exponent of a power model
V_LOT: Final = 21  # a probabilistic queue model rounds to it
V_QUOTES_ALONE: Final = 22  # 1: no diffs come, and the book is the last quote
V_MARK: Final = 23  # mark price, and the rate of the next funding
V_RATE: Final = 24
V_FUNDING_NS: Final = 25  # time of the next funding in the venue's clock; 0: unknown
V_TRIGGER_HIGH: Final = 26  # a price at it or above triggers a held order; HIGHEST: no order
V_TRIGGER_LOW: Final = 27  # a price at it or below triggers one; -1: no order
V_TRADES: Final = 28  # trades so far; id and venue's time of the last one
V_TRADE_ID: Final = 29
V_TRADE_NS: Final = 30
V_SNAPSHOT_ID: Final = 31
V_EDGE: Final = 32  # 1: a diff that ends at the snapshot's id changes it
V_BOOK_VENUE_NS: Final = 33  # the venue's time of the last change of the book; 0 if unknown
V_BOOK_NS: Final = 34  # and the time of its row
V_IS_BARS: Final = 35  # 1: the market is bars
V_LEFT: Final = 36  # of a market of bars: what the current bar still fills
V_HALF_SPREAD: Final = 37  # of made quotes, in millionths of the price
V_PLACED: Final = 38  # of an order-by-order market: placements of other traders so far
V_KNOWN: Final = 39  # their orders in the table, of all symbols; only the first symbol has it
V_FIELDS: Final = 40

# tape: the last trades, a ring
P_ID: Final = 0
P_PRICE: Final = 1
P_SIZE: Final = 2
P_TIME_NS: Final = 3
P_BUYER_IS_MAKER: Final = 4
P_FIELDS: Final = 5
PRINTS_KEPT: Final = 1000  # the limit of GET trades

# minutes of trades, a ring
M_START_NS: Final = 0
M_OPEN: Final = 1
M_HIGH: Final = 2
M_LOW: Final = 3
M_CLOSE: Final = 4
M_VOLUME: Final = 5
M_QUOTE: Final = 6
M_COUNT: Final = 7
M_TAKER_BASE: Final = 8
M_TAKER_QUOTE: Final = 9
M_FIRST_ID: Final = 10
M_LAST_ID: Final = 11
M_FIELDS: Final = 12
MINUTES_KEPT: Final = 1500  # a day and an hour, for GET klines and ticker/24hr
MINUTE_NS: Final = 60_000_000_000

# orders: resting ones, best price first, then by age
O_SYMBOL: Final = 0
O_SIDE: Final = 1
O_PRICE: Final = 2
O_AHEAD: Final = 3  # size ahead in the queue; probabilistic models keep it in the floats
O_SHOWN: Final = 4  # size of the level at the last update of the queue
O_TRADED: Final = 5  # traded at the price since then
O_SINCE: Final = 6  # V_PLACED when the order came to rest: those placed later are behind it
O_FIELDS: Final = 7

ONE: Final = 100_000_000
HIGHEST: Final = 2**62  # above any price
LARGEST: Final = 2**63 - 1  # no size is larger; sums stay at it rather than wrap
PRICE_MAX: Final = HIGHEST // ONE  # what the simulated venue counts exactly, as whole numbers
SIZE_MAX: Final = LARGEST // ONE
