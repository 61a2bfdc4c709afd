"""The venue's compiled floor against a plain book of dicts and lists; where its rows are cut; what first_touch may pass
over.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled_and_plain import both_ways
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_floor import (
    END_NS,
    PRICE_UNITS,
    QUEUES_ALL,
    SIDES,
    SIZE_UNITS,
    SYMBOLS,
    PlainBook,
    RestingOrder,
    apply_intent,
    arrays,
    crosses_own,
    fills,
    limit,
    messages,
    random_intents,
    run_in_pieces,
    run_whole,
    some_records,
    table,
    venue,
)
from tiers import examples

from engine.market import rows as r
from engine.market.fold.dense_book import HEADROOM, N_PATIENCE, SLOTS
from engine.market.rows import Rows
from engine.model import Side, TimeInForce
from engine.sim.exchange import price_levels, queue_models
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.order_values import SimOrderStatus
from engine.sim.exchange.venue_books import FOREVER_NS, LEVELS_START
from engine.sim.feeds.recorded_feed import RecordedMarket


def same(exchange: Exchange, i: int, plain: PlainBook) -> None:
    """Assert that the compiled books and the plain book agree in every answer about the symbol."""
    market = exchange.markets[SYMBOLS[i]]
    exchange.books.read_queues()
    for side in (r.BID, r.ASK):
        assert list(market.offers(SIDES[side])) == plain.offers(side)
        assert {
            p: s for p in (k * plain.price_unit for k in range(20)) if (s := market.quantity(SIDES[side], p))
        } == plain.book[side]
        assert [(o.order_id, o.price, o.leaves, o.queue_ahead) for o in market.resting(SIDES[side])] == [
            (o.order_id, o.price, o.leaves, o.ahead) for o in plain.resting(side)
        ]
    assert market.top(100) == tuple(
        sorted(plain.public[side].items(), reverse=side == r.BID) for side in (r.BID, r.ASK)
    )
    assert (market.joined, market.update_id, market.gaps, market.quote) == (
        plain.joined,
        plain.id,
        plain.gaps,
        plain.quote,
    )
    assert market.prints == plain.prints
    assert [list(bar) for bar in market.bars] == plain.bars


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 80))
def test_the_floor_is_the_plain_book(seed: int, count: int) -> None:
    draw = random.Random(seed)
    exchange = venue()
    plain = [PlainBook(0), PlainBook(1)]
    for n, record in enumerate(some_records(draw, count), start=1):
        for message in messages(record):
            i = int(message[0, r.INSTRUMENT])
            plain[i].message(message)
            touched, at = exchange.match_rows(message, 0, FOREVER_NS, 0)
            assert at == len(message)
            assert (touched, fills(exchange)) == (bool(plain[i].fills), plain[i].fills)
            plain[i].fills.clear()
            same(exchange, 0, plain[0])
            same(exchange, 1, plain[1])
        assert exchange.books.records == n
        i, side, k = draw.randrange(2), draw.randrange(2), draw.randrange(5, 13)
        if draw.random() < 0.4 and not crosses_own(exchange, i, side, k * PRICE_UNITS[i]):
            price, quantity = k * PRICE_UNITS[i], draw.randrange(1, 7) * SIZE_UNITS[i]
            rests = draw.random() < 0.8
            order = exchange.place(
                "me", limit(i, side, price, quantity, TimeInForce.GTC if rests else TimeInForce.IOC), 0
            )
            plain[i].place(RestingOrder(order.order_id, side, price, quantity), rests=rests)
        elif draw.random() < 0.2 and plain[i].orders:
            gone = plain[i].orders.pop(draw.randrange(len(plain[i].orders)))
            exchange.cancel(exchange.orders[gone.order_id], 0, cancel_client_order_id="")
        assert fills(exchange) == plain[i].fills
        plain[i].fills.clear()
        same(exchange, i, plain[i])


def some_wide_records(draw: random.Random, count: int) -> list[Rows]:
    """One symbol whose top stays, walks and jumps; levels and quotes next to it, at the borders of a window and far
    beyond.
    """
    top, update_id, records = 10 * SLOTS, 5, []
    for n in range(count):
        top = max(4 * SLOTS, top + draw.choice((*range(-9, 10), HEADROOM, -HEADROOM, SLOTS, -2 * SLOTS)))
        away = [
            draw.choice(
                (
                    draw.randrange(1, 9),
                    draw.randrange(1, 300),
                    HEADROOM + draw.randrange(-2, 3),
                    draw.randrange(1, 2 * SLOTS),
                )
            )
            for _ in range(draw.choice((2, 30, 300)))
        ]
        update_id += 1
        if n and draw.random() < 0.4:
            size = draw.randrange(1, 5)
            records.append(
                quote(
                    n,
                    update_id + draw.choice((-1, 0, 3)),
                    (top - away[0], draw.choice((0, size))),
                    (top + away[1], size),
                )
            )
        else:
            sides: list[list[tuple[int, int]]] = [[], []]
            for distance in away:
                side = draw.randrange(2)
                sides[side].append((top + (2 * side - 1) * distance, draw.choice((0, 1, 2, 9))))
            kind = r.SNAPSHOT if not n or draw.random() < 0.05 else r.DIFF
            records.append(book(kind, n, (update_id, update_id if kind == r.DIFF else 0), *sides))
    return records


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60))
def test_the_floor_is_the_plain_book_wherever_its_windows_lie(seed: int, count: int) -> None:
    draw = random.Random(seed)
    exchange, plain = venue(), PlainBook(0)
    market = exchange.markets[SYMBOLS[0]]
    for record in some_wide_records(draw, count):
        if draw.random() < 0.2:
            exchange.books.levels[:, N_PATIENCE] = 0  # the dense window is rebuilt before the next diff
        plain.message(record)
        exchange.match_rows(record, 0, FOREVER_NS, 0)
        for side in (r.BID, r.ASK):
            assert list(market.offers(SIDES[side])) == plain.offers(side)
            some = draw.sample(
                sorted(plain.public[side] | plain.book[side]), min(5, len(plain.public[side] | plain.book[side]))
            )
            assert [market.quantity(SIDES[side], price) for price in some] == [
                plain.book[side].get(price, 0) for price in some
            ]
            assert market.top(7)[side] == sorted(plain.public[side].items(), reverse=side == r.BID)[:7]
        assert market.top(10**6) == tuple(
            sorted(plain.public[side].items(), reverse=side == r.BID) for side in (r.BID, r.ASK)
        )
        if draw.random() < 0.3:
            side = draw.randrange(2)
            if offers := plain.offers(1 - side):
                price, quantity = draw.choice(offers[:3])
                order = exchange.place("me", limit(0, side, price, quantity, TimeInForce.IOC), 0)
                plain.place(RestingOrder(order.order_id, side, price, quantity), rests=False)
                assert fills(exchange) == plain.fills
                plain.fills.clear()


# ---- where the rows are cut, and what folds them


@settings(max_examples=examples(100), deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 80), queue=st.sampled_from(QUEUES_ALL))
def test_no_cut_changes_a_fill_a_queue_or_an_array(seed: int, count: int, queue: tuple[int, int]) -> None:
    draw = random.Random(seed)
    records = some_records(draw, count)
    intents = random_intents(draw, records)
    once, often = venue(queue), venue(queue)
    assert run_in_pieces(often, records, intents, draw) == run_whole(once, records, intents)
    assert arrays(often) == arrays(once)


_PLAYED = """
import json, random, sys
sys.path.insert(0, sys.argv[1])
import plain_floor as tests
from engine.market.jit import JIT
answers = []
for seed in range(10):
    for queue in tests.QUEUES_ALL:
        draw = random.Random(seed)
        exchange = tests.venue(queue)
        records = tests.some_records(draw, 250)
        intents = tests.random_intents(draw, records)
        story = tests.run_whole(exchange, records, intents)
        exchange.books.read_queues()
        fronts = [(order.queue_front.hex(), order.queue_traded) for order in exchange.orders.values()]
        answers.append([story, fronts, tests.arrays(exchange)])
print(json.dumps([JIT, answers]))
"""


@pytest.mark.slow
def test_compiled_and_plain_agree_to_the_bit_with_each_queue() -> None:
    compiled, plain = both_ways(_PLAYED, str(Path(__file__).parent))
    assert compiled == plain
    broken = [any(float.fromhex(front) % SIZE_UNITS[1] for front, _ in fronts) for _, fronts, _ in compiled[0]]
    assert [any(broken[k :: len(QUEUES_ALL)]) for k in range(len(QUEUES_ALL))] == [False, True, True, True, True, True]


# ---- what first_touch may pass over


@settings(max_examples=examples(100), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 80),
    queue=st.sampled_from([*QUEUES_ALL, (queue_models.UNSEEN, 0), (queue_models.EXACT, 0)]),
    fills_whole=st.booleans(),
)
def test_nothing_that_first_touch_passes_over_fills(
    seed: int, count: int, queue: tuple[int, int], fills_whole: bool
) -> None:
    draw = random.Random(seed)
    exchange = venue(queue)
    exchange.fills_whole = fills_whole
    records = some_records(draw, count)
    ends = np.cumsum([len(record) for record in records])
    safe = 0  # records before this one fill nothing
    for n, record in enumerate(records):
        if n >= safe:
            rows = np.concatenate(records[n:])
            found = exchange.books.first_touch(rows, 0, FOREVER_NS)
            cut = draw.choice(ends[n:] - (ends[n - 1] if n else 0))
            again = exchange.books.first_touch(rows[:cut], 0, FOREVER_NS)
            if again == cut:  # a search over two pieces finds the same
                again += exchange.books.first_touch(rows[cut:], 0, FOREVER_NS, continues=True)
            assert again == found
            safe = n + int(np.searchsorted(ends[n:] - (ends[n - 1] if n else 0), found, side="right"))
        filled, _ = exchange.match_rows(record, 0, FOREVER_NS, 0)
        assert not (filled and n < safe)
        if draw.random() < 0.2:
            apply_intent(exchange, draw.randrange(2), draw.randrange(2), draw.randrange(5, 13), draw.randrange(6))
            safe = n + 1


Levels = list[tuple[int, int]]


def book(kind: int, time_ns: int, ids: tuple[int, int], bids: Levels, asks: Levels) -> Rows:
    levels = [(r.BID, *level) for level in bids] + [(r.ASK, *level) for level in asks]
    return table(
        [[kind, 0, 0, time_ns, 0, 0, *ids, len(levels)], *([r.LEVEL, 0, 0, time_ns, 0, 0, *level] for level in levels)]
    )


def quote(time_ns: int, update_id: int, bid: tuple[int, int], ask: tuple[int, int]) -> Rows:
    return table([[r.QUOTE, 0, 0, time_ns, 0, 0, *bid, *ask, update_id]])


def recorded(*records: Rows) -> RecordedMarket:
    return RecordedMarket(SYMBOLS[:1], iter([np.concatenate(records)]), ahead_ns=0)


LATER = quote(9, 9, (1, 1), (99, 1))  # touches nothing, so rows follow the one searched for


def sale(time_ns: int, trade_id: int, price: int, size: int) -> Rows:
    """Return a trade whose taker sold."""
    return table([[r.TRADE, 0, 0, time_ns, 0, 0, price, size, trade_id, 1, 0]])


def test_a_trade_touches_an_order_once_the_size_before_it_is_traded_or_gone() -> None:
    """A trade of 3 does not reach the end of a queue of 5; then 2 are left, or 1 after the level shrank."""
    for shrunk, sizes, reached_ns in ((5, (3, 2, 1), 5), (5, (3, 3, 1), 4), (1, (1, 1, 1), 4)):
        exchange = venue()
        trades = [sale(time_ns, time_ns, 8, size) for time_ns, size in enumerate(sizes, 3)]
        market = recorded(
            book(r.SNAPSHOT, 1, (5, 0), [(8, 5)], [(12, 3)]),
            book(r.DIFF, 2, (6, 6), [(8, shrunk)], [(12, 0)]),
            *trades,
            LATER,
        )
        assert not market.match_due(exchange, 1)
        exchange.place("me", limit(0, r.BID, 8 * PRICE_UNITS[0], SIZE_UNITS[0]), 1)
        assert market.touch_ns(exchange, END_NS) == reached_ns
        assert market.match_due(exchange, END_NS)
        assert fills(exchange) == [(1_000_001, 8 * PRICE_UNITS[0], SIZE_UNITS[0])]


def test_a_first_snapshot_may_touch_by_the_diffs_that_waited_for_it() -> None:
    exchange = venue()
    market = recorded(
        book(r.DIFF, 1, (5, 6), [], [(10, 3)]),
        quote(2, 9, (1, 1), (99, 1)),
        book(r.SNAPSHOT, 3, (5, 0), [], [(99, 1)]),
        LATER,
    )
    assert not market.match_due(exchange, 1)
    exchange.place("me", limit(0, r.BID, 10 * PRICE_UNITS[0], SIZE_UNITS[0]), 1)
    assert market.touch_ns(exchange, END_NS) == 3
    assert market.match_due(exchange, 3)


def test_a_restored_order_that_the_book_crosses_already_is_touched_by_the_next_message_whatever_it_says() -> None:
    exchange = venue()
    market = recorded(book(r.SNAPSHOT, 1, (5, 0), [], [(10, 3)]), book(r.DIFF, 2, (6, 6), [(1, 1)], []), LATER)
    assert not market.match_due(exchange, 1)
    stood = limit(0, r.BID, 12 * PRICE_UNITS[0], 2 * SIZE_UNITS[0])
    exchange.restore("me", 77, stood, status=SimOrderStatus.NEW, executed=0, executed_quote=0, now_ns=1)
    assert market.touch_ns(exchange, END_NS) == 2
    assert market.match_due(exchange, 2)
    assert fills(exchange) == [(77, 12 * PRICE_UNITS[0], 2 * SIZE_UNITS[0])]


# ---- rooms, and quotes alone


def test_a_quote_at_a_full_book_asks_for_one_level_more_and_not_for_as_many_as_its_price() -> None:
    exchange = venue()
    levels = [(k, 1) for k in range(1, LEVELS_START)]
    market = recorded(book(r.SNAPSHOT, 1, (5, 0), levels, []), quote(2, 6, (2 * LEVELS_START, 1), (10**9, 1)))
    market.match_due(exchange, 2)
    assert price_levels.room_of(exchange.books.levels) == 2 * LEVELS_START
    assert exchange.markets[SYMBOLS[0]].best(Side.BUY) == 2 * LEVELS_START * PRICE_UNITS[0]


@pytest.mark.parametrize("update_id", [0, 100])
def test_with_quotes_alone_the_book_is_the_last_quote(update_id: int) -> None:
    """A venue that numbers none says 0."""
    exchange = venue()
    exchange.books.quotes_alone(0)
    aaa = exchange.markets[SYMBOLS[0]]
    price, size = PRICE_UNITS[0], SIZE_UNITS[0]

    def after(bid: tuple[int, int], ask: tuple[int, int]) -> list[Any]:
        exchange.match_rows(quote(1, update_id, bid, ask), 0, FOREVER_NS, 0)
        return [[(p // price, q // size) for p, q in aaa.offers(side)] for side in SIDES]

    assert after((10, 3), (11, 5)) == [[(10, 3)], [(11, 5)]]
    assert after((9, 3), (12, 5)) == [[(9, 3)], [(12, 5)]]  # nothing is left of those better ones
    assert after((10, 2), (11, 4)) == [[(10, 2)], [(11, 4)]]  # nor of those behind
    exchange.place("me", limit(0, r.BID, 11 * price, 3 * size), 1)
    assert after((9, 2), (11, 4)) == [[(9, 2)], [(11, 1)]]  # taken stays taken until its level changes
    assert after((9, 2), (11, 3)) == [[(9, 2)], [(11, 3)]]
    waiting = exchange.place("me", limit(0, r.BID, 9 * price, 4 * size), 1)
    assert after((9, 1), (11, 3)) == [[(9, 1)], [(11, 3)]]
    exchange.books.read_queues()
    assert waiting.queue_ahead == size  # the queue shrank with its level
    assert after((7, 1), (9, 3)) == [[(7, 1)], []]  # its offer is ours
    assert fills(exchange)[-1] == (waiting.order_id, 9 * price, 3 * size)
    assert after((0, 0), (12, 1)) == [[], [(12, 1)]]  # no bid
    assert aaa.top(5) == ([], [])  # no diff, no public book
