"""Where a batch of rows is cut, and whether the fold is compiled, never changes a result; a dump is the state; some is
carried.
"""

import json
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from compiled_and_plain import both_ways
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiers import examples

from engine.market import rows as r
from engine.market.indicators.ema import EmaSpec
from engine.market.layout import BARS_KEPT, NEVER
from engine.market.market_state import Market
from engine.market.predicates import MarketTick, compile_predicate
from engine.market.rows import Rows
from engine.market.views import BarSpec, PredicateSpec, TriggerSpec
from engine.model import Instrument

INSTRUMENTS = [
    Instrument(f"v:{s}", "v", s, s, "USDT", price_scale=1, size_scale=0, tick_size=Decimal("0.1"), lot_size=Decimal(1))
    for s in ("BTC", "ETH")
]
SPECS: dict[str, Any] = {
    "instruments": INSTRUMENTS,
    "bars": [BarSpec("v:BTC", 20), BarSpec("v:BTC", 7), BarSpec("v:ETH", 50)],
    "indicators": [EmaSpec("v:BTC", 3), EmaSpec("v:ETH", 7)],
    "triggers": [
        TriggerSpec("a", ("v:BTC",), 30),
        TriggerSpec("b", ("v:BTC", "v:ETH"), 0),
        TriggerSpec("c", ("v:ETH",), 11, on_bar=True),
        TriggerSpec(
            "d", ("v:BTC", "v:ETH"), 2, conditions=(PredicateSpec("v:BTC", 0, (0,)), PredicateSpec("v:ETH", 1, (1,)))
        ),
    ],
    "levels_max": 5,
}


def odd(now: MarketTick, parameters: Any) -> bool:
    """Return True by all inputs; how they are used does not matter."""
    told = (
        now.bid
        + 3 * now.ask
        + now.book_bid_size
        + now.book_ask
        + now.trade_price
        + now.time_s
        + now.which
        + now.position
    )
    return told % parameters.n == 0 or (now.averages[0] > parameters.most and now.buyer_is_maker == 1)


def market() -> Market:
    return awake(Market.empty(**SPECS))


def awake(made: Market) -> Market:
    """Install the compiled predicate and enable it."""
    made.install_predicate(3, compile_predicate(odd, {"n": 5, "most": 2.5}, averages=1))  # type: ignore[arg-type]  # a function is one
    for i in range(2):
        made.refresh_predicate(3, i, (0, 0, 0, 0, 0), 0.0)
    return made


def some_rows(seed: int, records: int) -> Rows:
    """Plausible and implausible messages: small ids and prices, so that gaps, joins and crossed books all happen."""
    draw = random.Random(seed)
    table: list[list[int]] = []
    now = 0
    ids = [0, 0]
    for seq in range(records):
        now += draw.choice((0, 1, 1, 3, 40))
        record: list[list[int]] = []
        for _ in range(draw.choice((1, 1, 1, 2))):
            i = draw.randrange(2)
            rare = draw.choice((r.BAD_VALUE, r.MARK)) if draw.random() < 0.3 else r.DIFF
            kind = draw.choice((r.QUOTE, r.TRADE, r.DIFF, r.DIFF, r.DIFF, r.SNAPSHOT, rare))
            if kind == r.QUOTE:
                values = [draw.randrange(4), 1, draw.randrange(4), draw.randrange(2), draw.randrange(ids[i] + 3)]
            elif kind == r.TRADE:
                values = [
                    draw.randrange(1, r.VALUE_MAX),
                    draw.randrange(r.VALUE_MAX),
                    seq + draw.randrange(-1, 2),
                    draw.randrange(2),
                ]
            elif kind == r.MARK:
                values = [draw.randrange(9), draw.randrange(9), draw.randrange(9), draw.randrange(-4, 5), now]
            elif kind == r.BAD_VALUE:
                values = [draw.choice((r.QUOTE, r.TRADE, r.DIFF, r.SNAPSHOT))]
            else:
                levels = [
                    [r.LEVEL, i, draw.randrange(2), draw.randrange(1, 12), draw.randrange(3)]
                    for _ in range(draw.randrange(5))
                ]
                for level in levels:
                    level[3] += 9 * level[2] if draw.random() < 0.9 else 0  # asks mostly above bids
                # ETH's venue sends the id before a diff, as futures venues do
                before = i * (ids[i] if draw.random() < 0.9 else draw.randrange(ids[i] + 2))
                first = ids[i] + (1 if draw.random() < 0.9 else draw.randrange(4))
                ids[i] = max(ids[i], first) + draw.randrange(3)
                values = (
                    [first, ids[i], len(levels), before]
                    if kind == r.DIFF
                    else [max(0, ids[i] - draw.randrange(4)), 0, len(levels)]
                )
                record.append([kind, i, seq, now, 0, 0, *values])
                record += [[kind, i, seq, now, 0, 0, *values] for kind, i, *values in levels]
                continue
            record.append([kind, i, seq, now, now * draw.randrange(2), 0, *values])
        record[-1][r.LAST] = 1
        table += record
    rows: Rows = np.zeros((len(table), r.COLUMNS), np.int64)
    for row, numbers in zip(rows, table, strict=True):
        row[: len(numbers)] = numbers
    return rows


def play(into: Market, rows: Rows, cuts: list[int], *, timers: bool) -> list[Any]:
    """Fold the rows in batches cut at these places, as the kernel would: what happened, as a list."""
    told: list[Any] = []
    until = NEVER if timers else None
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        batch = rows[begin:end]
        at = 0
        while at < len(batch):
            at = into.fold(batch, at, until_ns=until)
            if into.flags:
                told.append((begin + at, into.flags, into.fired, into.raised(), into.next_due_ns))
            for w in range(len(into.triggers)):
                if into.fired >> w & 1:
                    into.note_evaluated(w, int(batch[at - 1, r.TIME_NS]))
            if timers and at < len(batch):
                for w in into.due_triggers(int(batch[at, r.TIME_NS])):
                    told.append(("timer", w, into.due_ns(w)))
                    into.note_evaluated(w, into.due_ns(w))
    return told


def views(of: Market) -> list[Any]:
    return [
        [
            of.quote(i),
            of.last_trade(i),
            of.book_top(i, 3),
            of.book_text(i),
            of.counters(i),
            of.conditions(i),
            of.snapshot_range(i),
            of.mark(i),
        ]
        for i in range(2)
    ] + [of.indicator(0), of.indicator(1), of.bars(0, 20), of.bars(1, 50), of.next_due_ns, of.messages]


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(seed=st.integers(0, 2**32), records=st.integers(1, 60), data=st.data())
def test_no_cut_changes_a_result(seed: int, records: int, data: st.DataObject) -> None:
    """Cut within records too. DUE triggers no record, so only batches of whole records return it."""
    rows = some_rows(seed, records)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=8)))
    whole, cut = market(), market()
    assert play(cut, rows, cuts, timers=False) == play(whole, rows, [], timers=False)
    assert cut.digests() == whole.digests()
    assert views(cut) == views(whole)


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32), records=st.integers(1, 60))
def test_record_by_record_is_the_same_as_all_at_once_with_timers(seed: int, records: int) -> None:
    rows = some_rows(seed, records)
    ends = [int(k) + 1 for k in np.flatnonzero(rows[:, r.LAST])]
    whole, single = market(), market()
    told = play(whole, rows, [], timers=True)
    one_by_one: list[Any] = []
    begin = 0
    for end in ends:  # as the live session does: timers first, then the record
        for w in single.due_triggers(int(rows[begin, r.TIME_NS])):
            one_by_one.append(("timer", w, single.due_ns(w)))
            single.note_evaluated(w, single.due_ns(w))
        one_by_one += [(begin + at, *rest) for at, *rest in play(single, rows[begin:end], [], timers=False)]
        begin = end
    assert one_by_one == [entry for entry in told if entry[0] == "timer" or entry[1] != 128]
    assert single.digests() == whole.digests()


@settings(max_examples=examples(60), deadline=None)
@example(seed=115969902, records=18)  # a snapshot that names a price twice, and outgrows its room on the way
@given(seed=st.integers(0, 2**32), records=st.integers(2, 60))
def test_a_dump_taken_anywhere_is_the_state(seed: int, records: int) -> None:
    rows = some_rows(seed, records)
    ends = [int(k) + 1 for k in np.flatnonzero(rows[:, r.LAST])]
    middle = ends[len(ends) // 2]
    whole, first = market(), market()
    play(first, rows[:middle], [], timers=False)
    second = awake(Market.load(first.dump(), **SPECS))
    assert second.digests() == first.digests()
    assert views(second) == views(first)
    play(second, rows[middle:], [], timers=False)
    play(whole, rows, [], timers=False)
    assert second.digests() == whole.digests()
    assert second.dump() == whole.dump()


def test_a_dump_for_other_instruments_is_refused() -> None:
    with pytest.raises(ValueError, match="other instruments"):
        Market.load(market().dump(), **{**SPECS, "levels_max": 13})


def test_bars_averages_and_trade_counters_are_carried_and_books_are_not() -> None:
    before = market()
    play(before, some_rows(3, 400), [], timers=False)
    after = market()
    assert after.restore_carried(json.loads(json.dumps(before.carried()))) == []
    for part in ("bars", "indicators", "trades"):
        assert after.digests()[part] == before.digests()[part]
    assert after.quote(0) is None
    assert after.book_top(0, 1) is None


def test_what_cannot_be_carried_is_said() -> None:
    before = market()
    play(before, some_rows(3, 400), [], timers=False)
    finer = Instrument("v:BTC", "v", "BTC", "BTC", "USDT", 2, 0, Decimal("0.01"), Decimal(1))
    after = Market.empty([finer], [BarSpec("v:BTC", 20)], [EmaSpec("v:BTC", 3)], [])
    left = after.restore_carried(before.carried())
    assert "v:BTC has new scales: its bars and trade counters start again" in left
    assert "v:ETH is not an instrument of this session" in left
    assert after.last_trade(0) is None
    assert after.indicator(0) == before.indicator(0)


def test_closed_bars_beyond_the_limit_are_forgotten_oldest_first() -> None:
    of = market()
    rows: Rows = np.zeros((BARS_KEPT + 10, r.COLUMNS), np.int64)
    for k, row in enumerate(rows):
        row[:] = r.TRADE, 1, k, k * 50, 0, 1, 100, 1, k, 0, 0
    play(of, rows, [], timers=False)
    bars = of.bars(1, 50)
    assert len(bars.closed) == BARS_KEPT
    assert bars.closed_count == BARS_KEPT + 9
    assert [bar.start_ns for bar in bars.closed] == [k * 50 for k in range(9, BARS_KEPT + 9)]
    assert Market.load(of.dump(), **SPECS).bars(1, 50) == bars


_BOTH = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("cuts", sys.argv[1])
cuts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cuts)
from engine.market.jit import JIT
answers = []
for seed in range(60):
    market = cuts.market()
    told = cuts.play(market, cuts.some_rows(seed, 40), [], timers=True)
    answers.append([told, market.digests(), market.indicator(0), market.indicator(1)])
print(json.dumps([JIT, answers]))
"""


@pytest.mark.slow
def test_compiled_and_plain_agree_on_odd_markets() -> None:
    compiled, plain = both_ways(_BOTH, __file__)
    assert compiled == plain
