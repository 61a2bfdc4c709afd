"""Strategies from source text: the class and its declarations.

Text in, class out: no file is read here, so a replay loads exactly the text in its SESSION record.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from types import FunctionType, ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from engine.market.indicators.registry import UnknownIndicatorError, indicator_spec
from engine.market.predicates import CannotCompileError, CompiledPredicate, compile_predicate
from engine.session_record import Declared, StrategySettings
from engine.state.orders import EXTERNAL
from engine.strategy.api import (
    Average,
    CrossOver,
    Every,
    Indicator,
    OnQuote,
    Predicate,
    PriceMove,
    state_from,
    state_values,
)
from engine.strategy.source_guard import ModuleGuard, StrategyError, refuse_source, run_module
from engine.suggestions import suggestion

PPM_MAX = 1_000_000


class LoadedStrategy(msgspec.Struct, frozen=True):
    """A strategy ready to decide."""

    settings: StrategySettings
    cls: Any
    cadence: OnQuote | Every
    instruments: tuple[str, ...]
    averages: tuple[Average, ...]
    indicators: tuple[Indicator, ...]
    bars_s: tuple[int, ...]
    parameters: Any
    outside: "ModuleGuard | None" = None
    predicate: CompiledPredicate | None = None  # None: the strategy is not compiled

    def changed_outside(self) -> str:
        """Return the name in the strategy's modules that a decision changed, or ""."""
        return "" if self.outside is None else self.outside.changed(self.parameters)

    def state(self, values: Mapping[str, Any]) -> Any:
        """Build the strategy's state object from recorded values."""
        return state_from(self.cls.State, values)


def as_recorded(draft: StrategySettings) -> StrategySettings:
    """Return the settings for the SESSION record, with version and declarations of the class. Runs the source."""
    loaded = load(draft)
    cadence = loaded.cadence
    when = cadence.when if isinstance(cadence, OnQuote) else None
    declared = Declared(
        instruments=loaded.instruments,
        every_ms=cadence.ms if isinstance(cadence, Every) else 0,
        throttle_ms=cadence.throttle_ms if isinstance(cadence, OnQuote) else 0,
        averages=tuple((average.name, average.length) for average in loaded.averages),
        indicators=tuple((each.name, each.kind, dict(each.parameters)) for each in loaded.indicators),
        bars_s=loaded.bars_s,
        cross_over=(when.first, when.second) if isinstance(when, CrossOver) else None,
        price_move_ppm=when.ppm if isinstance(when, PriceMove) else 0,
        has_predicate=isinstance(when, Predicate),
    )
    return msgspec.structs.replace(draft, version=str(loaded.cls.version), declared=declared)


def declared_only(settings: StrategySettings) -> LoadedStrategy:
    """Return a strategy that can be rebuilt but cannot decide. It uses the recorded declarations and runs no source."""
    declared = settings.declared
    if declared is None:
        raise StrategyError(
            f"strategy {settings.name} was recorded without its declarations: its session cannot be rebuilt"
        )
    return LoadedStrategy(
        settings=settings,
        cls=None,
        cadence=Every(declared.every_ms) if declared.every_ms else OnQuote(declared.throttle_ms, _when(declared)),
        instruments=declared.instruments,
        averages=tuple(Average(name, length) for name, length in declared.averages),
        indicators=tuple(Indicator(*each) for each in declared.indicators),
        bars_s=declared.bars_s,
        parameters=None,
    )


def _when(declared: Declared) -> CrossOver | PriceMove | Predicate | None:
    if declared.has_predicate:
        return Predicate()
    if declared.cross_over is not None:
        return CrossOver(*declared.cross_over)
    return PriceMove(declared.price_move_ppm) if declared.price_move_ppm else None


def load(settings: StrategySettings) -> LoadedStrategy:
    """Run the recorded source and read the class's declarations.

    Raises:
        StrategyError: The code uses something that makes a decision unrepeatable, or the class is not a strategy.
    """
    for name, text in settings.sources.items():
        refuse_source(name, text, frozenset(settings.sources))
    modules: dict[str, ModuleType] = {}
    try:
        loaded = _loaded(settings, modules)
    finally:
        for module in modules.values():
            sys.modules.pop(module.__name__, None)
    return msgspec.structs.replace(loaded, outside=ModuleGuard(modules, loaded.parameters))


def _loaded(settings: StrategySettings, modules: dict[str, ModuleType]) -> LoadedStrategy:
    module = run_module(settings.module, settings, modules)
    cls = getattr(module, settings.cls, None)
    if not isinstance(cls, type):
        classes = sorted(
            name for name, value in vars(module).items() if isinstance(value, type) and "decide" in vars(value)
        )
        raise StrategyError(
            f"{settings.module}.py has no class {settings.cls}{suggestion(settings.cls, classes)}; "
            f"strategies in it: {', '.join(classes) or 'none'}"
        )
    return _declared(settings, cls)


def _declared(settings: StrategySettings, cls: type[Any]) -> LoadedStrategy:
    where = f"{settings.module}.py:{settings.cls}"
    for name in ("version", "instruments", "cadence", "Parameters", "State", "decide"):
        if not hasattr(cls, name):
            raise StrategyError(f"{where} declares no {name!r} (docs/strategies.md says what a strategy declares)")
    if not isinstance(cls.cadence, OnQuote | Every):
        raise StrategyError(f"{where}: cadence is OnQuote(...) or Every(...), not {cls.cadence!r}")
    if isinstance(cls.cadence, Every) and not (type(cls.cadence.ms) is int and cls.cadence.ms > 0):
        raise StrategyError(f"{where}: Every takes a whole number of milliseconds above 0, not {cls.cadence.ms!r}")
    if isinstance(cls.cadence, OnQuote) and not (type(cls.cadence.throttle_ms) is int and cls.cadence.throttle_ms >= 0):
        raise StrategyError(f"{where}: throttle_ms is a whole number of milliseconds, not {cls.cadence.throttle_ms!r}")
    indicators = _declared_indicators(where, cls)
    if isinstance(cls.cadence, OnQuote):
        _check_when(where, cls.cadence.when, {each.name for each in (*getattr(cls, "averages", ()), *indicators)})
    if settings.name == EXTERNAL:
        raise StrategyError(f"{where}: {EXTERNAL!r} is the name under which orders of others on the account are kept")
    for part in (cls.Parameters, cls.State):
        if not is_dataclass(part):
            raise StrategyError(f"{where}: {part.__name__} must be a dataclass")
    hints = get_type_hints(cls.State)
    for field in fields(cls.State):
        if not _is_data(hints[field.name]):
            raise StrategyError(
                f"{where}: State.{field.name} is {hints[field.name]!r}; state is declared data: {_DATA}"
            )
    try:
        parameters = msgspec.convert(settings.parameters, type=cls.Parameters, strict=False)
        known = {field.name for field in fields(cls.Parameters)}
        unknown = sorted(set(settings.parameters) - known)
        if unknown:
            hint = suggestion(unknown[0], known)
            raise StrategyError(f"{where}: unknown parameter {unknown[0]!r}{hint}; known: {', '.join(sorted(known))}")
        state_from(cls.State, state_values(cls.State()))
    except (msgspec.ValidationError, TypeError) as error:
        raise StrategyError(f"{where}: {error}") from None
    return LoadedStrategy(
        settings=settings,
        cls=cls,
        cadence=cls.cadence,
        instruments=tuple(cls.instruments),
        averages=tuple(getattr(cls, "averages", ())),
        indicators=indicators,
        bars_s=tuple(getattr(cls, "bars_s", ())),
        parameters=parameters,
        predicate=_compiled(where, cls, parameters)
        if isinstance(cls.cadence, OnQuote) and isinstance(cls.cadence.when, Predicate)
        else None,
    )


def _declared_indicators(where: str, cls: type[Any]) -> tuple[Indicator, ...]:
    """Return the declared indicators, each with a known kind and parameters that its spec accepts."""
    indicators = tuple(getattr(cls, "indicators", ()))
    names = set()
    for average in getattr(cls, "averages", ()):
        if not isinstance(average, Average):
            raise StrategyError(f"{where}: `averages` has {average!r}; write Average(name, length)")
        names.add(average.name)
        try:
            indicator_spec("ema", "", {"length": average.length})
        except ValueError as error:
            raise StrategyError(f"{where}: average {average.name!r}: {error}") from None
    for each in indicators:
        if not isinstance(each, Indicator):
            raise StrategyError(f"{where}: `indicators` has {each!r}; write Indicator(name, kind, parameters)")
        if each.name in names:
            raise StrategyError(f"{where}: two indicators have the name {each.name!r}")
        names.add(each.name)
        try:
            indicator_spec(each.kind, "", each.parameters)
        except (UnknownIndicatorError, TypeError, ValueError) as error:
            raise StrategyError(f"{where}: indicator {each.name!r}: {error}") from None
    return indicators


def _check_when(where: str, when: Any, averages: set[str]) -> None:
    if isinstance(when, CrossOver):
        for name in (when.first, when.second):
            if name not in averages:
                known = ", ".join(sorted(averages)) or "none"
                raise StrategyError(
                    f"{where}: CrossOver names the average {name!r}{suggestion(name, averages)}; "
                    f"declared under `averages`: {known}"
                )
    elif isinstance(when, PriceMove):
        if not (type(when.ppm) is int and 0 < when.ppm <= PPM_MAX):
            raise StrategyError(
                f"{where}: PriceMove takes a whole number of millionths from 1 to {PPM_MAX}, not {when.ppm!r}"
            )
    elif when is not None and not isinstance(when, Predicate):
        raise StrategyError(f"{where}: `when` is CrossOver(...), PriceMove(...) or Predicate(), not {when!r}")


PREDICATE_NAMES = ("should_decide", "wants")  # the second is the old spelling


def predicate_name(cls: type[Any]) -> str:
    """Return the name of a class's predicate: the one that the class nearest in its MRO defines."""
    for base in cls.__mro__:
        for name in PREDICATE_NAMES:
            if name in vars(base):
                return name
    return PREDICATE_NAMES[0]


def _compiled(where: str, cls: type[Any], parameters: Any) -> CompiledPredicate:
    """Compile the class's `should_decide`. Raises StrategyError."""
    name = predicate_name(cls)
    predicate = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if not isinstance(predicate, staticmethod) or not isinstance(predicate.__func__, FunctionType):
        raise StrategyError(
            f"{where}: OnQuote(when=Predicate()) calls `should_decide(now, parameters)`; declare it as a static method "
            f"of the class"
        )
    try:
        numbers = {
            field.name: float(value)
            for field in fields(parameters)
            if isinstance(value := getattr(parameters, field.name), int | float | Decimal)
        }
        declared = (*getattr(cls, "averages", ()), *getattr(cls, "indicators", ()))
        return compile_predicate(predicate.__func__, numbers, len(declared))
    except CannotCompileError as error:
        raise StrategyError(f"{where}: `{name}` cannot be compiled: {error}") from None
    except OverflowError:
        raise StrategyError(
            f"{where}: a parameter is beyond what a float holds, and `{name}` gets its parameters as floats"
        ) from None


_DATA = "int, str, bool, float, Decimal, None, and tuples, lists and str-keyed dicts of these"


def _is_data(hint: Any) -> bool:
    if hint in (int, str, bool, float, Decimal, type(None), Ellipsis):
        return True
    if get_origin(hint) is dict:
        key, value = get_args(hint)
        return key is str and _is_data(value)
    return bool(get_args(hint)) and all(_is_data(part) for part in get_args(hint))
