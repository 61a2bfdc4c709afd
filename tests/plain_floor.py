"""Rows for the venue's compiled books, and the plain book that they replaced: one symbol in dicts and lists."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import OrderType, Side, TimeInForce
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange import queue_models
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_values import SimNewOrder, SimReport
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.units import ONE, product

SYMBOLS = ("AAAUSDT", "BBBUSDT")
SCALES = ((1, 0), (2, 3))  # of the rows' prices and sizes
PRICE_UNITS = (10**7, 10**6)
SIZE_UNITS = (10**8, 10**5)
SIDES = (Side.BUY, Side.SELL)  # by r.BID and r.ASK
MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
QUEUES = [
    (queue_models.POWER, 3),
    (queue_models.POWER_2, 2),
    (queue_models.POWER_3, 2),
    (queue_models.LOG, 0),
    (queue_models.LOG_2, 0),
]
QUEUES_ALL = [(queue_models.PESSIMISTIC, 0), *QUEUES]

FilledOrder = tuple[int, int, int]  # a fill: order id, price, quantity


def venue(queue: tuple[int, int] = (queue_models.PESSIMISTIC, 0)) -> Exchange:
    """Return a venue with two symbols without limits, and an account that can pay for every order."""
    free: dict[str, Any] = dict.fromkeys(("tick_size", "price_min", "price_max", "quantity_min", "quantity_max"), 0)
    free |= {"notional_min": 0, "notional_max": 0, "price_multiplier_up": 10**6 * ONE, "price_multiplier_down": 0}
    rules = {name: SymbolRules(name, name[:3], "USDT", lot_size=1, orders_max=10**6, **free) for name in SYMBOLS}
    money = dict.fromkeys(("AAA", "BBB", "USDT"), 10**17)
    made = Exchange(rules, {"me": Funds("me", money, fee_maker=0, fee_taker=0)})
    for i, scales in enumerate(SCALES):
        made.books.scale(i, *scales)
        made.books.queue(i, *queue, SIZE_UNITS[i])
    return made


def table(lines: list[list[int]]) -> Rows:
    """Return the rows of one record; missing columns are 0."""
    rows: Rows = np.zeros((len(lines), r.COLUMNS), np.int64)
    for row, numbers in zip(rows, lines, strict=True):
        row[: len(numbers)] = numbers
    rows[-1, r.LAST] = 1
    return rows


def some_records(draw: random.Random, count: int) -> list[Rows]:
    """Plausible and implausible messages at few prices and ids: stale diffs, gaps, crossed books, zeros; some come two
    in a record.
    """
    records = []
    now = 0
    ids = [0, 0]
    for seq in range(count):
        now += draw.choice((0, 1, 1, 3, 40))
        lines: list[list[int]] = []
        for _ in range(draw.choice((1, 1, 1, 1, 2))):
            i = draw.randrange(2)
            kind = draw.choices((r.QUOTE, r.TRADE, r.DIFF, r.SNAPSHOT, r.MARK), (6, 6, 6, 1, 1))[0]
            head = [kind, i, seq, now, (now + draw.randrange(-1, 1)) * 150_000_000, 0]
            if kind == r.QUOTE:
                bid = draw.randrange(7, 10)
                quote = [bid, draw.randrange(12), bid + draw.randrange(1, 4), draw.randrange(12)]
                lines.append([*head, *quote, max(0, ids[i] + draw.randrange(-3, 4))])
            elif kind == r.TRADE:
                lines.append(
                    [*head, draw.randrange(6, 12), draw.randrange(8), seq, draw.randrange(2), int(draw.random() < 0.1)]
                )
            elif kind == r.MARK:
                lines.append([*head, 1, 2, 3, -4, 5])
            else:
                levels = [
                    (draw.randrange(2), draw.randrange(6), draw.choice((0, 1, 7, 13, 17)))
                    for _ in range(draw.randrange(6))
                ]
                first = ids[i] + draw.choice((1, 1, 1, -2, 4))
                before = i * (
                    ids[i] + draw.choice((0, 0, 0, -1, 2))
                )  # the second symbol's venue states the id before a diff
                ids[i] = max(ids[i], first) + draw.randrange(3)
                reports_of = (
                    [first, max(0, ids[i] - draw.choice((0, 0, 0, 5))), len(levels), before]
                    if kind == r.DIFF
                    else [ids[i], 0, len(levels)]
                )
                lines.append([*head, *reports_of])
                lines += [
                    [r.LEVEL, *head[1:], side, (4 if side == r.BID else 9) + at, size] for side, at, size in levels
                ]
        records.append(table(lines))
    return records


@dataclass
class RestingOrder:
    order_id: int
    side: int
    price: int
    leaves: int
    ahead: int = 0


class PlainBook:
    """One symbol as the book before the compiled one kept it. It checks everything after each message."""

    def __init__(self, i: int) -> None:
        self.price_unit, self.size_unit = PRICE_UNITS[i], SIZE_UNITS[i]
        self.book: list[dict[int, int]] = [{}, {}]
        self.taken: list[dict[int, int]] = [{}, {}]
        self.public: list[dict[int, int]] = [{}, {}]
        self.id = self.gaps = 0
        self.quote: tuple[int, ...] | None = None
        self.spoken = (0, 0, 0)  # id, bid and ask of the quote that the book holds
        self.joined = False
        self.pending: list[Rows] = []
        self.prints: list[tuple[int, int, int, int, bool]] = []
        self.bars: list[list[int]] = []
        self.orders: list[RestingOrder] = []
        self.fills: list[FilledOrder] = []
        self.trade_last: tuple[int, int] | None = None  # id and the venue's time
        self.changed = (0, 0)  # the book's last change: the venue's time and ours

    # ---- the market's messages

    def message(self, rows: Rows) -> None:
        kind, numbers = int(rows[0, r.TYPE]), [int(n) for n in rows[0, r.FIELDS :]]
        if kind == r.TRADE and (self.is_repeated(numbers[2], int(rows[0, r.VENUE_NS])) or numbers[4]):
            return
        if kind == r.TRADE:
            self.trade(
                numbers[0] * self.price_unit,
                numbers[1] * self.size_unit,
                numbers[2],
                bool(numbers[3]),
                int(rows[0, r.VENUE_NS]),
            )
        elif kind == r.QUOTE:
            bid, bid_size, ask, ask_size, update_id = numbers
            price, size = self.price_unit, self.size_unit
            self.best(update_id, bid * price, bid_size * size, ask * price, ask_size * size)
            if self.joined:
                self.after_book()
        elif kind in (r.DIFF, r.SNAPSHOT):
            if kind == r.DIFF:
                self.diff(rows)
            else:
                self.snapshot(rows)
            if self.joined:
                self.after_book()

    def is_repeated(self, trade_id: int, venue_ns: int) -> bool:
        """Return True for an id that does not rise, unless it is over a second younger by the venue's time."""
        if self.trade_last is not None and trade_id <= (last := self.trade_last)[0]:
            is_restart = trade_id < last[0] and last[1] > 0 and venue_ns - last[1] > SECOND_NS
            if not is_restart:
                return True
        self.trade_last = trade_id, venue_ns
        return False

    def has_restarted(self, rows: Rows) -> bool:
        """Return True for a lower id that is over a second younger by the venue's time, or over 30 s by ours."""
        venue_ns, time_ns = int(rows[0, r.VENUE_NS]), int(rows[0, r.TIME_NS])
        if venue_ns > 0 and self.changed[0] > 0:
            return venue_ns - self.changed[0] > SECOND_NS
        return time_ns - self.changed[1] > 30 * SECOND_NS

    def levels(self, rows: Rows) -> Iterable[tuple[int, int, int]]:
        for row in rows[1:].tolist():
            yield row[r.LEVEL_SIDE], row[r.LEVEL_PRICE] * self.price_unit, row[r.LEVEL_SIZE] * self.size_unit

    def snapshot(self, rows: Rows) -> None:
        self.book, self.taken, self.public = [{}, {}], [{}, {}], [{}, {}]
        self.id, self.spoken, self.joined = int(rows[0, r.SNAPSHOT_ID]), (0, 0, 0), True
        self.changed = int(rows[0, r.VENUE_NS]), int(rows[0, r.TIME_NS])
        for side, price, size in self.levels(rows):
            self.set(side, price, size)
            self.set_public(side, price, size)
        kept, self.pending = self.pending, []
        for diff in kept:
            self.diff(diff)

    def diff(self, rows: Rows) -> None:
        first, last, _, before = (int(n) for n in rows[0, r.DIFF_FIRST_ID : r.DIFF_PREVIOUS_ID + 1])
        if self.joined and last < self.id and self.has_restarted(rows):
            self.book, self.taken, self.public = [{}, {}], [{}, {}], [{}, {}]
            self.id, self.spoken, self.joined = 0, (0, 0, 0), False
            self.gaps += 1
        if not self.joined:
            self.pending.append(rows)
            return
        if last <= self.id:
            return
        self.changed = int(rows[0, r.VENUE_NS]), int(rows[0, r.TIME_NS])
        self.gaps += before > self.id if before else first > self.id + 1
        quote_id, bid, ask = self.spoken
        for side, price, size in self.levels(rows):
            if last >= quote_id or (price < bid if side == r.BID else price > ask):
                self.set(side, price, size)
            self.set_public(side, price, size)
        self.id = last

    def best(self, update_id: int, bid: int, bid_size: int, ask: int, ask_size: int) -> None:
        self.quote = (update_id, bid, bid_size, ask, ask_size)
        if update_id < self.id or not self.id:
            return
        for price in [p for p in self.book[r.BID] if p > bid]:
            self.set(r.BID, price, 0)
        for price in [p for p in self.book[r.ASK] if p < ask]:
            self.set(r.ASK, price, 0)
        self.set(r.BID, bid, bid_size)
        self.set(r.ASK, ask, ask_size)
        self.spoken = (update_id, bid, ask)

    def set(self, side: int, price: int, size: int) -> None:
        if size == self.book[side].get(price, 0):
            return  # the level did not change, so what was taken stays taken
        self.taken[side].pop(price, None)
        self.book[side][price] = size
        if not size:
            del self.book[side][price]

    def set_public(self, side: int, price: int, size: int) -> None:
        self.public[side][price] = size
        if not size:
            del self.public[side][price]

    def trade(self, price: int, size: int, trade_id: int, buyer_is_maker: bool, time_ns: int) -> None:
        self.prints.append((trade_id, price, size, time_ns, buyer_is_maker))
        start_ns = time_ns - time_ns % MINUTE_NS
        if not self.bars or self.bars[-1][0] < start_ns:
            self.bars.append([start_ns, price, price, price, price, 0, 0, 0, 0, 0, trade_id, trade_id])
        bar = self.bars[-1]
        bar[2], bar[3], bar[4], bar[11] = max(bar[2], price), min(bar[3], price), price, trade_id
        taker = 0 if buyer_is_maker else 1
        quote = product(price, size)
        for field, more in zip(range(5, 10), (size, quote, 1, taker * size, taker * quote), strict=True):
            bar[field] += more
        self.fill_by_trade(price, size, r.BID if buyer_is_maker else r.ASK)

    # ---- our orders

    def resting(self, side: int) -> list[RestingOrder]:
        return sorted((o for o in self.orders if o.side == side), key=lambda o: (o.price * (2 * side - 1), o.order_id))

    def offers(self, side: int) -> list[tuple[int, int]]:
        levels = sorted(self.book[side].items(), reverse=side == r.BID)
        return [
            (price, size - self.taken[side].get(price, 0))
            for price, size in levels
            if size > self.taken[side].get(price, 0)
        ]

    def crossing(self, order: RestingOrder) -> list[tuple[int, int]]:
        sign = 1 - 2 * order.side
        return [(price, left) for price, left in self.offers(1 - order.side) if (price - order.price) * sign <= 0]

    def fill(self, order: RestingOrder, price: int, quantity: int) -> None:
        order.leaves -= quantity
        self.fills.append((order.order_id, price, quantity))
        if not order.leaves and order in self.orders:
            self.orders.remove(order)

    def take(self, order: RestingOrder, *, at_its_price: bool) -> None:
        for price, left in self.crossing(order):
            quantity = min(left, order.leaves)
            if quantity:
                self.taken[1 - order.side][price] = self.taken[1 - order.side].get(price, 0) + quantity
                self.fill(order, order.price if at_its_price else price, quantity)

    def place(self, order: RestingOrder, *, rests: bool) -> None:
        self.take(order, at_its_price=False)
        if order.leaves and rests:
            order.ahead = self.book[order.side].get(order.price, 0)
            self.orders.append(order)

    def after_book(self) -> None:
        for order in self.orders:
            order.ahead = min(order.ahead, self.book[order.side].get(order.price, 0))
        for side in (r.BID, r.ASK):
            for order in self.resting(side):
                self.take(order, at_its_price=True)

    def fill_by_trade(self, trade_price: int, size: int, hit: int) -> None:
        for side in (r.BID, r.ASK):
            left = size
            for order in self.resting(side):
                beyond = (order.price - trade_price) * (1 - 2 * side)
                if beyond < 0 or (beyond == 0 and side != hit):
                    continue
                ahead = 0 if beyond else order.ahead
                order.ahead = max(0, ahead - size)
                quantity = min(order.leaves, left - ahead)
                if quantity > 0:
                    left -= quantity
                    self.fill(order, order.price, quantity)


def fills(exchange: Exchange) -> list[FilledOrder]:
    reports = [event for event in exchange.pop_events() if isinstance(event, SimReport)]
    return [(report.order.order_id, report.fill.price, report.fill.quantity) for report in reports if report.fill]


def messages(record: Rows) -> list[Rows]:
    """Return the record's messages, each with its levels."""
    starts = [k for k in range(len(record)) if record[k, r.TYPE] != r.LEVEL]
    return [record[a:b] for a, b in zip(starts, [*starts[1:], len(record)], strict=True)]


def limit(i: int, side: int, price: int, quantity: int, tif: TimeInForce = TimeInForce.GTC) -> SimNewOrder:
    return SimNewOrder(
        symbol=SYMBOLS[i],
        side=SIDES[side],
        order_type=OrderType.LIMIT,
        time_in_force=tif,
        price=price,
        quantity=quantity,
    )


def crosses_own(exchange: Exchange, i: int, side: int, price: int) -> bool:
    ours = exchange.markets[SYMBOLS[i]].resting(SIDES[1 - side])
    return any((order.price - price) * (1 - 2 * side) <= 0 for order in ours)


# ---- a session: rows, and intents between them

AHEAD_NS = 7
END_NS = 10**15
TimedIntent = tuple[
    int, int, int, int, int
]  # (time, symbol, side, price, quantity); quantity 0: cancel the orders at that price


def random_intents(draw: random.Random, records: list[Rows]) -> list[TimedIntent]:
    times = sorted(int(draw.choice(records)[0, r.TIME_NS]) for _ in range(len(records) // 3))
    return [
        (time_ns, draw.randrange(2), draw.randrange(2), draw.randrange(5, 13), draw.randrange(6)) for time_ns in times
    ]


def apply_intent(exchange: Exchange, i: int, side: int, k: int, quantity: int) -> None:
    price = k * PRICE_UNITS[i]
    if not quantity:
        for order in exchange.open_orders("me", SYMBOLS[i]):
            if order.price == price:
                exchange.cancel(order, 0, cancel_client_order_id="")
    elif not crosses_own(exchange, i, side, price):
        exchange.place("me", limit(i, side, price, quantity * SIZE_UNITS[i]), 0)


def reports_of(exchange: Exchange) -> list[Any]:
    reports = [event for event in exchange.pop_events() if isinstance(event, SimReport)]
    return [
        (x.execution, x.time_ns, x.order.order_id, x.fill and (x.fill.price, x.fill.quantity, x.fill.trade_id))
        for x in reports
    ]


def run_whole(exchange: Exchange, records: list[Rows], intents: list[TimedIntent]) -> list[Any]:
    """Match all rows up to each intent at once."""
    rows, at, story = np.concatenate(records), 0, []
    for until_ns, *what in [*intents, (END_NS,)]:
        filled = True
        while filled:
            filled, at = exchange.match_rows(rows, at, until_ns, AHEAD_NS)
        if what:
            apply_intent(exchange, *what)
        story += reports_of(exchange)
    return story


def rows_until(records: list[Rows], time_ns: int) -> Rows:
    """Return the rows up to and including a time."""
    rows = np.concatenate(records)
    found: Rows = rows[rows[:, r.TIME_NS] <= time_ns]
    return found


class StoredPiece:
    """Rows that can be read again, as a projection has them: the venue may fold them later, or never."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.first_ns, self.last_ns = int(rows[0, r.TIME_NS]), int(rows[-1, r.TIME_NS])
        self.largest = int(rows[:, r.FIELDS :].max())
        self.records = int(rows[:, r.LAST].sum())

    def may_have(self, row_type: int) -> bool:
        """Return True if a row is of this type."""
        return bool((self._rows[:, r.TYPE] == row_type).any())

    def read(self) -> Rows:
        """Return the rows."""
        return self._rows.copy()

    def unpack(self) -> tuple[Rows, Rows]:
        """Return the rows and the ends of their records."""
        return self.read(), np.flatnonzero(self._rows[:, r.LAST]) + 1


def run_in_pieces(
    exchange: Exchange, records: list[Rows], intents: list[TimedIntent], draw: random.Random
) -> list[Any]:
    """Match the rows in pieces of a few records, and stop at random times between them.

    Some pieces can be read again, so they are folded later while no order rests.
    """
    pieces: list[Rows | StoredPiece] = []
    story, left = [], list(records)
    while left:
        count = draw.choice((1, 1, 2, 7))
        rows = np.concatenate(left[:count])
        pieces.append(StoredPiece(rows) if draw.random() < 0.7 else rows)
        left = left[count:]
    market = RecordedMarket(SYMBOLS, iter(pieces), ahead_ns=AHEAD_NS)
    now_ns = 0
    for until_ns, *what in [*intents, (END_NS,)]:
        stops = sorted(draw.randrange(now_ns, until_ns + 1) for _ in range(draw.randrange(4)))
        for now_ns in [*stops, until_ns]:
            while market.match_due(exchange, now_ns - AHEAD_NS):
                story += reports_of(exchange)
            due = rows_until(records, now_ns)
            assert exchange.books.records + market.deferred_records == due[:, r.LAST].sum()
            assert market.deferred_records == 0 or exchange.is_indifferent
        if what:
            apply_intent(exchange, *what)
        story += reports_of(exchange)
    return story


def arrays(exchange: Exchange) -> dict[str, Any]:
    floor = exchange.books
    named = {
        "v": floor.v,
        "levels": floor.levels,
        "prints": floor.prints,
        "minutes": floor.minutes,
        "orders": floor.orders,
    }
    nonzero = {
        name: [(*map(int, at), int(array[tuple(at)])) for at in np.argwhere(array)] for name, array in named.items()
    }
    return {**nonzero, "fronts": [front.hex() for front in floor.fronts.tolist()]}
