"""Strategies from source text: refused code, and the class with its declarations.

Text in, class out: no file is read here, so a replay loads exactly the text in its SESSION record.
This is a guard against accidents, not a sandbox: the code of strangers runs only with `--trust-code`.
"""

import ast
import builtins
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from importlib import import_module
from operator import is_
from types import FunctionType, ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from engine.market.indicators.registry import UnknownIndicatorError, indicator_spec
from engine.market.predicates import CannotCompileError, CompiledPredicate, compile_predicate
from engine.session_record import Declared, RuleSettings, StrategySettings
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

ALLOWED_MODULES = frozenset(
    {
        "__future__",
        "collections",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "itertools",
        "math",
        "operator",
        "statistics",
        "typing",
        "verbatim",
    }
)
INNER_ALLOWED = frozenset({("collections", "abc")})
REFUSED_NAMES = frozenset(
    {
        "__builtins__",
        "__import__",
        "breakpoint",
        "compile",
        "eval",
        "exec",
        "exit",  # a decision must not end the engine, nor bypass the handler that stops a strategy
        "globals",
        "hash",  # differs between processes
        "id",  # an address
        "input",
        "locals",
        "open",
        "print",  # a decision that prints is a decision that waits
        "quit",
        "vars",
        "BaseException",
        "GeneratorExit",
        "KeyboardInterrupt",
        "SystemExit",
    }
)


PPM_MAX = 1_000_000


class StrategyError(Exception):
    """The strategy cannot be used; the text says where and why."""


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


class ModuleGuard:
    """The contents of a strategy's modules and classes at loading. They must not change: a replay loads them again.

    Names are compared by identity, containers by content. A guard against accidents: closures are not checked.
    """

    def __init__(self, modules: Mapping[str, ModuleType], parameters: Any) -> None:
        self._scopes: dict[str, tuple[Any, dict[str, Any]]] = {}
        # each scope with its values in order: a fast comparison first, because every decision makes it
        self._wholes: list[tuple[Mapping[str, Any], tuple[Any, ...]]] = []
        for name, module in modules.items():
            self._guard(f"{name}.py", module)
        self._contents = {
            f"{where} {name}": (value, _text(value))
            for where, (_, held) in self._scopes.items()
            for name, value in held.items()
            if isinstance(value, _CONTAINERS)
        }
        self._parameters = repr(vars(parameters))

    def _guard(self, where: str, scope: Any) -> None:
        held = {name: value for name, value in vars(scope).items() if not name.startswith("__")}
        self._scopes[where] = (scope, held)
        self._wholes.append((vars(scope), tuple(vars(scope).values())))
        for name, value in held.items():
            if isinstance(value, Iterator):
                raise StrategyError(f"{where}: {name} is an iterator: it would remember how far it was read")
            if hasattr(value, "cache_info"):
                raise StrategyError(
                    f"{where}: {name} is a cached function: it would remember between calls what no record holds"
                )
            if isinstance(value, FunctionType) and _mutable_defaults(value):
                raise StrategyError(
                    f"{where}: {name} has a list, dict or set as a default: it would persist between calls"
                )
            if (
                isinstance(value, type)
                and not issubclass(value, Enum)
                and value.__module__ == vars(scope).get("__name__", getattr(scope, "__module__", ""))
            ):
                self._guard(f"{where} {name}", value)

    def changed(self, parameters: Any) -> str:
        """Return the first name whose value or content changed since loading, or ""."""
        for now, values in self._wholes:
            if len(now) != len(values) or not all(map(is_, now.values(), values)):
                if what := self._rebound():
                    return what
                break
        for name, (container, text) in self._contents.items():
            if _text(container) != text:
                return name
        return "" if repr(vars(parameters)) == self._parameters else "a parameter"

    def _rebound(self) -> str:
        """Return the name that refers to another object now, or ""."""
        for where, (scope, held) in self._scopes.items():
            now = vars(scope)
            for name, value in held.items():
                if now.get(name) is not value:
                    return f"{where} {name}"
            if sum(not name.startswith("__") for name in now) != len(held):
                new = next(name for name in now if not name.startswith("__") and name not in held)
                return f"{where} {new}"
        return ""


_CONTAINERS = (list, dict, set, bytearray, deque)


def _text(value: Any) -> str:
    """Return the content as text. It is compared only with other texts of this process."""
    return repr(vars(value)) if is_dataclass(value) else repr(value)


def _mutable_defaults(function: FunctionType) -> bool:
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return any(isinstance(value, _CONTAINERS) for value in defaults)


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


def siblings(source: str, known: frozenset[str]) -> tuple[str, ...]:
    """Return the modules in the strategy's folder that a source imports: the SESSION needs their text too."""
    names = [name for name, _ in _imports(ast.parse(source))]
    return tuple(sorted({name for name in names if name in known}))


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
            f"{settings.module}.py has no class {settings.cls}; strategies in it: {', '.join(classes) or 'none'}"
        )
    return _declared(settings, cls)


def _imports(tree: ast.AST) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(((node.module or "").split(".")[0], node.lineno))
    return found


def refuse_source(name: str, text: str, own: frozenset[str]) -> None:
    """Refuse source text that uses something that makes a decision unrepeatable.

    Raises:
        StrategyError: The text says which line, and why.
    """
    try:
        tree = ast.parse(text, filename=f"{name}.py")
    except SyntaxError as error:
        raise StrategyError(f"{name}.py line {error.lineno}: {error.msg}") from None
    if name in ALLOWED_MODULES:
        raise StrategyError(f"{name}.py has the name of a module that every strategy may import: rename it")
    for module, line in _imports(tree):
        if module not in ALLOWED_MODULES and module not in own:
            raise StrategyError(
                f"{name}.py line {line}: a strategy may not import {module!r}: a decision must be repeatable from "
                f"records alone"
            )
    _refuse_inner_modules(name, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in REFUSED_NAMES:
            raise StrategyError(f"{name}.py line {node.lineno}: a strategy may not use {node.id!r}")
        if isinstance(node, ast.Attribute) and node.attr.startswith("__") and node.attr not in ("__name__", "__doc__"):
            raise StrategyError(f"{name}.py line {node.lineno}: a strategy may not reach for {node.attr!r}")


def _refuse_inner_modules(name: str, tree: ast.AST) -> None:
    """Refuse modules inside allowed ones: `statistics.random`, `dataclasses.sys`, `from verbatim.runner import`."""
    bound: dict[str, str] = {}  # local name -> module
    reached: list[tuple[str, str, int]] = []  # module, attribute, line
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, inner = alias.name.partition(".")
                bound[alias.asname or top] = top
                if inner:
                    reached.append((top, inner, node.lineno))
        elif isinstance(node, ast.ImportFrom) and node.module:
            top, _, inner = node.module.partition(".")
            reached += [(top, inner or alias.name, node.lineno) for alias in node.names]
    reached += [
        (bound[node.value.id], node.attr, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound
    ]
    for module, attribute, line in reached:
        if (module, attribute) in INNER_ALLOWED or module not in ALLOWED_MODULES:
            continue
        found = import_module(module)
        if module == "verbatim" and attribute not in (*vars(found)["__all__"], *vars(found)["OLD_NAMES"], "*"):
            raise StrategyError(
                f"{name}.py line {line}: a strategy may import from verbatim only {vars(found)['__all__']}"
            )
        if isinstance(getattr(found, attribute, None), ModuleType):
            raise StrategyError(f"{name}.py line {line}: a strategy may not reach for {module}.{attribute}")


def run_module(name: str, settings: StrategySettings | RuleSettings, modules: dict[str, ModuleType]) -> ModuleType:
    """Run the recorded source of a module, and of those that it imports, into `modules`.

    Raises:
        StrategyError: The source does not load.
    """
    if name in modules:
        return modules[name]

    def importer(
        wanted: str, names: Any = None, scope: Any = None, fromlist: tuple[str, ...] = (), level: int = 0
    ) -> ModuleType:
        top = wanted.split(".", maxsplit=1)[0]
        if top in settings.sources:
            return run_module(top, settings, modules)
        return builtins.__import__(wanted, names, scope, fromlist, level)

    module = ModuleType(f"strategy_{settings.name}_{name}")
    modules[name] = module
    sys.modules[module.__name__] = module  # while it loads: where annotations are text, they are looked up there
    allowed = {key: value for key, value in vars(builtins).items() if key not in REFUSED_NAMES}
    vars(module)["__builtins__"] = {**allowed, "__import__": importer}
    try:
        exec(compile(settings.sources[name], f"{name}.py", "exec", dont_inherit=True), vars(module))  # noqa: S102 - the purpose of this file
    except Exception as error:
        raise StrategyError(f"{name}.py does not load: {type(error).__name__}: {error}") from error
    return module


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
            raise StrategyError(f"{where}: unknown parameter {unknown[0]!r}; known: {', '.join(sorted(known))}")
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
    names = {average.name for average in getattr(cls, "averages", ())}
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
                    f"{where}: CrossOver names the average {name!r}; declared under `averages`: {known}"
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
