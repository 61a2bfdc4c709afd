"""The venue's compiled floor against a plain book of dicts and lists; where its rows are cut; what first_touch may pass over."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import OrderType, Side, TimeInForce
from engine.sim import meeting
from engine.sim.account import Account
from engine.sim.exchange import Exchange
from engine.sim.filters import SymbolRules
from engine.sim.floor import FOREVER_NS
from engine.sim.market import Diff, Print, Quote, Snapshot
from engine.sim.market_recorded import RecordedMarket
from engine.sim.orders import NewOrder, Report
from engine.sim.units import ONE, product

SYMBOLS = ("AAAUSDT", "BBBUSDT")
SCALES = ((1, 0), (2, 3))  # of the rows' prices and sizes
PRICE_UNITS = (10**7, 10**6)
SIZE_UNITS = (10**8, 10**5)
SIDES = (Side.BUY, Side.SELL)  # by r.BID and r.ASK
MINUTE_NS = 60_000_000_000
QUEUES = [(meeting.POWER, 3), (meeting.POWER_2, 2), (meeting.POWER_3, 2), (meeting.LOG, 0), (meeting.LOG_2, 0)]
QUEUES_ALL = [(meeting.PESSIMISTIC, 0), *QUEUES]

Done = tuple[int, int, int]  # a fill: order id, price, quantity


def venue(queue: tuple[int, int] = (meeting.PESSIMISTIC, 0)) -> Exchange:
    """Two symbols without limits, and an account that can pay for all."""
    free: dict[str, Any] = dict.fromkeys(("tick_size", "price_min", "price_max", "quantity_min", "quantity_max"), 0)
    free |= {"notional_min": 0, "notional_max": 0, "price_multiplier_up": 10**6 * ONE, "price_multiplier_down": 0}
    rules = {name: SymbolRules(name, name[:3], "USDT", lot_size=1, orders_max=10**6, **free) for name in SYMBOLS}
    money = dict.fromkeys(("AAA", "BBB", "USDT"), 10**17)
    made = Exchange(rules, {"me": Account("me", money, fee_maker=0, fee_taker=0)})
    for i, scales in enumerate(SCALES):
        made.floor.scale(i, *scales)
        made.floor.queue(i, *queue, SIZE_UNITS[i])
    return made


def table(lines: list[list[int]]) -> Rows:
    """A record of these rows, whose ends are 0."""
    rows: Rows = np.zeros((len(lines), r.COLUMNS), np.int64)
    for row, numbers in zip(rows, lines, strict=True):
        row[: len(numbers)] = numbers
    rows[-1, r.LAST] = 1
    return rows


def some_records(draw: random.Random, count: int) -> list[Rows]:
    """Plausible and implausible messages at few prices and ids: stale diffs, gaps, crossed books, zeros; some come two in a record."""
    records = []
    now = 0
    ids = [0, 0]
    for seq in range(count):
        now += draw.choice((0, 1, 1, 3, 40))
        lines: list[list[int]] = []
        for _ in range(draw.choice((1, 1, 1, 1, 2))):
            i = draw.randrange(2)
            kind = draw.choices((r.QUOTE, r.TRADE, r.DIFF, r.SNAPSHOT, r.MARK), (6, 6, 6, 1, 1))[0]
            head = [kind, i, seq, now, (now + draw.randrange(-1, 1)) * 7_000_000_000, 0]
            if kind == r.QUOTE:
                bid = draw.randrange(5, 11)
                quote = [bid, draw.randrange(5), bid + draw.randrange(1, 5), draw.randrange(5)]
                lines.append([*head, *quote, max(0, ids[i] + draw.randrange(-3, 4))])
            elif kind == r.TRADE:
                lines.append([*head, draw.randrange(5, 13), draw.randrange(5), seq, draw.randrange(2), int(draw.random() < 0.1)])
            elif kind == r.MARK:
                lines.append([*head, 1, 2, 3, -4, 5])
            else:
                levels = [(draw.randrange(2), draw.randrange(8), draw.randrange(4)) for _ in range(draw.randrange(6))]
                first = ids[i] + draw.choice((1, 1, 1, -2, 4))
                before = i * (ids[i] + draw.choice((0, 0, 0, -1, 2)))  # the second symbol's venue tells the id before a diff
                ids[i] = max(ids[i], first) + draw.randrange(3)
                told = [first, max(0, ids[i] - draw.choice((0, 0, 0, 5))), len(levels), before] if kind == r.DIFF else [ids[i], 0, len(levels)]
                lines.append([*head, *told])
                lines += [[r.LEVEL, *head[1:], side, (3 if side == r.BID else 8) + at, size] for side, at, size in levels]
        records.append(table(lines))
    return records


@dataclass
class Waiting:
    order_id: int
    side: int
    price: int
    leaves: int
    ahead: int = 0


class Plain:
    """One symbol, as the book before the compiled one had it: written to be read, looks at everything after each message."""

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
        self.orders: list[Waiting] = []
        self.fills: list[Done] = []

    # ---- the market's messages

    def message(self, rows: Rows) -> None:
        kind, numbers = int(rows[0, r.TYPE]), [int(n) for n in rows[0, r.A :]]
        if kind == r.TRADE and not numbers[4]:
            self.trade(numbers[0] * self.price_unit, numbers[1] * self.size_unit, numbers[2], bool(numbers[3]), int(rows[0, r.VENUE_NS]))
        elif kind == r.QUOTE:
            bid, bid_size, ask, ask_size, update_id = numbers
            price, size = self.price_unit, self.size_unit
            self.best(update_id, bid * price, bid_size * size, ask * price, ask_size * size)
            self.after_book()
        elif kind in (r.DIFF, r.SNAPSHOT):
            if kind == r.DIFF:
                self.diff(rows)
            else:
                self.snapshot(rows)
            self.after_book()

    def levels(self, rows: Rows) -> Iterable[tuple[int, int, int]]:
        for row in rows[1:].tolist():
            yield row[r.A], row[r.B] * self.price_unit, row[r.C] * self.size_unit

    def snapshot(self, rows: Rows) -> None:
        self.book, self.taken, self.public = [{}, {}], [{}, {}], [{}, {}]
        self.id, self.spoken, self.joined = int(rows[0, r.A]), (0, 0, 0), True
        for side, price, size in self.levels(rows):
            self.set(side, price, size)
            self.set_public(side, price, size)
        kept, self.pending = self.pending, []
        for diff in kept:
            self.diff(diff)

    def diff(self, rows: Rows) -> None:
        first, last, _, before = (int(n) for n in rows[0, r.A : r.E])
        if not self.joined:
            self.pending.append(rows)
            return
        if last <= self.id:
            return
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

    def resting(self, side: int) -> list[Waiting]:
        return sorted((o for o in self.orders if o.side == side), key=lambda o: (o.price * (2 * side - 1), o.order_id))

    def offers(self, side: int) -> list[tuple[int, int]]:
        levels = sorted(self.book[side].items(), reverse=side == r.BID)
        return [(price, size - self.taken[side].get(price, 0)) for price, size in levels if size > self.taken[side].get(price, 0)]

    def crossing(self, order: Waiting) -> list[tuple[int, int]]:
        sign = 1 - 2 * order.side
        return [(price, left) for price, left in self.offers(1 - order.side) if (price - order.price) * sign <= 0]

    def fill(self, order: Waiting, price: int, quantity: int) -> None:
        order.leaves -= quantity
        self.fills.append((order.order_id, price, quantity))
        if not order.leaves and order in self.orders:
            self.orders.remove(order)

    def take(self, order: Waiting, *, at_its_price: bool) -> None:
        for price, left in self.crossing(order):
            quantity = min(left, order.leaves)
            if quantity:
                self.taken[1 - order.side][price] = self.taken[1 - order.side].get(price, 0) + quantity
                self.fill(order, order.price if at_its_price else price, quantity)

    def place(self, order: Waiting, *, rests: bool) -> None:
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


def fills(exchange: Exchange) -> list[Done]:
    reports = [event for event in exchange.take_events() if isinstance(event, Report)]
    return [(report.order.order_id, report.fill.price, report.fill.quantity) for report in reports if report.fill]


def messages(record: Rows) -> list[Rows]:
    """The record's messages, each with its levels."""
    starts = [k for k in range(len(record)) if record[k, r.TYPE] != r.LEVEL]
    return [record[a:b] for a, b in zip(starts, [*starts[1:], len(record)], strict=True)]


def limit(i: int, side: int, price: int, quantity: int, tif: TimeInForce = TimeInForce.GTC) -> NewOrder:
    return NewOrder(symbol=SYMBOLS[i], side=SIDES[side], order_type=OrderType.LIMIT, time_in_force=tif, price=price, quantity=quantity)


def crosses_own(exchange: Exchange, i: int, side: int, price: int) -> bool:
    ours = exchange.markets[SYMBOLS[i]].resting(SIDES[1 - side])
    return any((order.price - price) * (1 - 2 * side) <= 0 for order in ours)


def same(exchange: Exchange, i: int, plain: Plain) -> None:
    """All that can be asked of the symbol is what the plain book says."""
    market = exchange.markets[SYMBOLS[i]]
    exchange.floor.keep_queues()
    for side in (r.BID, r.ASK):
        assert list(market.offers(SIDES[side])) == plain.offers(side)
        assert {p: s for p in (k * plain.price_unit for k in range(20)) if (s := market.quantity(SIDES[side], p))} == plain.book[side]
        assert [(o.order_id, o.price, o.leaves, o.queue_ahead) for o in market.resting(SIDES[side])] == [
            (o.order_id, o.price, o.leaves, o.ahead) for o in plain.resting(side)
        ]
    assert market.top(100) == tuple(sorted(plain.public[side].items(), reverse=side == r.BID) for side in (r.BID, r.ASK))
    assert (market.joined, market.update_id, market.gaps, market.quote) == (plain.joined, plain.id, plain.gaps, plain.quote)
    assert market.prints == plain.prints
    assert [list(bar) for bar in market.bars] == plain.bars


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 80))
def test_the_floor_is_the_plain_book(seed: int, count: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable market, not a secret
    exchange = venue()
    plain = [Plain(0), Plain(1)]
    for n, record in enumerate(some_records(draw, count), start=1):
        for message in messages(record):
            i = int(message[0, r.INSTRUMENT])
            plain[i].message(message)
            touched, at = exchange.meet(message, 0, FOREVER_NS, 0)
            assert at == len(message)
            assert (touched, fills(exchange)) == (bool(plain[i].fills), plain[i].fills)
            plain[i].fills.clear()
            same(exchange, 0, plain[0])
            same(exchange, 1, plain[1])
        assert exchange.floor.records == n
        i, side, k = draw.randrange(2), draw.randrange(2), draw.randrange(5, 13)
        if draw.random() < 0.4 and not crosses_own(exchange, i, side, k * PRICE_UNITS[i]):
            price, quantity = k * PRICE_UNITS[i], draw.randrange(1, 7) * SIZE_UNITS[i]
            rests = draw.random() < 0.8
            order = exchange.place("me", limit(i, side, price, quantity, TimeInForce.GTC if rests else TimeInForce.IOC), 0)
            plain[i].place(Waiting(order.order_id, side, price, quantity), rests=rests)
        elif draw.random() < 0.2 and plain[i].orders:
            gone = plain[i].orders.pop(draw.randrange(len(plain[i].orders)))
            exchange.cancel(exchange.orders[gone.order_id], 0, cancel_client_order_id="")
        assert fills(exchange) == plain[i].fills
        plain[i].fills.clear()
        same(exchange, i, plain[i])
