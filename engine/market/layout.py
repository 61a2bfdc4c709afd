"""Where each number of market state lies in its array. Names only: the fold writes them, market.py reads them."""

from typing import Final

NEVER: Final = 2**63 - 1  # a time that does not come
WATCHES_MAX: Final = 62  # watches are bits of one int64
LEVELS_MAX: Final = 65_536  # a side of a book; a venue that exceeds it is broken or not what we think
PENDING_ROWS_MAX: Final = 262_144  # diffs kept for a snapshot, minutes of a busy market; beyond it we begin anew
BARS_KEPT: Final = 512  # closed bars per specification; older ones are in the journal
WORD_BITS: Final = 54  # sums of sizes and products are kept in words of this many bits, so that no int64 can wrap
WORD_MASK: Final = 2**54 - 1
HALF_BITS: Final = 27
HALF_MASK: Final = 2**27 - 1

# Wake flags, the answer of fold()
STRATEGY: Final = 1  # a watch is due: see Market.strategies_woken
BOOK_NEEDS_SNAPSHOT: Final = 2
BOOK_JOINED: Final = 4
BOOK_CROSSED: Final = 8
BAD_VALUE_SEEN: Final = 16
LEVELS_EXCEEDED: Final = 32
BAR_CLOSED: Final = 64
DUE: Final = 128  # stopped before a record: something is due at or before its time
GROW: Final = 256  # between the compiled fold and market.py only
MISSED: Final = 512  # ids of a stream are not continuous: G_STREAM ... G_FIRST_ID say where

# States of a book
BOOK_NONE: Final = 0
BOOK_BUFFERING: Final = 1  # diffs came, no snapshot yet
BOOK_SYNCED: Final = 2
BOOK_BROKEN: Final = 3  # lost (gap, crossed, too many levels); buffers until the next snapshot

# What the LEVEL rows that follow are for
IGNORE: Final = 0
APPLY: Final = 1
KEEP: Final = 2
LOAD: Final = 3

# All integers but the levels lie in one array, so that a call hands over few: s, t, bars, averages, watches, conditions, looks, closed bars.
# s: one number for the whole market
S_MODE: Final = 0
S_REMAINING: Final = 1
S_IN_RECORD: Final = 2
S_WAKE: Final = 3  # raised so far in the record at hand
S_STRATEGIES: Final = 4
S_CHANGED: Final = 5  # watches that saw a change in the record at hand
S_TOUCHED: Final = 6
S_RELEASED: Final = 7  # the last fold ended in a wake
S_LEVELS_MAX: Final = 8
S_NEXT_DUE: Final = 9
S_MESSAGES: Final = 10
S_SEQ: Final = 11
S_TIME_NS: Final = 12
S_INSTRUMENTS: Final = 13
S_BARS: Final = 14
S_AVERAGES: Final = 15
S_WATCHES: Final = 16
S_CONDITIONS: Final = 17
S_LOOKS: Final = 18
S_LOOK_FIELDS: Final = 19  # how long a row of looks is
S_SHOWN: Final = 20  # what compiled strategies are shown was changed by the record at hand: 1 + the instrument's place, -1 for several
S_FIELDS: Final = 21

# t: one row for each instrument. Quotes
Q_LIVE: Final = 0
Q_BID: Final = 1
Q_BID_SIZE: Final = 2
Q_ASK: Final = 3
Q_ASK_SIZE: Final = 4
Q_ID: Final = 5
Q_SEQ: Final = 6
Q_TIME_NS: Final = 7
Q_COUNT: Final = 8
Q_STALE: Final = 9  # came with an older update id than the one held: not taken
Q_END: Final = 10
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
T_REPEATED: Final = 21  # an id not above the last one: not taken
T_VOLUME_1: Final = 22
T_VOLUME_0: Final = 23
T_NOTIONAL_2: Final = 24
T_NOTIONAL_1: Final = 25
T_NOTIONAL_0: Final = 26
T_END: Final = 27
# Books
B_STATE: Final = 27
B_ID: Final = 28  # the last update id the book holds
B_SNAPSHOT_ID: Final = 29
B_VOUCHED_LOW: Final = 30
B_VOUCHED_HIGH: Final = 31
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
B_TOUCHED: Final = 49  # in the record at hand
B_END: Final = 50
# Conditions and the rest
X_CONDITIONS: Final = 50  # wake flags that hold: until the book joins again, BAD_VALUE_SEEN until cleared
X_WOKEN: Final = 51  # wake flags this instrument raised in the last record
X_WATCHES: Final = 52  # bits of the watches that look at it
X_BAR_WATCHES: Final = 53
X_SEEN_QUOTE_NS: Final = 54
X_SEEN_TRADE_NS: Final = 55
X_SEEN_BOOK_NS: Final = 56
X_END: Final = 57
# What the depth stream said last, whatever became of the book; a lost link does not forget it
D_ID: Final = 57  # last update id; 0 before the first diff
D_SEQ: Final = 58
D_TIME_NS: Final = 59
# The last break in a stream's ids
G_STREAM: Final = 60  # the row type, TRADE or DIFF; 0: none yet
G_LAST_ID: Final = 61  # the last before it
G_LAST_SEQ: Final = 62
G_LAST_NS: Final = 63
G_FIRST_ID: Final = 64  # the first after it
G_END: Final = 65
# What the venue computes of a contract, at rows.MARK_SCALE
M_PRICE: Final = 65
M_INDEX: Final = 66
M_SETTLE: Final = 67  # the estimated settlement price
M_RATE: Final = 68  # of the next funding
M_NEXT_NS: Final = 69  # when that is, in the venue's clock; 0: never
M_SEQ: Final = 70
M_TIME_NS: Final = 71
M_VENUE_NS: Final = 72
M_COUNT: Final = 73
T_FIELDS: Final = 74

# watches
W_THROTTLE_NS: Final = 0
W_EVALUATED_NS: Final = 1  # -1: never
W_DUE_NS: Final = 2
W_FIELDS: Final = 3

# conditions: what a watch waits for in place of any change of the top
C_WATCH: Final = 0
C_INSTRUMENT: Final = 1
C_KIND: Final = 2
C_FIRST: Final = 3  # CROSS: the averages, by their places
C_SECOND: Final = 4
C_WARM: Final = 5  # changes of the quote before either average says something
C_SIDE: Final = 6  # 1: the first was above the second when last they differed, -1: below, 0: not known
C_PPM: Final = 7  # MOVE: how far, in millionths
C_FROM: Final = 8  # bid + ask when it was met last; 0: never
C_FIELDS: Final = 9
CROSS: Final = 1
MOVE: Final = 2

# looks: what a compiled strategy is shown of an instrument of its, behind where it is and before the places of its averages
L_WATCH: Final = 0
L_INSTRUMENT: Final = 1
L_ADDRESS: Final = 2  # of its machine code; it gets this row from L_TIME_NS on, and the same row of floats
L_AWAKE: Final = 3  # 0: not to be asked (not running, stopped, or a rebuild)
L_AVERAGES: Final = 4  # how many
L_TIME_NS: Final = 5  # from here on as looks.MarketTick names them
L_BID: Final = 6
L_BOOK_BID: Final = 10
L_TRADE_PRICE: Final = 14
L_BUYER_IS_MAKER: Final = 16
L_WHICH: Final = 17
L_TICK: Final = 18
L_BIDS: Final = 20  # from here on what the account says
L_FIELDS: Final = 25
F_POSITION: Final = 0
F_PRICE_UNIT: Final = 1
F_AVERAGES: Final = 3  # then the parameters

# bars: one row for each specification, the forming bar in it; closed: the same eight numbers, a ring
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
BAR_LATE: Final = 11  # trades of a bar already closed: counted, not taken
BAR_FIELDS: Final = 12

# averages, integers and floats
E_INSTRUMENT: Final = 0
E_COUNT: Final = 1
E_INTEGERS: Final = 2
E_ALPHA: Final = 0
E_VALUE: Final = 1
E_DIVISOR: Final = 2  # 2 * 10**price_scale: (bid + ask) / divisor is the mid
E_FLOATS: Final = 3
