"""Declarations of a strategy: its parameters with their ranges, and its needs for some parameters.

`instruments`, `cadence`, `averages`, `indicators` and `bars_s` of a class are values, or static methods that return
the value for the parameters. Texts name strategy and parameter.
"""

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from types import FunctionType
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec

from engine.market.indicators.indicator import IndicatorSpec
from engine.market.indicators.registry import UnknownIndicatorError, indicator_spec
from engine.market.layout import BARS_KEPT
from engine.session_record import StrategySettings
from engine.strategy.api import Average, Indicator, Range, WarmUp
from engine.strategy.cadences import Cadence, CrossOver, OnQuote, Predicate, PriceMove, read_cadences
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


def read_parameters(where: str, settings: StrategySettings, cls: type[Any]) -> Any:
    """Return the parameters as the class's dataclass.

    Raises:
        StrategyError: A parameter is unknown, of the wrong type or out of its range, or the dataclass refuses them.
    """
    known = [field.name for field in fields(cls.Parameters)]
    unknown = sorted(set(settings.parameters) - set(known))
    if unknown:
        hint = suggestion(unknown[0], known)
        raise StrategyError(
            f"{where}: unknown parameter {unknown[0]!r}{hint}; known: {', '.join(sorted(known)) or 'none'}"
        )
    hints = get_type_hints(cls.Parameters, include_extras=True)
    for name, value in settings.parameters.items():
        what = f"{where}: parameter {name!r} of strategy {settings.name}"
        try:
            given = msgspec.convert(value, type=hints[name], strict=False)
        except (msgspec.ValidationError, TypeError) as error:
            raise StrategyError(f"{what}: {error}") from None
        _check_range(what, hints[name], given)
    try:
        parameters = msgspec.convert(settings.parameters, type=cls.Parameters, strict=False)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise StrategyError(f"{where}: parameters of strategy {settings.name}: {error}") from None
    for name in known:  # the defaults too
        _check_range(f"{where}: parameter {name!r} of strategy {settings.name}", hints[name], getattr(parameters, name))
    return parameters


def _check_range(what: str, hint: Any, value: Any) -> None:
    """Check a parameter against the Range in its annotation, if it has one. Raises StrategyError."""
    if get_origin(hint) is not Annotated:
        return
    for allowed in hint.__metadata__:
        if isinstance(allowed, Range) and not (
            isinstance(value, int | float | Decimal) and not isinstance(value, bool) and allowed.allows(value)
        ):
            raise StrategyError(f"{what} is {value}: it must be from {allowed.least} to {allowed.most}")


def read_needs(where: str, cls: type[Any], parameters: Any) -> Needs:
    """Return what the class needs for these parameters, checked.

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
