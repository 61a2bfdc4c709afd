"""The venue's books: levels, tape and resting orders of all symbols, in the arrays that matching_kernel.py folds.

Allocates, grows and reads the arrays. Fills no order: exchange.py does.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from engine.market import rows as r
from engine.market.fold.dense_book import N_COUNT, needs_window, rebuild_window, widen
from engine.market.made_quotes import made_ask, made_bid
from engine.market.rows import Floats, Rows
from engine.sim.exchange import market_orders, price_levels, queue_models
from engine.sim.exchange import matching_kernel as at
from engine.sim.exchange import venue_arrays as arrays
from engine.sim.exchange.bar_kernel import start_bar
from engine.sim.exchange.order_values import SimOrder
from engine.sim.exchange.touch_kernel import first_touch
from engine.sim.units import PLACES

PENDING_DIFFS_MAX: Final = 10_000
LEVELS_START: Final = 8192  # first room per side; untouched memory costs nothing
FOREVER_NS: Final = 2**63 - 1


class VenueBooks:
    """Arrays of all symbols, which are known by their index."""

    def __init__(self, symbols: int) -> None:
        self._before_use: Callable[[], None] | None = None
        self._amount_max = arrays.HIGHEST  # of a row: it fits the scales of all symbols
        self._v: Rows = np.zeros((symbols, arrays.V_FIELDS), np.int64)
        self._v[:, arrays.V_PRICE_UNIT] = self._v[:, arrays.V_SIZE_UNIT] = 1
        self._v[:, arrays.V_TRIGGER_HIGH], self._v[:, arrays.V_TRIGGER_LOW] = arrays.HIGHEST, -1
        self._levels: Rows = np.zeros((2 * symbols, price_levels.FAR + price_levels.STEP * LEVELS_START), np.int64)
        self._prints: Rows = np.zeros((symbols, arrays.PRINTS_KEPT, arrays.P_FIELDS), np.int64)
        self._minutes: Rows = np.zeros((symbols, arrays.MINUTES_KEPT, arrays.M_FIELDS), np.int64)
        self._known = market_orders.empty_table()  # the orders of other traders, of an order-by-order market
        self.resting: list[SimOrder] = []  # in the order of `orders`
        self.orders: Rows = np.zeros((0, arrays.O_FIELDS), np.int64)
        self.fronts: Floats = np.zeros(0, np.float64)  # size before each order, in a probabilistic queue model
        self._least: Rows = np.zeros((0, 2), np.int64)  # scratch of first_touch
        self._pending: list[deque[Rows]] = [
            deque(maxlen=PENDING_DIFFS_MAX) for _ in range(symbols)
        ]  # before the snapshot: one of them joins it
        self._priority_next = 1
        self._compile()

    def _compile(self) -> None:
        """Compile the kernel before the first message; nothing is folded."""
        nothing: Rows = np.zeros((0, r.COLUMNS), np.int64)
        at.match_rows(
            nothing, 0, 0, self.v, self.levels, self.prints, self.minutes, self.orders, self.fronts, self.known
        )
        self.first_touch(nothing, 0, 0)
        at.update_queues(0, self.v, self.levels, self.orders, self.fronts)
        side: Rows = np.zeros(price_levels.FAR, np.int64)
        price_levels.find_level(side, 0, 0)
        price_levels.best_offered(side, 0, arrays.HIGHEST)
        price_levels.room_of(self.levels)
        if len(self.levels):  # else it is a venue without a market
            needs_window(self.levels[0])
        market_orders.has_room(self.known, 0, self.v)

    def scale(self, i: int, price_scale: int, size_scale: int) -> None:
        """Set the scales of a symbol's rows; without this call rows are in units."""
        assert max(price_scale, size_scale) <= PLACES, f"units of 1e-{PLACES} are coarser than these scales"
        units = 10 ** (PLACES - price_scale), 10 ** (PLACES - size_scale)
        self.v[i, [arrays.V_PRICE_UNIT, arrays.V_SIZE_UNIT]] = units
        self._amount_max = min(self._amount_max, *(arrays.HIGHEST // unit for unit in units))

    # ---- rows that are folded later

    def defer(self, fold: Callable[[], None]) -> None:
        """Call `fold` before the books are used next, which may be never."""
        self._before_use = fold

    def fits(self, amount: int) -> bool:
        """Return True if the venue counts a price or a size of a row exactly, for each symbol."""
        return amount <= self._amount_max

    def _use(self) -> None:
        fold, self._before_use = self._before_use, None
        assert fold is not None, "the caller has looked"
        fold()

    @property
    def v(self) -> Rows:
        """The numbers of each symbol (venue_arrays.py)."""
        if self._before_use is not None:
            self._use()
        return self._v

    @property
    def levels(self) -> Rows:
        """The levels of each side."""
        if self._before_use is not None:
            self._use()
        return self._levels

    @property
    def prints(self) -> Rows:
        """The last trades of each symbol."""
        if self._before_use is not None:
            self._use()
        return self._prints

    @property
    def minutes(self) -> Rows:
        """The minutes of each symbol's trades."""
        if self._before_use is not None:
            self._use()
        return self._minutes

    @property
    def known(self) -> Rows:
        """The orders of other traders, of an order-by-order market."""
        if self._before_use is not None:
            self._use()
        return self._known

    # ---- folding

    @property
    def records(self) -> int:
        """Return the number of the market's records folded, without those that are folded later."""
        return int(self._v[0, arrays.V_RECORDS])

    def match_rows(self, rows: Rows, start: int = 0, until_ns: int = FOREVER_NS) -> tuple[int, int]:
        """Fold up to the first row that may fill an order; return (next row, reason to stop).

        The reason is DONE, PRINTED, CROSSED, FUNDED, TOO_LARGE or TRIGGERED.
        """
        while True:
            start, why = at.match_rows(
                rows,
                start,
                until_ns,
                self.v,
                self.levels,
                self.prints,
                self.minutes,
                self.orders,
                self.fronts,
                self.known,
            )
            if why == at.GROW:
                self.grow(
                    int(rows[start, r.INSTRUMENT]),
                    2 if rows[start, r.TYPE] == r.QUOTE else int(rows[start, r.DIFF_LEVELS]),
                )
            elif why == at.UNJOINED:
                end = start + 1 + int(rows[start, r.DIFF_LEVELS])
                self._pending[int(rows[start, r.INSTRUMENT])].append(rows[start:end].copy())
                self.v[0, arrays.V_RECORDS] += rows[end - 1, r.LAST]
                start = end
            elif why == at.JOINED:
                if self._join(int(rows[start - 1, r.INSTRUMENT])):
                    return start, at.CROSSED
            else:
                return start, why

    def first_touch(self, rows: Rows, start: int, before_ns: int, *, continues: bool = False) -> int:
        """Return the first row before a time that might reach an order; the number of rows if no row does.

        A search continues an earlier one if these rows follow those of that one, in which no row did.
        """
        books = self.v, self.levels, self.orders, self.fronts, self._least
        return first_touch(rows, start, before_ns, *books, continues)

    def _join(self, i: int) -> bool:
        """Apply the diffs kept for a snapshot; return True if a resting order could now trade."""
        kept, self._pending[i] = self._pending[i], deque(maxlen=PENDING_DIFFS_MAX)
        seen = int(self.v[0, arrays.V_RECORDS])
        for diff in kept:
            self.match_rows(diff)
        self.v[0, arrays.V_RECORDS] = seen  # they were counted at their arrival
        return at.update_queues(i, self.v, self.levels, self.orders, self.fronts)

    def grow(self, i: int, more: int) -> None:
        """Rebuild windows and make room for one more message.

        Removed levels are dropped first; if that is not enough, the arrays double.
        """
        room = price_levels.room_of(self.levels)
        short = self._most(i) + more >= room
        for side in (r.BID, r.ASK):
            if short or needs_window(self.levels[2 * i + side]):
                self.v[i, arrays.V_FAR + side] = rebuild_window(self.levels[2 * i + side], self._all(i, side))
        if short and 2 * (self._most(i) + more) >= room:
            self._levels = widen(
                self.levels, price_levels.NUMBERS, price_levels.FAR + price_levels.STEP * max(2 * room, room + more + 1)
            )
        if not market_orders.has_room(self.known, more, self.v):
            self._known = market_orders.widen(self.known, more)

    def _most(self, i: int) -> int:
        """Return the number of places on the longer side."""
        return int((self.v[i, arrays.V_FAR : arrays.V_FAR + 2] + self.levels[2 * i : 2 * i + 2, N_COUNT]).max())

    def _all(self, i: int, side: int) -> Rows:
        return price_levels.all_levels(self.levels[2 * i + side], int(self.v[i, arrays.V_FAR + side]))

    # ---- resting orders

    def rest(self, order: SimOrder) -> None:
        """Add a resting order behind those at its price."""
        self.read_queues()
        order.priority = self._priority_next
        self._priority_next += 1
        self.resting.append(order)
        self._rebuild_orders()

    def remove(self, order: SimOrder) -> None:
        """Remove a resting order."""
        self.read_queues()
        self.resting.remove(order)
        self._rebuild_orders()

    def quotes_alone(self, i: int) -> None:
        """Use the last quote as the book of a symbol without diffs."""
        self.v[i, [arrays.V_QUOTES_ALONE, arrays.V_JOINED, arrays.V_ID]] = 1

    def make_quotes(self, i: int, half_spread_ppm: int) -> None:
        """Note the half spread of a symbol whose quotes are made of trades or bars."""
        self.v[i, arrays.V_HALF_SPREAD] = half_spread_ppm

    def price_unit(self, i: int) -> int:
        """Return the factor from a row's price to units."""
        return int(self.v[i, arrays.V_PRICE_UNIT])

    def bar_left(self, i: int) -> int | None:
        """Return the quantity that the current bar of a symbol still fills; None if the symbol has no bars."""
        return int(self.v[i, arrays.V_LEFT]) if self.v[i, arrays.V_IS_BARS] else None

    def use_bar(self, i: int, quantity: int) -> None:
        """Subtract a fill from the quantity that the current bar still fills."""
        if self.v[i, arrays.V_IS_BARS]:
            self.v[i, arrays.V_LEFT] = max(0, int(self.v[i, arrays.V_LEFT]) - quantity)

    def quote_at(self, i: int, price: int, tick: int) -> None:
        """Set the quote of a symbol around a price within its bar, with all that the bar still fills."""
        price_unit, size_unit, ppm = (
            int(self.v[i, field]) for field in (arrays.V_PRICE_UNIT, arrays.V_SIZE_UNIT, arrays.V_HALF_SPREAD)
        )
        size = int(self.v[i, arrays.V_LEFT]) // size_unit
        bid, ask = made_bid(price, ppm, tick) // price_unit, made_ask(price, ppm, tick) // price_unit
        row = np.array([r.BAR_START, i, 0, 0, 0, 1, bid, size, ask, size, 0], np.int64)
        start_bar(i, row, self.v, self.levels)

    def queue(self, i: int, kind: int, n: int, lot: int) -> None:
        """Set the queue model of a symbol (queue_models.py)."""
        self.v[i, [arrays.V_QUEUE, arrays.V_QUEUE_N, arrays.V_LOT]] = kind, n, lot

    def read_queues(self) -> None:
        """Copy the queues from the arrays to the orders, before a caller reads or changes them."""
        for order, numbers, front in zip(self.resting, self.orders.tolist(), self.fronts.tolist(), strict=True):
            order.queue_shown, order.queue_traded, order.queue_front = (
                numbers[arrays.O_SHOWN],
                numbers[arrays.O_TRADED],
                front,
            )
            order.queue_ahead = (
                numbers[arrays.O_AHEAD]
                if queue_models.is_counted(int(self.v[order.place, arrays.V_QUEUE]))
                else max(0, int(front))
            )

    def write_queues(self) -> None:
        """Copy the queues from the orders to the arrays, after a caller changed them."""
        for k, order in enumerate(self.resting):
            self.orders[k, arrays.O_AHEAD :] = (
                order.queue_ahead,
                order.queue_shown,
                order.queue_traded,
                order.queue_since,
            )
            self.fronts[k] = order.queue_front

    def excess(self, order: SimOrder, size: int) -> int:
        """Return what a trade of this size at an order's price leaves for it."""
        kind, _, lot = self.v[order.place, arrays.V_QUEUE : arrays.V_LOT + 1].tolist()
        return queue_models.excess(kind, lot, order.queue_ahead, order.queue_front, size)

    def _rebuild_orders(self) -> None:
        self.resting.sort(
            key=lambda order: (order.place, order.side.sign, -order.price * order.side.sign, order.priority)
        )
        rows = [
            (
                order.place,
                order.side.sign < 0,
                order.price,
                order.queue_ahead,
                order.queue_shown,
                order.queue_traded,
                order.queue_since,
            )
            for order in self.resting
        ]
        self.orders = np.array(rows, np.int64).reshape(len(rows), arrays.O_FIELDS)
        self.fronts = np.array([order.queue_front for order in self.resting], np.float64)
        self._least = np.zeros((len(rows), 2), np.int64)

    # ---- reading

    def level(self, i: int, side: int, price: int) -> int:
        """Return the market's size at a price: the queue that a new order joins."""
        place = self._place(i, side, price)
        return int(self.levels[2 * i + side, place + price_levels.SIZE]) if place else 0

    def _place(self, i: int, side: int, price: int) -> int:
        """Return the index of a level's first number in the row of its side; 0 if it has no place."""
        return price_levels.find_level(
            self.levels[2 * i + side], int(self.v[i, arrays.V_FAR + side]), price if side == r.BID else -price
        )

    def offers(self, i: int, side: int) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity left to consume), best first."""
        row, sign = 2 * i + side, 1 if side == r.BID else -1
        key = arrays.HIGHEST
        most = int(self.v[i, arrays.V_LEFT]) if self.v[i, arrays.V_IS_BARS] else arrays.LARGEST
        if not most:
            return
        while (
            key := price_levels.best_offered(self.levels[row], int(self.v[i, arrays.V_FAR + side]), key)
        ) != price_levels.LOWEST:
            place = self._place(i, side, sign * key)
            yield (
                sign * key,
                min(
                    most,
                    int(self.levels[row, place + price_levels.SIZE] - self.levels[row, place + price_levels.TAKEN]),
                ),
            )

    def consume(self, i: int, side: int, price: int, quantity: int) -> None:
        """Consume size of a level until that level changes."""
        row, place = 2 * i + side, self._place(i, side, price)
        assert place, (price, quantity)
        assert (
            0 < quantity <= self.levels[row, place + price_levels.SIZE] - self.levels[row, place + price_levels.TAKEN]
        ), (price, quantity)
        self.levels[row, place + price_levels.TAKEN] += quantity

    def public(self, i: int, side: int, limit: int) -> list[tuple[int, int]]:
        """Return levels of the public book, best first."""
        keys, _, _, sizes = (table := self._all(i, side))[:, table[1 + price_levels.PUBLIC] > 0]
        sign = 1 if side == r.BID else -1
        return list(zip((sign * keys[::-1][:limit]).tolist(), sizes[::-1][:limit].tolist(), strict=True))
