"""Names of the numbers of market state: the index of each in its array. Only names; knows no code.

A prefix names the array or the subject: S market, Q quote, T trade, B book, X the instrument's flags and triggers, D
depth stream, G the last gap, M mark, W trigger, C condition, P predicate, F floats of a predicate, I indicator.
"""

from typing import Final

NEVER: Final = 2**63 - 1  # a time that is never reached

# loss_levels: prices of an instrument at which a loss may reach its limit
LEVEL_LOW: Final = 0  # at or below it the fold stops: BID_WEIGHT times the bid and ASK_WEIGHT times the ask
LEVEL_HIGH: Final = 1  # at or above it the fold stops
LEVEL_BID_WEIGHT: Final = 2
LEVEL_ASK_WEIGHT: Final = 3
LEVEL_MARK_LOW: Final = 4  # the same two for the venue's mark price, at rows.MARK_SCALE
LEVEL_MARK_HIGH: Final = 5
NO_LEVELS: Final = (0, NEVER, 1, 1, 0, NEVER)
TRIGGERS_MAX: Final = 62  # each trigger is one bit of an int64
LEVELS_MAX: Final = 65_536  # a side of a book; a venue that exceeds it is broken
# diffs kept for a snapshot, minutes of a busy market; a book that needs more starts over
PENDING_ROWS_MAX: Final = 262_144
# Lower ids belong to old messages or to numbering that restarted: it restarted if the message is newer than the last by
# this much, by the venue's stamps or, without them, by the time of arrival
RESTART_NS: Final = 1_000_000_000
RESTART_UNSTAMPED_NS: Final = 30_000_000_000
BARS_KEPT: Final = 512  # closed bars per specification; older ones are in the journal
WORD_BITS: Final = 54  # sums of sizes and products are kept in words of this many bits: no int64 overflows
WORD_MASK: Final = 2**54 - 1
HALF_BITS: Final = 27
HALF_MASK: Final = 2**27 - 1

# Flags that a fold returns
TRIGGER_FIRED: Final = 1  # Market.fired has the bits of the triggers
BOOK_NEEDS_SNAPSHOT: Final = 2
BOOK_JOINED: Final = 4
BOOK_CROSSED: Final = 8
BAD_VALUE_SEEN: Final = 16
LEVELS_EXCEEDED: Final = 32
BAR_CLOSED: Final = 64
DUE: Final = 128  # stopped before a record: something is due at or before its time
GROW: Final = 256  # an array is too small; only between the compiled fold and Market.fold
MISSED: Final = 512  # ids of a stream have a gap: G_STREAM ... G_FIRST_ID describe it
LOSS_LEVEL: Final = 1024  # a price reached a level at which a loss may be at its limit

# States of a book
BOOK_NONE: Final = 0
BOOK_BUFFERING: Final = 1  # diffs came, no snapshot yet
BOOK_SYNCED: Final = 2
BOOK_BROKEN: Final = 3  # lost (gap, crossed, too many levels); buffers until the next snapshot

# Modes of the LEVEL rows that follow a header
IGNORE: Final = 0
APPLY: Final = 1
KEEP: Final = 2
LOAD: Final = 3

# One array holds all integers except the levels, because each array costs time at each call. Its order: s, t, bars,
# indicators, triggers, conditions, predicates, closed bars.
# s: one number for the whole market
S_MODE: Final = 0
S_REMAINING: Final = 1  # LEVEL rows that the current message still has
S_IN_RECORD: Final = 2
S_FLAGS: Final = 3  # raised so far by the current record
S_FIRED: Final = 4  # bits of the triggers that the current record fired
S_CHANGED: Final = 5  # bits of the triggers that saw a change in the current record
S_TOUCHED: Final = 6  # books that the current record touched
S_RETURNED: Final = 7  # 1: the last fold returned flags
S_LEVELS_MAX: Final = 8
S_NEXT_DUE: Final = 9
S_MESSAGES: Final = 10
S_SEQ: Final = 11
S_TIME_NS: Final = 12
S_INSTRUMENTS: Final = 13
S_BARS: Final = 14
S_INDICATORS: Final = 15
S_TRIGGERS: Final = 16
S_CONDITIONS: Final = 17
S_PREDICATES: Final = 18
S_PREDICATE_FIELDS: Final = 19  # length of a predicate's row
# instrument whose predicate inputs the current record changed: its index + 1, SEVERAL, or 0
S_INPUTS_CHANGED: Final = 20
S_BARS_BY_TIME: Final = 21  # 1: bars close by time too (EngineSettings.bar_close_after_ns)
S_TRADE_INDICATORS: Final = 22  # index of the first indicator over trades; those over quotes come before it
S_BAR_INDICATORS: Final = 23  # index of the first indicator over bars
S_FIELDS: Final = 24
SEVERAL: Final = -1

# t: one row for each instrument. Quotes
Q_LIVE: Final = 0
Q_BID: Final = 1
Q_BID_SIZE: Final = 2
Q_ASK: Final = 3
Q_ASK_SIZE: Final = 4
Q_ID: Final = 5  # BOOK_QUOTES: the market has no quotes, and its book gives them
Q_SEQ: Final = 6
Q_TIME_NS: Final = 7
Q_COUNT: Final = 8
Q_STALE: Final = 9  # quotes dropped: their update id was older than the last
Q_END: Final = 10
BOOK_QUOTES: Final = -1
# Trades
T_PRICE: Final = 10
T_SIZE: Final = 11
T_ID: Final = 12
T_BUYER_IS_MAKER: Final = 13
T_SEQ: Final = 14
T_TIME_NS: Final = 15
T_VENUE_NS: Final = 16
T_COUNT: Final = 17
T_BUYER_IS_MAKER_COUNT: Final = 18
T_ID_GAPS: Final = 19
T_IDS_MISSING: Final = 20
T_REPEATED: Final = 21  # trades dropped: their id was not above the last
T_VOLUME_1: Final = 22
T_VOLUME_0: Final = 23
T_NOTIONAL_2: Final = 24
T_NOTIONAL_1: Final = 25
T_NOTIONAL_0: Final = 26
T_END: Final = 27
# Books
B_STATE: Final = 27
B_ID: Final = 28  # last update id applied
B_SNAPSHOT_ID: Final = 29
B_SNAPSHOT_LOW: Final = 30  # price range of the snapshot
B_SNAPSHOT_HIGH: Final = 31
B_BIDS: Final = 32  # number of levels; B_BIDS + side
B_ASKS: Final = 33
B_SEQ: Final = 34
B_TIME_NS: Final = 35
B_VENUE_NS: Final = 36
B_PENDING: Final = 37  # rows kept for a snapshot
B_PENDING_DIFFS: Final = 38
B_PENDING_ID: Final = 39  # last update id of the newest diff kept
B_TOP_LIVE: Final = 40
B_TOP_BID: Final = 41
B_TOP_BID_SIZE: Final = 42
B_TOP_ASK: Final = 43
B_TOP_ASK_SIZE: Final = 44
B_APPLIED: Final = 45
B_DROPPED: Final = 46  # diffs not applied: older than the book, or before a gap
B_GAPS: Final = 47
B_SNAPSHOTS_REFUSED: Final = 48  # older than the book or than the first diff kept
B_TOUCHED: Final = 49  # by the current record
B_END: Final = 50
# Conditions and triggers
X_CONDITIONS: Final = 50  # flags that remain set: until the book joins again, BAD_VALUE_SEEN until cleared
X_FLAGS: Final = 51  # flags that the last record raised
X_TRIGGERS: Final = 52  # bits of the triggers on this instrument
X_BAR_TRIGGERS: Final = 53
X_SEEN_QUOTE_NS: Final = 54
X_SEEN_TRADE_NS: Final = 55
X_SEEN_BOOK_NS: Final = 56
X_END: Final = 57
# The end of the depth stream, independent of the book; a lost link keeps it
D_ID: Final = 57  # last update id; 0 before the first diff
D_SEQ: Final = 58
D_TIME_NS: Final = 59
# The last gap in the ids of a stream
G_STREAM: Final = 60  # the row type, TRADE or DIFF; 0: no gap yet
G_LAST_ID: Final = 61  # the last before it
G_LAST_SEQ: Final = 62
G_LAST_NS: Final = 63
G_FIRST_ID: Final = 64  # the first after it
G_END: Final = 65
# The venue's figures of a contract, at rows.MARK_SCALE
M_PRICE: Final = 65
M_INDEX: Final = 66
M_SETTLE: Final = 67  # the estimated settlement price
M_RATE: Final = 68  # of the next funding
M_NEXT_NS: Final = 69  # time of the next funding in the venue's clock; 0: no funding
M_SEQ: Final = 70
M_TIME_NS: Final = 71
M_VENUE_NS: Final = 72
M_COUNT: Final = 73
M_END: Final = 74
# The gaps in an instrument's trades, for the completeness of its bars
L_SINCE_NS: Final = 74  # time since which no trade can be missing; NEVER while the link is down
L_BEFORE_NS: Final = 75  # that time as it was when the link went down, until a trade shows whether ids are missing
T_FIELDS: Final = 76

# triggers
W_THROTTLE_NS: Final = 0
W_EVALUATED_NS: Final = 1  # -1: never
W_DUE_NS: Final = 2
W_FIELDS: Final = 3

# conditions: they replace "any change of the top" for their trigger
C_TRIGGER: Final = 0
C_INSTRUMENT: Final = 1
C_KIND: Final = 2
C_FIRST: Final = 3  # of a CROSS: indexes of the indicators
C_SECOND: Final = 4
C_WARM: Final = 5  # updates until both indicators are warm
C_SIDE: Final = 6  # 1: the first was above the second at their last difference, -1: below, 0: unknown
C_PPM: Final = 7  # MOVE: distance in millionths
C_FROM: Final = 8  # bid + ask when the condition was last met; 0: never
C_FIELDS: Final = 9
CROSS: Final = 1
MOVE: Final = 2
TRADED: Final = 3  # any trade; no memory
BOOK_MOVED: Final = 4  # any level of the book
CROSS_AT_BAR: Final = 5  # a CROSS of indicators over bars, checked when such a bar closes
CROSS_AT_TRADE: Final = 6  # of indicators over trades, checked at each trade

# predicates: their inputs for one instrument, between a head and the indexes of the indicators
P_TRIGGER: Final = 0
P_INSTRUMENT: Final = 1
P_ADDRESS: Final = 2  # of the machine code, which reads this row from P_TIME_NS on, and the same row of floats
P_ENABLED: Final = 3  # 0: the fold skips it (strategy not running, stopped, or a rebuild)
P_INDICATORS: Final = 4  # how many
P_TIME_NS: Final = 5  # from here on in the order of predicates.MarketTick
P_BID: Final = 6
P_BOOK_BID: Final = 10
P_TRADE_PRICE: Final = 14
P_BUYER_IS_MAKER: Final = 16
P_WHICH: Final = 17
P_TICK: Final = 18
P_ACCOUNT: Final = 20  # from here on numbers of the account
P_FIELDS: Final = 25
F_POSITION: Final = 0
F_PRICE_UNIT: Final = 1
F_INDICATORS: Final = 3  # then the parameters

# bars: one row for each specification, the forming bar in it; closed: the same numbers and one more, a ring
BAR_START_NS: Final = 0
BAR_OPEN: Final = 1
BAR_HIGH: Final = 2
BAR_LOW: Final = 3
BAR_CLOSE: Final = 4
BAR_VOLUME_1: Final = 5
BAR_VOLUME_0: Final = 6
BAR_TRADES: Final = 7
BAR_NUMBERS: Final = 8
BAR_INSTRUMENT: Final = 8
BAR_INTERVAL_NS: Final = 9
BAR_CLOSED_COUNT: Final = 10
BAR_LATE: Final = 11  # trades of a bar already closed: counted, otherwise ignored
BAR_END: Final = 12
BAR_BEGUN: Final = 12  # 1: a bar is forming; if bars close by time, maybe without a trade
BAR_ANCHOR_NS: Final = 13  # a time at which a bar begins: weeks begin on Monday
BAR_TRIGGERS: Final = 14  # bits of the triggers on this bar's end
BAR_FIELDS: Final = 15
CLOSED_COMPLETE: Final = 8  # 1: no trade of the interval can be missing
CLOSED_NUMBERS: Final = 9

# indicators: a row of integers and a row of floats. The floats are the value, divisors, the input of the update, and
# the indicator's own numbers: parameters, then state
I_INSTRUMENT: Final = 0
I_COUNT: Final = 1  # updates so far
I_DIGESTED: Final = 2  # the integers before it are in digests and dumps; the others follow from the declaration
I_BARS: Final = 2  # index of the bars that it follows; -1: none
I_FIELD: Final = 3  # the column of a bar that is its input; I_BID if its update reads the quote, not the mid alone
I_LENGTH: Final = 4
I_ADDRESS: Final = 5  # of the machine code of its update
I_INTEGERS: Final = 6
I_VALUE: Final = 0
I_DIVISOR: Final = 1  # 2 * 10**price_scale: (bid + ask) / divisor is the mid
I_SIZE_DIVISOR: Final = 2  # 10**size_scale
I_INPUT: Final = 3  # the mid, the price or size of a trade, or the field of a bar
I_TIME_S: Final = 4  # venue time of a trade, end of a bar
I_OPEN: Final = 5
I_HIGH: Final = 6
I_LOW: Final = 7
I_CLOSE: Final = 8
I_VOLUME: Final = 9
I_BID: Final = 10
I_BID_SIZE: Final = 11
I_ASK: Final = 12
I_ASK_SIZE: Final = 13
I_OWN: Final = 14
