"""Indicators by declaration: by hand, compiled and plain, over a restart, shared, and in strategies.

tests/test_indicators_known.py compares the values with those of TA-Lib.
"""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_hand import HAND, ByHand
from compiled_and_plain import both_ways

from engine.market import rows as r
from engine.market.indicators.ema import EmaSpec
from engine.market.indicators.registry import SPECS, UnknownIndicatorError, indicator_spec
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import BarSpec
from engine.model import Instrument
from engine.strategy.source_guard import StrategyError
from verbatim.testing import from_sources

PARAMETERS: dict[str, dict[str, Any]] = {  # of each kind, where it needs any
    "atr": {"source": "bars.60"},
    **{
        kind: {"length": 3}
        for kind in ("bollinger", "ema", "highest", "lowest", "realised_volatility", "sma", "stddev", "wma")
    },
}
BTC = Instrument("v:BTC", "v", "BTC", "BTC", "USDT", 1, 0, Decimal("0.1"), Decimal(1))
OVER_BARS: dict[str, dict[str, Any]] = {  # one of each kind of memory
    "atr": {"length": 3},
    "bollinger": {"length": 4},
    "ema": {"length": 3},
    "highest": {"length": 5},
    "macd": {"fast": 2, "slow": 4, "signal": 3},
    "realised_volatility": {"length": 4},
    "rsi": {"length": 3},
    "vwap": {"length": 4},
    "wma": {"length": 3},
}
SECOND_NS = 1_000_000_000
MIDS = (100.05, 100.15, 99.95, 100.45, 101.05)
DECLARED = HAND.replace("from verbatim import OnQuote", "from verbatim import Average, Indicator, OnQuote").replace(
    "    cadence = OnQuote()",
    '    averages = (Average("mean", length=2),)\n'
    '    indicators = (Indicator("by_kind", "ema", {"length": 2}),)\n'
    "    cadence = OnQuote()",
)


def quotes(*mids: float, first: int = 0) -> Rows:
    """One two-sided quote a mid, 0.1 wide, at price scale 1."""
    table: Rows = np.zeros((len(mids), r.COLUMNS), np.int64)
    for k, (row, mid) in enumerate(zip(table, mids, strict=True), first):
        row[r.QUOTE_BID], row[r.QUOTE_ASK] = round(mid * 10 - 0.5), round(mid * 10 + 0.5)
        row[[r.TYPE, r.SEQ, r.TIME_NS, r.LAST, r.QUOTE_BID_SIZE, r.QUOTE_ASK_SIZE]] = r.QUOTE, k, k + 1, 1, 1, 1
    return table


def test_an_average_is_the_recurrence_in_written_order_and_warm_after_its_length() -> None:
    market = Market.empty([BTC], indicators=[EmaSpec("v:BTC", 3)])
    assert (market.indicator(0), market.indicator(0, warm_only=True)) == (None, None)
    value = 0.0
    for k, mid in enumerate(MIDS):
        market.fold(quotes(mid, first=k))
        row = quotes(mid)[0]
        exact = float(row[r.QUOTE_BID] + row[r.QUOTE_ASK]) / 20.0
        value = exact if k == 0 else value + 2.0 / 4.0 * (exact - value)
        assert market.indicator(0) == value
        assert market.indicator(0, warm_only=True) == (value if k + 1 >= 3 else None)


def test_a_quote_of_one_side_moves_no_indicator() -> None:
    market = Market.empty([BTC], indicators=[EmaSpec("v:BTC", 3)])
    one_sided = quotes(MIDS[0])
    one_sided[0, r.QUOTE_ASK] = 0
    market.fold(one_sided)
    assert market.quote(0) is not None
    assert market.indicator_count(0) == 0


def test_an_indicator_continues_in_the_next_session_as_if_there_had_been_no_restart() -> None:
    whole, before, after = (Market.empty([BTC], indicators=[EmaSpec("v:BTC", 3)]) for _ in range(3))
    whole.fold(quotes(*MIDS))
    before.fold(quotes(*MIDS[:2]))
    assert after.restore_carried(json.loads(json.dumps(before.carried()))) == []
    after.fold(quotes(*MIDS[2:], first=2))
    assert after.indicator(0) == whole.indicator(0)
    assert after.digests()["indicators"] == whole.digests()["indicators"]


def test_an_indicator_that_is_no_longer_declared_is_named() -> None:
    before = Market.empty([BTC], indicators=[EmaSpec("v:BTC", 3)])
    before.fold(quotes(*MIDS))
    after = Market.empty([BTC], indicators=[EmaSpec("v:BTC", 4)])
    dropped = after.restore_carried(before.carried())
    assert dropped == ["the indicator with instrument v:BTC, length 3, source mid is no longer declared"]
    assert after.indicator(0) is None


def test_each_registered_indicator_keeps_its_contract() -> None:
    for kind in SPECS:
        spec = indicator_spec(kind, "v:BTC", PARAMETERS.get(kind, {}))
        assert spec.name == kind
        assert spec.warm_count > 0
        assert spec.carried_from <= len(spec.own_numbers)
        assert all(0 <= place < len(spec.own_numbers) for place in spec.outputs.values())
    spec = indicator_spec("ema", "v:BTC", {"length": 3})
    assert len(spec.own_numbers) > 0
    assert spec.carried_from <= len(spec.own_numbers)
    with pytest.raises(UnknownIndicatorError, match=r"no indicator 'tea'; known: atr, .*wma"):
        indicator_spec("tea", "v:BTC", {})


def test_a_strategy_reads_an_indicator_that_it_declares_by_kind() -> None:
    source = DECLARED.replace(
        "        if state.placed",
        '        one, other = view.average("mean", "BTCUSDT"), view.indicator("by_kind", "BTCUSDT")\n'
        "        assert one == other, (one, other)\n"
        "        if one is not None and state.placed",
    )
    hand = ByHand(source=source).run(4)
    assert len(hand.orders) == 1
    assert hand.body.strategies[0].declared is not None
    assert hand.body.strategies[0].declared.indicators == (("by_kind", "ema", {"length": 2}),)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ('Indicator("by_kind", "tea")', "indicator 'by_kind': no indicator 'tea'; known: atr, .*wma"),
        ('Indicator("by_kind", "ema", {"size": 2})', "indicator 'by_kind': .*size"),
        ('Indicator("mean", "ema", {"length": 2})', "two indicators have the name 'mean'"),
        ('"ema"', "`indicators` has 'ema'"),
    ],
)
def test_a_wrong_declaration_is_refused_at_load(declared: str, reason: str) -> None:
    source = DECLARED.replace('Indicator("by_kind", "ema", {"length": 2})', declared)
    with pytest.raises(StrategyError, match=reason):
        from_sources({"hand": source}, "hand", "Hand")


# ---- every kind, over every source

PROGRAM = """
import json, random, sys
import numpy as np
from decimal import Decimal
from engine.market import rows as r
from engine.market.indicators.registry import SPECS, indicator_spec
from engine.market.jit import JIT
from engine.market.market_state import Market
from engine.market.views import BarSpec
from engine.model import Instrument

ID = "v:BTC"
BTC = Instrument(ID, "v", "BTC", "BTC", "USDT", 1, 2, Decimal("0.1"), Decimal("0.01"))
specs = []
for source in ("mid", "trade", "bars.1"):
    for kind in sorted(SPECS):
        for given in ({}, {"length": 1}, {"length": 7}, {"length": 7, "begins": "mean"}):
            try:
                specs.append(indicator_spec(kind, ID, {**given, "source": source}))
            except (TypeError, ValueError):
                if source == "mid" and given == {} and kind in ("microprice", "imbalance"):
                    specs.append(indicator_spec(kind, ID, {}))
market = Market.empty([BTC], [BarSpec(ID, 10**9)], specs, bars_by_time=True)
draw = random.Random(5)
price, now, told = 600_000, 86_390 * 10**9, []
for seq in range(700):
    price += draw.choice((0, 0, 0, 1, -1, 7, -9, 4000 * draw.choice((0, 0, 1, -1))))
    now += draw.choice((0, 10**7, 10**8, 4 * 10**9))
    row = np.zeros((1, r.COLUMNS), np.int64)
    if seq % 2:
        row[0] = r.QUOTE, 0, seq, now, 0, 1, price, draw.randrange(9), price + draw.randrange(9), draw.randrange(9), seq
    else:
        row[0] = r.TRADE, 0, seq, now, now, 1, price, draw.randrange(999), seq // 2, draw.randrange(2), 0
    market.fold(row)
    told.append(market.indicator_values[:, [0, *range(14, 22)]].tobytes().hex())
counts = market.indicator_state[:, 1].tolist()
print(json.dumps([JIT, told, market.digests(), counts, len(specs), market.carried()]))
"""


@pytest.mark.slow
def test_compiled_and_plain_indicators_are_the_same_to_the_bit() -> None:
    compiled, plain = both_ways(PROGRAM)
    *_, counts, kinds, _ = compiled
    assert kinds > 60, "most kinds over most sources"
    assert min(counts) > 100, "each has been updated"
    assert compiled == plain


@pytest.mark.slow
def test_an_indicator_over_bars_continues_in_the_next_session() -> None:
    specs = [indicator_spec(kind, "v:BTC", {**given, "source": "bars.1"}) for kind, given in OVER_BARS.items()]
    whole, before, after = (
        Market.empty([BTC], [BarSpec("v:BTC", SECOND_NS)], specs, bars_by_time=True) for _ in range(3)
    )
    for into, numbers in ((whole, range(40)), (before, range(25))):
        for number in numbers:
            trade(into, number)
    assert after.restore_carried(json.loads(json.dumps(before.carried()))) == []
    for number in range(25, 40):
        trade(after, number)
    assert whole.indicator_count(0) > 10
    assert after.digests()["indicators"] == whole.digests()["indicators"]
    dumped = Market.load(whole.dump(), [BTC], [BarSpec("v:BTC", SECOND_NS)], specs, bars_by_time=True)
    assert dumped.digests() == whole.digests()
    for k, spec in enumerate(specs):
        assert [dumped.indicator(k, output=name) for name in ("", *spec.outputs)] == [
            whole.indicator(k, output=name) for name in ("", *spec.outputs)
        ]


def trade(into: Market, number: int) -> None:
    """One trade each half second."""
    row: Rows = np.zeros((1, r.COLUMNS), np.int64)
    now = (number + 1) * SECOND_NS // 2
    row[0] = r.TRADE, 0, number, now, now, 1, 1000 + number * number % 37, 1 + number % 3, number, 0, 0
    into.fold(row)


def test_quiet_prices_after_a_jump_have_a_deviation_of_exactly_zero() -> None:
    """A strategy that divides by it must not see the roundings of values that have left the window."""
    market = Market.empty([BTC], indicators=[indicator_spec("stddev", "v:BTC", {"length": 4})])
    table = quotes(*(100.05, 90_000.35, 100.05, 33.35), *(60_000.05,) * 5)
    table[:, r.QUOTE_BID_SIZE] = range(1, 10)  # a new size is a change of the quote
    market.fold(table[:-1])
    assert market.indicator(0) == 0
    market.fold(table[-1:])
    assert market.indicator(0) == 0


@pytest.mark.parametrize(
    ("kind", "parameters", "reason"),
    [
        ("sma", {"length": 0}, "length must be a whole number of at least 1, not 0"),
        ("sma", {"length": 5001}, "length may be 5000 at most, not 5001"),
        ("sma", {"length": 2.0}, "length must be a whole number"),
        ("sma", {"length": 2, "source": "book"}, "source is 'mid', 'trade' or 'bars.SECONDS', not 'book'"),
        ("sma", {"length": 2, "source": "bars.0"}, "not 'bars.0'"),
        ("sma", {"length": 2, "field": "high"}, "field 'high' needs bars"),
        ("sma", {"length": 2, "source": "bars.1", "field": "mean"}, "field is one of open, high, low, close, volume"),
        ("atr", {"length": 2}, "atr needs bars"),
        ("vwap", {"source": "mid"}, "vwap needs volume"),
        ("macd", {"fast": 9, "slow": 9}, "fast must be below slow, not 9 and 9"),
        ("bollinger", {"length": 2, "width": -1}, "width must be a number of deviations"),
        ("ema", {"length": 2, "begins": "zero"}, "begins is 'mean' or left out, not 'zero'"),
    ],
)
def test_parameters_that_a_kind_does_not_accept_are_named(kind: str, parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        indicator_spec(kind, "v:BTC", parameters)


# ---- strategies

BOTH = HAND.replace("from verbatim import OnQuote", "from verbatim import Indicator, OnQuote").replace(
    "    cadence = OnQuote()",
    '    indicators = (Indicator("band", "bollinger", {"length": 2}), Indicator("own", "sma", {"length": LENGTH}))\n'
    "    cadence = OnQuote()",
)


def test_equal_indicators_of_two_strategies_are_one(tmp_path: Path) -> None:
    """Both read the value that the fold computes once, also its other outputs."""
    read = '        assert view.indicator("band", "BTCUSDT") in (None, 100.0)\n        if state.placed < para'
    strategies = [
        from_sources({name: BOTH.replace("LENGTH", str(length)).replace("        if state.placed < para", read)}, name, "Hand", name=name, parameters={"orders": 0})
        for name, length in (("one", 3), ("two", 4), ("three", 3))
    ]  # fmt: skip
    hand = ByHand(strategies=strategies).run(4)
    market = hand.state.market
    assert [(spec.name, spec.window) for spec in market.indicator_specs] == [("bollinger", 2), ("sma", 3), ("sma", 4)]
    assert market.indicator(0, output="upper") == market.indicator(0, output="lower") == 100.0
    assert hand.notes() == []
    assert all(not hand.state.account.strategies.get(name).stopped_for for name in ("one", "two", "three"))
    hand.prove(tmp_path / "journal")


def test_sessions_recorded_before_have_an_indicator_for_each_declaration(tmp_path: Path) -> None:
    strategies = [
        from_sources({name: BOTH.replace("LENGTH", "3")}, name, "Hand", name=name, parameters={"orders": 0})
        for name in ("one", "two")
    ]
    hand = ByHand(strategies=strategies, newest=False).run(3)
    assert [spec.name for spec in hand.state.market.indicator_specs] == ["bollinger", "sma", "bollinger", "sma"]
    hand.prove(tmp_path / "journal")
