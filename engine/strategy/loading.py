"""Strategies from source text: the class and its declarations.

Text in, class out: no file is read here, so a replay loads exactly the text in its SESSION record.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from types import FunctionType, ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from engine.market.jit import Callback
from engine.market.order_decision import FoldDecision
from engine.market.predicates import CannotCompileError, CompiledPredicate, compile_predicate
from engine.session_record import MILLISECOND_NS, SECOND_NS, Declared, StrategySettings
from engine.state.orders import EXTERNAL
from engine.strategy.api import Average, Indicator, WarmUp, state_from, state_values
from engine.strategy.cadences import (
    Cadence,
    CrossOver,
    Every,
    OnBar,
    OnQuote,
    Predicate,
    PriceMove,
    declared_cadences,
    recorded_triggers,
)
from engine.strategy.code_reach import CodeReach, read_reach
from engine.strategy.fold_decision import NAME as DECIDE_FOLD
from engine.strategy.fold_decision import read_fold_decision, refuse_indicators
from engine.strategy.hidden_memory import HiddenMemory
from engine.strategy.needs import read_needs
from engine.strategy.parameters import read_parameters
from engine.strategy.source_guard import ANY_REACH, ModuleGuard, StrategyError, refuse_source, run_module
from engine.suggestions import suggestion

DAY_S = 86_400


class LoadedStrategy(msgspec.Struct, frozen=True):
    """A strategy ready to decide."""

    settings: StrategySettings
    cls: Any
    cadences: tuple[Cadence, ...]
    instruments: tuple[str, ...]
    averages: tuple[Average, ...]
    indicators: tuple[Indicator, ...]
    bars_s: tuple[int, ...]
    parameters: Any
    warm_up: WarmUp | None = None
    outside: "ModuleGuard | None" = None
    hidden: "HiddenMemory | None" = None
    reach: CodeReach = ANY_REACH
    predicate: CompiledPredicate | None = None  # None: the strategy is not compiled
    decision: FoldDecision | None = None  # None: the class declares no `decide_fold`
    own_updates: Mapping[str, Callback] = {}  # of a user's indicators, by name; empty in a rebuild

    @property
    def on_quote(self) -> OnQuote | None:
        """The cadence by quotes, if it has one."""
        return next((cadence for cadence in self.cadences if isinstance(cadence, OnQuote)), None)

    @property
    def on_bar_s(self) -> int:
        """The length in seconds of the bars on whose end it decides; 0: it does not."""
        return next((cadence.seconds for cadence in self.cadences if isinstance(cadence, OnBar)), 0)

    @property
    def period_ns(self) -> int:
        """The fixed period at which it decides; 0: it has none."""
        return next((cadence.period_ns for cadence in self.cadences if isinstance(cadence, Every)), 0)

    def changed_outside(self) -> str:
        """Return the name in the strategy's modules that a decision changed, or ""."""
        return "" if self.outside is None else self.outside.changed(self.parameters)

    def state(self, values: Mapping[str, Any]) -> Any:
        """Build the strategy's state object from recorded values."""
        return state_from(self.cls.State, values)


def as_recorded(draft: StrategySettings) -> StrategySettings:
    """Return the settings for the SESSION record, with version and declarations of the class. Runs the source."""
    loaded = load(draft)
    triggers, on_quote = recorded_triggers(loaded.cadences), loaded.on_quote
    when = on_quote.when if on_quote else None
    if draft.declared is None:
        check_bars(f"{draft.module}.py:{draft.cls}", loaded)
    declared = Declared(
        instruments=loaded.instruments,
        every_ms=0 if triggers else loaded.period_ns // MILLISECOND_NS,
        throttle_ms=on_quote.throttle_ms if on_quote and not triggers else 0,
        averages=tuple((average.name, average.length) for average in loaded.averages),
        indicators=tuple((each.name, str(each.kind), each.all_parameters()) for each in loaded.indicators),
        bars_s=loaded.bars_s,
        cross_over=(when.first, when.second) if isinstance(when, CrossOver) else None,
        price_move_ppm=when.ppm if isinstance(when, PriceMove) else 0,
        on_bar_s=0 if triggers else loaded.on_bar_s,
        has_predicate=isinstance(when, Predicate),
        triggers=triggers,
    )
    return msgspec.structs.replace(draft, version=str(loaded.cls.version), declared=declared)


def check_bars(where: str, loaded: LoadedStrategy) -> None:
    """Check that the bars of a new session end at the same times each day. Raises StrategyError."""
    named = [*loaded.bars_s, *([loaded.on_bar_s] if loaded.on_bar_s else [])]
    named += [ns // SECOND_NS for ns in (each.spec("").interval_ns for each in loaded.indicators) if ns]
    for seconds in named:
        if type(seconds) is not int or seconds < 1:
            raise StrategyError(f"{where}: the length of bars is a whole number of seconds, not {seconds!r}")
        if DAY_S % seconds and seconds % DAY_S:
            raise StrategyError(
                f"{where}: bars of {seconds} seconds do not divide a day: they would end at other times each day"
            )


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
        cadences=declared_cadences(declared),
        instruments=declared.instruments,
        averages=tuple(Average(name, length) for name, length in declared.averages),
        indicators=tuple(Indicator(*each) for each in declared.indicators),
        bars_s=declared.bars_s,
        parameters=None,
    )


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
    reach = read_reach(settings.sources.values())
    outside = ModuleGuard(modules, loaded.parameters, reach)
    return msgspec.structs.replace(loaded, reach=reach, outside=outside, hidden=HiddenMemory(modules))


def _loaded(settings: StrategySettings, modules: dict[str, ModuleType]) -> LoadedStrategy:
    module = run_module(settings.module, settings, modules)
    cls = getattr(module, settings.cls, None)
    if not isinstance(cls, type):
        classes = sorted(
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and vars(value).keys() & {"decide", DECIDE_FOLD}
        )
        raise StrategyError(
            f"{settings.module}.py has no class {settings.cls}{suggestion(settings.cls, classes)}; "
            f"strategies in it: {', '.join(classes) or 'none'}"
        )
    return _declared(settings, cls)


def _declared(settings: StrategySettings, cls: type[Any]) -> LoadedStrategy:
    where = f"{settings.module}.py:{settings.cls}"
    for name in ("version", "instruments", "cadence", "Parameters", "State", "decide"):
        if not hasattr(cls, name) and not (name == "decide" and hasattr(cls, DECIDE_FOLD)):
            raise StrategyError(f"{where} declares no {name!r} (docs/strategies.md says what a strategy declares)")
    if settings.name == EXTERNAL:
        raise StrategyError(f"{where}: {EXTERNAL!r} is the name under which orders of others on the account are kept")
    for part in (cls.Parameters, cls.State):
        if not is_dataclass(part):
            raise StrategyError(f"{where}: {part.__name__} must be a dataclass")
    _check_state(where, cls)
    parameters = read_parameters(where, settings, cls)
    needs = read_needs(where, settings.name, cls, parameters)
    decision = read_fold_decision(where, cls, parameters)
    if decision is not None:
        refuse_indicators(where, needs.averages, needs.indicators)
    return LoadedStrategy(
        settings=settings,
        cls=cls,
        cadences=needs.cadences,
        instruments=needs.instruments,
        averages=needs.averages,
        indicators=needs.indicators,
        bars_s=needs.bars_s,
        parameters=parameters,
        warm_up=needs.warm_up,
        decision=decision,
        own_updates={name: each.compiled(where) for name, each in needs.own.items()},
        predicate=_compiled(where, cls, parameters, [*needs.averages, *needs.indicators])
        if any(isinstance(cadence, OnQuote) and isinstance(cadence.when, Predicate) for cadence in needs.cadences)
        else None,
    )


def _check_state(where: str, cls: type[Any]) -> None:
    hints = get_type_hints(cls.State)
    for field in fields(cls.State):
        if not _is_data(hints[field.name]):
            raise StrategyError(
                f"{where}: State.{field.name} is {hints[field.name]!r}; state is declared data: {_DATA}"
            )
    try:
        state_from(cls.State, state_values(cls.State()))
    except (msgspec.ValidationError, TypeError) as error:
        raise StrategyError(f"{where}: {error}") from None


PREDICATE_NAMES = ("should_decide", "wants")  # the second is the old spelling


def predicate_name(cls: type[Any]) -> str:
    """Return the name of a class's predicate: the one that the class nearest in its MRO defines."""
    for base in cls.__mro__:
        for name in PREDICATE_NAMES:
            if name in vars(base):
                return name
    return PREDICATE_NAMES[0]


def _compiled(
    where: str, cls: type[Any], parameters: Any, indicators: Sequence[Average | Indicator]
) -> CompiledPredicate:
    """Compile the class's `should_decide`. Raises StrategyError."""
    own = [k for k, each in enumerate(indicators) if isinstance(each, Indicator) and each.is_own]
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
        return compile_predicate(predicate.__func__, numbers, len(indicators), own)
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
