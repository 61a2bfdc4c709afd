"""Declarations of a strategy: its needs for some parameters.

`instruments`, `cadence`, `averages`, `indicators` and `bars_s` of a class are values, or static methods that return
the value for the parameters. Texts name strategy and parameter.
"""

from collections.abc import Mapping
from types import FunctionType
from typing import Any

import msgspec

from engine.market.indicators.indicator import IndicatorSpec
from engine.market.indicators.registry import UnknownIndicatorError, indicator_spec
from engine.market.layout import BARS_KEPT
from engine.market.user_update import UserSpec
from engine.strategy.api import Average, Indicator, WarmUp
from engine.strategy.cadences import Cadence, CrossOver, OnQuote, Predicate, PriceMove, read_cadences
from engine.strategy.own_indicators import OwnIndicator, read_own
from engine.strategy.source_guard import StrategyError
from engine.suggestions import suggestion

PPM_MAX = 1_000_000


class Needs(msgspec.Struct, frozen=True):
    """Needs of a strategy for its parameters: instruments, triggers, indicators, bars."""

    instruments: tuple[str, ...]
    cadences: tuple[Cadence, ...]
    averages: tuple[Average, ...]
    indicators: tuple[Indicator, ...]
    bars_s: tuple[int, ...]
    warm_up: WarmUp | None  # None: it decides from the first record on
    own: dict[str, OwnIndicator]  # by name: those whose kind is a class of the strategy


def read_needs(where: str, strategy: str, cls: type[Any], parameters: Any) -> Needs:
    """Return what the class needs for these parameters, checked.

    Args:
        where: The module and the class, for texts.
        strategy: The strategy's name.
        cls: The class.
        parameters: Its parameters.

    Raises:
        StrategyError: A declaration is wrong.
    """
    declared = {
        name: _declared(where, cls, name, parameters)
        for name in ("instruments", "cadence", "averages", "indicators", "bars_s", "warm_up")
    }
    cadences = read_cadences(where, declared["cadence"])
    for name in ("instruments", "averages", "indicators", "bars_s"):
        if isinstance(declared[name], str) or not hasattr(declared[name], "__iter__"):
            raise StrategyError(f"{where}: `{name}` is a tuple, not {declared[name]!r}")
    averages, indicators = tuple(declared["averages"]), tuple(declared["indicators"])
    own = {
        each.name: read_own(where, strategy, each)
        for each in indicators
        if isinstance(each, Indicator) and not isinstance(each.kind, str)
    }
    indicators = tuple(
        own[each.name].declared if isinstance(each, Indicator) and each.name in own else each for each in indicators
    )
    specs = _checked_indicators(where, averages, indicators)
    for cadence in cadences:
        if isinstance(cadence, OnQuote):
            _check_when(where, cadence.when, specs)
    return Needs(
        instruments=tuple(declared["instruments"]),
        cadences=cadences,
        averages=averages,
        indicators=indicators,
        bars_s=tuple(declared["bars_s"]),
        warm_up=_checked_warm_up(where, declared["warm_up"] or None, declared["bars_s"]),
        own=own,
    )


def _checked_warm_up(where: str, warm_up: Any, bars_s: Any) -> WarmUp | None:
    if warm_up is None:
        return None
    if not isinstance(warm_up, WarmUp):
        raise StrategyError(f"{where}: `warm_up` is WarmUp(...), not {warm_up!r}")
    if type(warm_up.bars) is not int or not 0 <= warm_up.bars <= BARS_KEPT:
        raise StrategyError(f"{where}: WarmUp takes a number of bars from 0 to {BARS_KEPT}, not {warm_up.bars!r}")
    if warm_up.bars and not bars_s:
        raise StrategyError(f"{where}: WarmUp waits for {warm_up.bars} bars, and `bars_s` declares none")
    return warm_up


def _declared(where: str, cls: type[Any], name: str, parameters: Any) -> Any:
    """Return a declaration: the class's value, or what its static method returns for the parameters."""
    value = getattr(cls, name, ())
    if not isinstance(value, FunctionType):
        return value
    try:
        return value(parameters)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StrategyError(f"{where}: `{name}` raises {type(error).__name__}: {error}") from None


def _checked_indicators(
    where: str, averages: tuple[Average, ...], indicators: tuple[Indicator, ...]
) -> dict[str, IndicatorSpec]:
    """Return the spec of each declared indicator by name: of a known kind, with parameters that it accepts."""
    specs: dict[str, IndicatorSpec] = {}
    for average in averages:
        if not isinstance(average, Average):
            raise StrategyError(f"{where}: `averages` has {average!r}; write Average(name, length)")
        try:
            specs[average.name] = indicator_spec("ema", "", {"length": average.length})
        except ValueError as error:
            raise StrategyError(f"{where}: average {average.name!r}: {error}") from None
    for each in indicators:
        if not isinstance(each, Indicator):
            raise StrategyError(f"{where}: `indicators` has {each!r}; write Indicator(name, kind, parameters)")
        if each.name in specs:
            raise StrategyError(f"{where}: two indicators have the name {each.name!r}")
        try:
            specs[each.name] = each.spec("")
        except (UnknownIndicatorError, TypeError, ValueError) as error:
            raise StrategyError(f"{where}: indicator {each.name!r}: {error}") from None
    return specs


def _check_when(where: str, when: Any, specs: Mapping[str, IndicatorSpec]) -> None:
    if isinstance(when, CrossOver):
        for name in (when.first, when.second):
            if name not in specs:
                known = ", ".join(sorted(specs)) or "none"
                raise StrategyError(
                    f"{where}: CrossOver names the average {name!r}{suggestion(name, specs)}; "
                    f"declared under `averages`: {known}"
                )
        if own := [name for name in (when.first, when.second) if isinstance(specs[name], UserSpec)]:
            raise StrategyError(
                f"{where}: CrossOver compares built-in indicators, and {own[0]!r} is one of your own: compare it in "
                "`should_decide` (OnQuote(when=Predicate())) or in `decide`"
            )
        if specs[when.first].followed != specs[when.second].followed:
            raise StrategyError(
                f"{where}: CrossOver compares {when.first!r} and {when.second!r}, which follow different sources"
            )
    elif isinstance(when, PriceMove):
        if not (type(when.ppm) is int and 0 < when.ppm <= PPM_MAX):
            raise StrategyError(
                f"{where}: PriceMove takes a whole number of millionths from 1 to {PPM_MAX}, not {when.ppm!r}"
            )
    elif when is not None and not isinstance(when, Predicate):
        raise StrategyError(f"{where}: `when` is CrossOver(...), PriceMove(...) or Predicate(), not {when!r}")
