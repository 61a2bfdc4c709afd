"""Parameters of a strategy: their ranges, and what it needs for them: instruments, cadence, indicators and bars."""

from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, ETH, ByHand

from engine.session_record import SECOND_NS, StrategySettings
from engine.strategy.cadences import Every, OnBar, OnQuote
from engine.strategy.loading import declared_only, load
from engine.strategy.source_guard import StrategyError
from replay.overrides import UnknownOverrideError, apply_overrides
from verbatim.testing import from_sources

NEEDS = """
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

from verbatim import Average, Every, Indicator, OnBar, OnQuote, Place, Range, Side


class Needs:
    version = "1"

    @dataclass
    class Parameters:
        symbol: str = "BTCUSDT"
        trigger: Literal["quote", "bar", "timer"] = "quote"
        fast: Annotated[int, Range(2, 50)] = 3
        slow: Annotated[int, Range(2, 500)] = 6
        bar_s: Annotated[int, Range(1, 3600)] = 60
        size: Annotated[Decimal, Range("0.001", 1)] = Decimal("0.01")

        def __post_init__(self):
            if self.fast >= self.slow:
                raise ValueError(f"fast must be below slow, not {self.fast} and {self.slow}")

    @dataclass
    class State:
        seen: list[str] = field(default_factory=list)

    @staticmethod
    def instruments(parameters):
        return (parameters.symbol,)

    @staticmethod
    def cadence(parameters):
        if parameters.trigger == "bar":
            return OnBar(parameters.bar_s)
        return OnQuote() if parameters.trigger == "quote" else Every(ms=500)

    @staticmethod
    def averages(parameters):
        return (Average("mean", parameters.fast),)

    @staticmethod
    def indicators(parameters):
        return (Indicator("slow", "sma", {"length": parameters.slow}, bars_s=parameters.bar_s),)

    @staticmethod
    def bars_s(parameters):
        return (parameters.bar_s,)

    @staticmethod
    def decide(view, state, parameters):
        (name,) = view.instruments
        state.seen = [name, str(view.average("mean", name)), str(view.indicator("slow", name))]
"""


def needs(source: str = NEEDS, **parameters: Any) -> StrategySettings:
    return from_sources({"needs": source}, "needs", "Needs", parameters=parameters)


def test_parameters_set_instrument_trigger_lengths_and_bars() -> None:
    settings = needs(symbol="ETHBTC", trigger="bar", fast=4, slow="8", bar_s=300)
    loaded, declared = load(settings), settings.declared
    assert (loaded.instruments, loaded.cadences, loaded.bars_s) == (("ETHBTC",), (OnBar(300),), (300,))
    assert loaded.averages[0].length == 4
    assert declared is not None
    assert declared.indicators == (("slow", "sma", {"length": 8, "source": "bars.300"}),)
    assert (declared.instruments, declared.on_bar_s, declared.averages) == (("ETHBTC",), 300, (("mean", 4),))
    # a rebuild has the same needs from the record alone, without the source
    rebuilt = declared_only(settings)
    assert (rebuilt.instruments, rebuilt.cadences, rebuilt.averages, rebuilt.bars_s) == (
        loaded.instruments,
        loaded.cadences,
        loaded.averages,
        loaded.bars_s,
    )
    assert rebuilt.indicators[0].spec("x") == loaded.indicators[0].spec("x")


@pytest.mark.parametrize(("trigger", "cadence"), [("quote", OnQuote()), ("timer", Every(ms=500))])
def test_a_parameter_sets_the_cadence(trigger: str, cadence: object) -> None:
    assert load(needs(trigger=trigger)).cadences == (cadence,)


def test_a_session_runs_with_the_needs_of_its_parameters(tmp_path: Path) -> None:
    chosen = needs(symbol="ETHBTC", fast=2, slow=3, bar_s=1)
    hand = ByHand(strategies=[chosen], instruments=(BTC, ETH)).run(3)
    assert hand.state.account.strategies.get("needs").state["seen"] == ["ETHBTC", "100.0", "None"]
    market = hand.state.market
    assert [spec.name for spec in market.indicator_specs] == ["ema", "sma"]
    assert [(bar.instrument_id, bar.interval_ns) for bar in market.bar_specs] == [(ETH.id, SECOND_NS)]
    hand.prove(tmp_path / "journal")


WHERE = "needs.py:Needs: parameter {!r} of strategy needs"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("fast", 1, " is 1: it must be from 2 to 50"),
        ("fast", 51, " is 51: it must be from 2 to 50"),
        ("size", "1.01", " is 1.01: it must be from 0.001 to 1"),
        ("size", "NaN", " is NaN: it must be from 0.001 to 1"),
        ("fast", "many", ": Expected `int`, got `str`"),
        ("trigger", "moon", ": Invalid enum value 'moon'"),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_its_range_names_strategy_and_parameter(
    name: str, value: object, reason: str
) -> None:
    with pytest.raises(StrategyError) as refused:
        needs(**{name: value})
    assert str(refused.value) == WHERE.format(name) + reason


def test_the_edges_of_a_range_are_allowed() -> None:
    assert load(needs(fast=2, slow=500, size="0.001")).parameters.slow == 500
    assert load(needs(fast=50, slow=51, size=1)).parameters.fast == 50


@pytest.mark.parametrize(
    ("source", "parameters", "reason"),
    [
        (NEEDS, {"fast": 9, "slow": 9}, "parameters of strategy needs: fast must be below slow, not 9 and 9"),
        (NEEDS, {"length": 9}, "unknown parameter 'length'; known: bar_s, fast, size, slow, symbol, trigger"),
        (NEEDS.replace("(2, 50)] = 3", "(2, 50)] = 1"), {}, "parameter 'fast' of strategy needs is 1: it must be"),
        (NEEDS.replace("return (parameters.bar_s,)", "return parameters.bars"), {}, "`bars_s` raises AttributeError"),
        (NEEDS.replace("return (parameters.symbol,)", "return parameters.symbol"), {}, "`instruments` is a tuple, not"),
        (NEEDS.replace("return OnQuote() if", "return None if"), {}, "cadence is OnQuote, OnBar, OnTrade"),
        (NEEDS.replace("OnBar(parameters.bar_s)", "OnBar(0)"), {"trigger": "bar"}, "OnBar takes a whole number of seconds"),
    ],
)  # fmt: skip
def test_wrong_needs_are_refused_at_load(source: str, parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(StrategyError) as refused:
        needs(source, **parameters)
    assert reason in str(refused.value)


def test_a_setting_of_a_resimulation_changes_the_recorded_needs_too() -> None:
    body = ByHand(strategies=[needs()]).body
    changed = apply_overrides(body, {"strategy.needs.slow": "9"}).strategies[0].declared
    assert changed is not None
    assert changed.indicators[0][2]["length"] == 9
    with pytest.raises(UnknownOverrideError, match="'slow' of strategy needs is 999: it must be from 2 to 500"):
        apply_overrides(body, {"strategy.needs.slow": "999"})


def test_indicators_of_different_sources_are_not_compared() -> None:
    source = NEEDS.replace("OnQuote() if", 'OnQuote(when=CrossOver("mean", "slow")) if')
    source = source.replace("Average, Every", "Average, CrossOver, Every")
    with pytest.raises(StrategyError, match="CrossOver compares 'mean' and 'slow', which follow different sources"):
        needs(source)


def test_another_output_of_an_indicator_is_read_by_its_name(tmp_path: Path) -> None:
    source = NEEDS.replace('"sma", {"length": parameters.slow}', '"macd", {"fast": 2, "slow": 3, "signal": 2}')
    source = source.replace('str(view.indicator("slow", name))', 'str(view.indicator("slow", name, "signal"))')
    hand = ByHand(strategies=[needs(source)]).run(3)
    assert hand.notes() == []
    wrong = ByHand(strategies=[needs(source.replace('"signal")', '"sign")'))]).run(3)
    assert wrong.notes() == [
        "strategy needs is stopped: LookupError: macd has the outputs signal, histogram beside its value, not 'sign'"
    ]
    wrong.prove(tmp_path / "journal")
