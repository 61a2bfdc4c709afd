"""Indicators by declaration: an average by hand, its state over a restart, and a strategy that declares one by kind."""

import json
from decimal import Decimal

import numpy as np
import pytest
from by_hand import HAND, ByHand

from engine.market import rows as r
from engine.market.indicators.ema import EmaSpec
from engine.market.indicators.registry import SPECS, UnknownIndicatorError, indicator_spec
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.model import Instrument
from engine.strategy.source_guard import StrategyError
from verbatim.testing import from_sources

BTC = Instrument("v:BTC", "v", "BTC", "BTC", "USDT", 1, 0, Decimal("0.1"), Decimal(1))
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
        spec = indicator_spec(kind, "v:BTC", PARAMETERS[kind])
        assert spec.name == kind
        assert spec.warm_count > 0
        assert spec.carried_from <= len(spec.own_numbers)
        assert all(0 <= place < len(spec.own_numbers) for place in spec.outputs.values())
    spec = indicator_spec("ema", "v:BTC", {"length": 3})
    assert len(spec.own_numbers) > 0
    assert spec.carried_from <= len(spec.own_numbers)
    with pytest.raises(UnknownIndicatorError, match="no indicator 'tea'; known: atr, .*wma"):
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
