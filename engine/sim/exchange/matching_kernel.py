"""What the market's rows do to the simulated venue: its books, its tape, the queues of resting orders. Compiled; fills nobody.

It stops behind the row that may fill an order of ours: engine/sim/exchange/exchange.py looks at it, and fills. So the exchange's Python runs
where an order is touched and nowhere else. Amounts are integers in units of 1e-8, whatever the scales of the rows. Where a batch of
rows is cut never changes a result: it stops between records alone, and a record is never cut.

The book that orders meet holds depth diffs, and on top of them the newest quote where it is the fresher word. What our orders took of
a level stays taken until that level next changes. The public book is what diffs alone tell, and what GET depth answers.
"""

from typing import Final

from engine.market import rows as r
from engine.market.fold.dense_book import N_COUNT, N_MISSES, forget_window, needs_window, slot_of
from engine.market.jit import compiled
from engine.market.rows import Floats, Rows
from engine.sim.exchange.price_levels import (
    FAR,
    SIZE,
    best_offered,
    found,
    room_of,
    set_far,
    set_quoted,
    set_slot,
)
from engine.sim.exchange.queue_models import PESSIMISTIC, excess, moved_on

# Why it stopped
DONE: Final = 0
PRINTED: Final = 1  # behind a trade that reaches an order
CROSSED: Final = 2  # behind a record after which an order could trade with the book
UNJOINED: Final = 3  # before a diff that came before any snapshot
JOINED: Final = 4  # behind a snapshot
GROW: Final = 5  # before a record for which the books have no room, or no window where levels are set
FUNDED: Final = 6  # before a mark that names a later funding than the one before: that one has come

# v: one row for each symbol
V_JOINED: Final = 0
V_ID: Final = 1  # last update id of the diffs
V_GAPS: Final = 2  # diffs that did not follow their predecessor: the capture's own losses
V_QUOTED: Final = 3  # a quote has come
V_QUOTE_ID: Final = 4
V_BID: Final = 5
V_BID_SIZE: Final = 6
V_ASK: Final = 7
V_ASK_SIZE: Final = 8
V_FRESH_ID: Final = 9  # of the quote that the book holds; 0: none
V_FRESH_BID: Final = 10
V_FRESH_ASK: Final = 11
V_FAR: Final = 12  # number of levels in the sorted row of its side (ladder.py): bids, asks
V_PRICE_UNIT: Final = 14  # what a row's price is to be multiplied by
V_SIZE_UNIT: Final = 15
V_PRINTS: Final = 16  # how many were printed
V_BARS: Final = 17
V_RECORDS: Final = 18  # of the first symbol alone: records seen, of all
V_QUEUE: Final = 19  # how orders move on in their queue
V_QUEUE_N: Final = 20  # the power, of those that have one
V_LOT: Final = 21  # by which a queue of chances is rounded
V_QUOTES_ALONE: Final = 22  # no diffs come: the book is the last quote
V_MARK: Final = 23  # mark price, and the rate of the next funding
V_RATE: Final = 24
V_FUNDING_NS: Final = 25  # when that is, in the venue's clock; 0: not known
V_FIELDS: Final = 26

# tape: the last prints, a ring
P_ID: Final = 0
P_PRICE: Final = 1
P_SIZE: Final = 2
P_TIME_NS: Final = 3
P_BUYER_IS_MAKER: Final = 4
P_FIELDS: Final = 5
PRINTS_KEPT: Final = 1000  # GET trades answers at most so many

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
O_AHEAD: Final = 3  # what stood at our price before us and still does; with a queue of chances, the floats hold it
O_SHOWN: Final = 4  # what the market showed at our price when last looked at
O_TRADED: Final = 5  # traded there since
O_FIELDS: Final = 6

_ONE: Final = 100_000_000
HIGHEST: Final = 2**62  # above any price


@compiled
def product(price: int, size: int) -> int:
    """Price times size, cut to 8 places, without a number above 2**63 on the way."""
    return price * (size // _ONE) + (price // _ONE) * (size % _ONE) + (price % _ONE) * (size % _ONE) // _ONE


@compiled
def after_book(i: int, v: Rows, levels: Rows, orders: Rows, fronts: Floats) -> bool:
    """Queues shrink with their level; whether an order of ours could now trade with the book."""
    crossed = False
    best_bid = best_ask = 0
    looked = False
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] != i:
            continue
        side = orders[k, O_SIDE]
        price = orders[k, O_PRICE]
        key = price if side == 0 else -price
        if orders[k, O_AHEAD] > 0 or v[i, V_QUEUE] != PESSIMISTIC:
            at = found(levels[2 * i + side], v[i, V_FAR + side], key)
            shown = levels[2 * i + side, at + SIZE] if at > 0 else 0
            if v[i, V_QUEUE] == PESSIMISTIC:
                orders[k, O_AHEAD] = min(orders[k, O_AHEAD], shown)
            elif shown != orders[k, O_SHOWN]:
                fronts[k] = moved_on(
                    v[i, V_QUEUE], v[i, V_QUEUE_N], fronts[k], orders[k, O_SHOWN], shown, orders[k, O_TRADED]
                )
                orders[k, O_SHOWN] = shown
                orders[k, O_TRADED] = 0
        if not looked:
            looked = True
            for other in range(2):
                best_bid, best_ask = best_ask, best_offered(levels[2 * i + other], v[i, V_FAR + other], HIGHEST)
        crossed |= (best_ask if side == 0 else best_bid) >= -key
    return crossed


@compiled
def reached(i: int, price: int, size: int, buyer_is_maker: int, v: Rows, orders: Rows, fronts: Floats) -> bool:  # noqa: PLR0917 - compiled code takes arguments by place
    """Whether a trade fills an order of ours; where it fills none, those before us at its price are fewer."""
    hit = 0 if buyer_is_maker else 1
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] == i:
            side = orders[k, O_SIDE]
            beyond = orders[k, O_PRICE] - price if side == 0 else price - orders[k, O_PRICE]
            if beyond > 0 or (
                beyond == 0
                and side == hit
                and excess(v[i, V_QUEUE], v[i, V_LOT], orders[k, O_AHEAD], fronts[k], size) > 0
            ):
                return True
    for k in range(orders.shape[0]):
        if orders[k, O_SYMBOL] == i and orders[k, O_PRICE] == price and orders[k, O_SIDE] == hit:
            orders[k, O_AHEAD] -= size
            orders[k, O_TRADED] += size
            fronts[k] -= size
    return False


@compiled
def take_print(i: int, row: Rows, v: Rows, prints: Rows, minutes: Rows) -> None:
    """Onto the tape, and into its minute by the venue's time."""
    price = row[r.A] * v[i, V_PRICE_UNIT]
    size = row[r.B] * v[i, V_SIZE_UNIT]
    at = v[i, V_PRINTS] % PRINTS_KEPT
    v[i, V_PRINTS] += 1
    prints[i, at, P_ID] = row[r.C]
    prints[i, at, P_PRICE] = price
    prints[i, at, P_SIZE] = size
    prints[i, at, P_TIME_NS] = row[r.VENUE_NS]
    prints[i, at, P_BUYER_IS_MAKER] = row[r.D]
    start_ns = row[r.VENUE_NS] - row[r.VENUE_NS] % MINUTE_NS
    at = (v[i, V_BARS] - 1) % MINUTES_KEPT
    if v[i, V_BARS] == 0 or minutes[i, at, M_START_NS] < start_ns:
        at = v[i, V_BARS] % MINUTES_KEPT
        v[i, V_BARS] += 1
        for field in range(M_FIELDS):
            minutes[i, at, field] = 0
        minutes[i, at, M_START_NS] = start_ns
        for field in range(M_OPEN, M_VOLUME):
            minutes[i, at, field] = price
        minutes[i, at, M_FIRST_ID] = row[r.C]
    minutes[i, at, M_HIGH] = max(minutes[i, at, M_HIGH], price)
    minutes[i, at, M_LOW] = min(minutes[i, at, M_LOW], price)
    minutes[i, at, M_CLOSE] = price
    minutes[i, at, M_LAST_ID] = row[r.C]
    quote = product(price, size)
    minutes[i, at, M_VOLUME] += size
    minutes[i, at, M_QUOTE] += quote
    minutes[i, at, M_COUNT] += 1
    if row[r.D] == 0:
        minutes[i, at, M_TAKER_BASE] += size
        minutes[i, at, M_TAKER_QUOTE] += quote


@compiled
def take_quote(i: int, row: Rows, v: Rows, levels: Rows) -> None:
    """The best bid and ask as of an update: whatever stood better than them is gone."""
    bid = row[r.A] * v[i, V_PRICE_UNIT]
    bid_size = row[r.B] * v[i, V_SIZE_UNIT]
    ask = row[r.C] * v[i, V_PRICE_UNIT]
    ask_size = row[r.D] * v[i, V_SIZE_UNIT]
    v[i, V_QUOTED] = 1
    v[i, V_QUOTE_ID] = row[r.E]
    v[i, V_BID] = bid
    v[i, V_BID_SIZE] = bid_size
    v[i, V_ASK] = ask
    v[i, V_ASK_SIZE] = ask_size
    if v[i, V_QUOTES_ALONE] == 0 and (row[r.E] < v[i, V_ID] or v[i, V_ID] == 0):
        return
    for side in range(2):
        key = bid if side == 0 else -ask
        if v[i, V_QUOTES_ALONE]:  # one level a side; it keeps what was taken while its price is the same
            v[i, V_FAR + side] = 1 if v[i, V_FAR + side] > 0 and levels[2 * i + side, FAR] == key else 0
        v[i, V_FAR + side] = set_quoted(
            levels[2 * i + side], v[i, V_FAR + side], key, bid_size if side == 0 else ask_size
        )
    v[i, V_FRESH_ID] = row[r.E]
    v[i, V_FRESH_BID] = bid
    v[i, V_FRESH_ASK] = ask


@compiled
def take_levels(i: int, rows: Rows, start: int, end: int, fresher: bool, v: Rows, levels: Rows) -> None:  # noqa: FBT001, PLR0917 - compiled code takes arguments by place
    """A diff's absolute sizes, into both books. Where a newer quote has spoken (at its prices and better), an older diff is silent."""
    price_unit = v[i, V_PRICE_UNIT]
    size_unit = v[i, V_SIZE_UNIT]
    for k in range(start, end):
        side = rows[k, r.A]
        price = rows[k, r.B] * price_unit
        size = rows[k, r.C] * size_unit
        key = price if side == 0 else -price
        row = levels[2 * i + side]
        met = fresher or (side == 0 and price < v[i, V_FRESH_BID]) or (side == 1 and price > v[i, V_FRESH_ASK])
        slot = slot_of(row, key)
        if slot < 0:
            row[N_MISSES] += 1
            v[i, V_FAR + side] = set_far(row, v[i, V_FAR + side], key, size, met, True)
        else:
            set_slot(row, slot, size, met, True)


@compiled
def take_depth(i: int, rows: Rows, start: int, v: Rows, levels: Rows) -> bool:
    """A snapshot, or a diff with its levels; whether it was news."""
    last_id = rows[start, r.B]
    fresher = True
    if rows[start, r.TYPE] == r.SNAPSHOT:
        for side in range(2):
            v[i, V_FAR + side] = 0
            forget_window(levels[2 * i + side])
        last_id = rows[start, r.A]
        v[i, V_FRESH_ID] = 0
        v[i, V_JOINED] = 1
    elif last_id <= v[i, V_ID]:
        return False
    else:
        first_id = rows[start, r.A]
        previous_id = rows[start, r.D]
        missing = first_id > v[i, V_ID] + 1 if previous_id == 0 else previous_id > v[i, V_ID]
        v[i, V_GAPS] += missing
        fresher = last_id >= v[i, V_FRESH_ID]
    take_levels(i, rows, start + 1, start + 1 + rows[start, r.C], fresher, v, levels)
    v[i, V_ID] = last_id
    return True


@compiled
def stands_crossed(v: Rows, levels: Rows, orders: Rows) -> bool:
    """Whether an order could trade with the book as it stands: one that was restored, and not matched."""
    for k in range(orders.shape[0]):
        other = 1 - orders[k, O_SIDE]
        i = orders[k, O_SYMBOL]
        key = orders[k, O_PRICE] if other == 0 else -orders[k, O_PRICE]
        if best_offered(levels[2 * i + other], v[i, V_FAR + other], HIGHEST) >= key:
            return True
    return False


@compiled
def first_touch(rows: Rows, start: int, before_ns: int, v: Rows, levels: Rows, orders: Rows) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """The first row from `start` on, with a time before `before_ns`, that might touch an order; the number of rows where there is none.

    It asks prices alone, and changes nothing: what it passes over touches no order, whatever the books hold. Of the diffs kept for a first
    snapshot it knows nothing, so that one might touch whatever rests.
    """
    if start < rows.shape[0] and stands_crossed(v, levels, orders):
        return start
    for k in range(start, rows.shape[0]):
        if rows[k, r.TIME_NS] >= before_ns:
            return k
        kind = rows[k, r.TYPE]
        i = rows[k, r.INSTRUMENT]
        if kind == r.TRADE:
            low = high = rows[k, r.A] * v[i, V_PRICE_UNIT]
        elif kind == r.QUOTE:
            low = rows[k, r.C] * v[i, V_PRICE_UNIT]
            high = rows[k, r.A] * v[i, V_PRICE_UNIT]
        elif kind == r.LEVEL:
            low = high = rows[k, r.B] * v[i, V_PRICE_UNIT]
        elif kind == r.SNAPSHOT and v[i, V_JOINED] == 0:
            low = 0
            high = HIGHEST
        else:
            continue
        for n in range(orders.shape[0]):
            if orders[n, O_SYMBOL] == i:
                side = orders[n, O_SIDE]
                if kind == r.LEVEL and rows[k, r.A] == side:
                    continue
                if (low <= orders[n, O_PRICE]) if side == 0 else (high >= orders[n, O_PRICE]):
                    return k
    return int(rows.shape[0])


@compiled
def meet_rows(  # noqa: PLR0917 - compiled code takes arguments by place
    rows: Rows,
    start: int,
    until_ns: int,
    v: Rows,
    levels: Rows,
    prints: Rows,
    minutes: Rows,
    orders: Rows,
    fronts: Floats,
) -> tuple[int, int]:
    """Fold whole records with a time up to and with `until_ns`, from `start` on: (next row, why it stopped)."""
    k = start
    while k < rows.shape[0] and rows[k, r.TIME_NS] <= until_ns:
        kind = rows[k, r.TYPE]
        i = rows[k, r.INSTRUMENT]
        last = k
        why = DONE
        if kind == r.TRADE and rows[k, r.E] == 0:
            take_print(i, rows[k], v, prints, minutes)
            price = rows[k, r.A] * v[i, V_PRICE_UNIT]
            if reached(i, price, rows[k, r.B] * v[i, V_SIZE_UNIT], rows[k, r.D], v, orders, fronts):
                why = PRINTED
        elif kind == r.MARK:
            if v[i, V_FUNDING_NS] > 0 and rows[k, r.E] > v[i, V_FUNDING_NS]:
                return k, FUNDED
            v[i, V_MARK] = rows[k, r.A]  # both at eight decimal places, as units are
            v[i, V_RATE] = rows[k, r.D]
            v[i, V_FUNDING_NS] = rows[k, r.E]
        elif kind == r.QUOTE or kind == r.DIFF or kind == r.SNAPSHOT:  # noqa: PLR1714 - a tuple would be made for each row
            if kind == r.DIFF and v[i, V_JOINED] == 0:
                return k, UNJOINED
            more = 1 if kind == r.QUOTE else rows[k, r.C]
            if max(
                v[i, V_FAR] + levels[2 * i, N_COUNT], v[i, V_FAR + 1] + levels[2 * i + 1, N_COUNT]
            ) + more >= room_of(levels):
                return k, GROW
            if kind == r.DIFF and (needs_window(levels[2 * i]) or needs_window(levels[2 * i + 1])):
                return k, GROW
            told = True
            if kind == r.QUOTE:
                take_quote(i, rows[k], v, levels)
            else:
                last = k + more
                told = take_depth(i, rows, k, v, levels)
            if kind == r.SNAPSHOT:
                why = JOINED
            elif told and after_book(i, v, levels, orders, fronts):
                why = CROSSED
        v[0, V_RECORDS] += rows[last, r.LAST]
        k = last + 1
        if why != DONE:
            return k, why
    return k, DONE
