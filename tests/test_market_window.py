"""The dense window never shows in results: a book whose window moves or is rebuilt equals a plain dict of prices, to the bit."""

import random
from collections.abc import Iterable
from decimal import Decimal

import numpy as np
import pytest
from compiled_and_plain import both_ways
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from engine.market import rows as r
from engine.market.fold.dense_book import (
    HEADROOM,
    N_COUNT,
    N_PATIENCE,
    N_SPAN,
    PATIENCE,
    SLOTS,
    TICK_MAX,
    rebuild_window,
)
from engine.market.layout import B_TOP_BID
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import BookState
from engine.model import Instrument

Level = tuple[int, int, int]  # side, price, size
OF = Instrument(
    "v:A", "v", "A", "A", "U", price_scale=8, size_scale=0, tick_size=Decimal("0.00000001"), lot_size=Decimal(1)
)
TICKS = (1, 10, 7 * 10**5, TICK_MAX, 2 * TICK_MAX)


class Plain:
    """The book of one instrument as two dicts."""

    def __init__(self) -> None:
        self.sides: list[dict[int, int]] = [{}, {}]

    def set(self, levels: Iterable[Level]) -> None:
        for side, price, size in levels:
            if size:
                self.sides[side][price] = size
            else:
                self.sides[side].pop(price, None)

    def levels(self, side: int) -> list[tuple[int, int]]:
        return sorted(self.sides[side].items(), reverse=side == r.BID)


def message(kind: int, update_id: int, levels: list[Level]) -> Rows:
    rows: Rows = np.zeros((1 + len(levels), r.COLUMNS), np.int64)
    rows[:, r.SEQ] = rows[:, r.TIME_NS] = update_id
    rows[0, [r.TYPE, r.DIFF_FIRST_ID, r.DIFF_LAST_ID, r.DIFF_LEVELS]] = (
        kind,
        update_id,
        update_id if kind == r.DIFF else 0,
        len(levels),
    )
    if levels:
        rows[1:, r.TYPE] = r.LEVEL
        rows[1:, r.LEVEL_SIDE : r.LEVEL_SIZE + 1] = levels
    rows[-1, r.LAST] = 1
    return rows


def some_messages(seed: int, count: int) -> Iterable[tuple[int, int, list[Level]]]:
    """(kind, middle, levels): snapshots and diffs about a middle that stays, walks or jumps, on a grid and off it, near
    and far.
    """
    draw = random.Random(seed)
    tick = draw.choices(TICKS, (4, 4, 4, 4, 1))[0]
    top = tick * draw.randrange(4 * SLOTS, 8 * SLOTS)
    rough = draw.choice((0, 0, 1))
    border = draw.choice((HEADROOM, SLOTS - HEADROOM))
    yield (
        r.SNAPSHOT,
        top,
        [
            (side, top + (2 * side - 1) * (k + 1) * tick, 1 + k)
            for side in range(2)
            for k in range(draw.choice((0, 1, 2, 40, 40, 40)))
        ],
    )
    for _ in range(count):
        top += tick * draw.choice((*range(-9, 10), HEADROOM, -HEADROOM, SLOTS, -SLOTS, 3 * SLOTS, -3 * SLOTS))
        top = max(top, tick * 4 * SLOTS)
        kind = draw.choices((r.DIFF, r.SNAPSHOT), (20, 1))[0]
        levels = []
        for _ in range(draw.choice((1, 5, 30, PATIENCE[0] + 5))):
            side = draw.randrange(2)
            away = draw.choice(
                (
                    draw.randrange(1, 4),
                    draw.randrange(1, 300),
                    border + draw.randrange(-2, 3),
                    draw.randrange(1, 3 * SLOTS),
                )
            )
            price = top + (2 * side - 1) * away * tick + draw.choice((0, 0, 0, 0, 0, 0, draw.randrange(tick) * rough))
            levels.append((side, price, draw.choice((0, 0, 1, 2, r.VALUE_MAX))))
        yield kind, top, levels


def records(seed: int, count: int) -> Iterable[tuple[Rows, Plain]]:
    """Each message with the book after it; a diff also takes away what the middle has passed, so that no book is
    crossed.
    """
    plain = Plain()
    for update_id, (kind, middle, drawn) in enumerate(some_messages(seed, count), start=2):
        if kind == r.SNAPSHOT:
            plain = Plain()
            levels = [level for level in drawn if level[2]]
        else:
            bids, asks = plain.sides
            levels = drawn + [(r.BID, p, 0) for p in bids if p >= middle] + [(r.ASK, p, 0) for p in asks if p <= middle]
        plain.set(levels)
        yield message(kind, update_id, levels), plain


def empty() -> Market:
    """It has seen a first diff, so that a snapshot joins it."""
    market = Market.empty([OF])
    market.fold(message(r.DIFF, 1, []))
    return market


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_book_with_a_window_is_a_plain_book(seed: int) -> None:
    market = empty()
    for rows, plain in records(seed, 12):
        assert market.fold(rows) == len(rows)
        assert market.book_state(0) is BookState.SYNCED
        for side in range(2):
            levels = plain.levels(side)
            assert market.levels(0, side) == levels
            assert market.levels(0, side, 3) == levels[:3]
            assert market.book_levels(0)[side] == len(levels)
            top = market.t[0, B_TOP_BID + 2 * side : B_TOP_BID + 2 * side + 2].tolist()
            assert top == list(levels[0] if levels else (0, 0))
        loaded = Market.load(market.dump(), [OF])
        assert loaded.digests() == market.digests()
        assert loaded.dump() == market.dump()


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32))
def test_when_a_window_is_laid_changes_nothing(seed: int) -> None:
    """Rebuild it before each message in one market, after enough misses in another, and reload a third now and then."""
    draw = random.Random(seed)
    often, seldom = empty(), empty()
    for rows, _ in records(seed, 12):
        often.sides[:, N_PATIENCE] = 0
        assert often.fold(rows) == seldom.fold(rows) == len(rows)
        if draw.random() < 0.2:
            seldom = Market.load(seldom.dump(), [OF])
        assert often.digests() == seldom.digests()


def laid(keys: list[int]) -> tuple[int, int, Rows]:
    """Levels in the window and beside it; the side's row."""
    market = Market.empty([OF])
    far = rebuild_window(market.sides[0], np.array([keys, range(1, 1 + len(keys))], np.int64))
    return int(market.sides[0, N_COUNT]), far, market.sides[0]


def test_the_window_is_on_the_grid_of_the_best_levels_and_not_on_one_that_is_too_wide() -> None:
    top = 10**15
    assert laid([])[:2] == (0, 0)
    assert laid([top])[:2] == (0, 1)  # one price is no grid
    assert laid([top - 20, top - 10, top])[:2] == (3, 0)
    below = SLOTS - HEADROOM
    assert laid([top - 10 * below - 10, top - 10 * below, top - 10, top])[:2] == (3, 1)
    off_grid = [top - 30_001, *range(top - 3000, top + 1, 10)]  # too far away to say what the tick is
    assert laid(off_grid)[:2] == (301, 1)
    assert laid([top - TICK_MAX, top])[:2] == (2, 0)
    assert laid([top - TICK_MAX - 1, top])[:2] == (0, 2)
    assert laid([top - TICK_MAX - 1, top])[2][N_SPAN] == 0


_BOTH = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("window", sys.argv[1])
window = importlib.util.module_from_spec(spec)
spec.loader.exec_module(window)
from engine.market.jit import JIT
from engine.market.fold.dense_book import N_BLOCKS
answers = []
for seed in range(12):
    market = window.empty()
    for rows, _ in window.records(seed, 6):
        market.fold(rows)
        answers.append([market.digests()["books"], market.sides[:, : N_BLOCKS].tolist()])
print(json.dumps([JIT, answers]))
"""


@pytest.mark.slow
def test_compiled_and_plain_lay_and_leave_windows_alike() -> None:
    compiled, plain = both_ways(_BOTH, __file__)
    assert compiled == plain


@pytest.mark.parametrize("jump", [SLOTS, -SLOTS])
def test_a_top_that_moves_on_takes_its_window_along(jump: int) -> None:
    market = empty()
    top = 10 * SLOTS
    market.fold(message(r.SNAPSHOT, 2, [(r.BID, top - k, 1) for k in range(100)]))
    market.fold(message(r.DIFF, 3, []))
    assert market.sides[0, N_COUNT] == 100
    for update_id in range(4, 6):
        market.fold(
            message(
                r.DIFF,
                update_id,
                [(r.BID, top - k, 0) for k in range(100)] + [(r.BID, top + jump - k, 1) for k in range(PATIENCE[0])],
            )
        )
    assert market.sides[0, N_COUNT] == market.book_levels(0)[0] == PATIENCE[0]
