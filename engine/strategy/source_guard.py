"""Guards around users' source text: refused code, a restricted run, and a check that modules stay unchanged.

For strategies and for risk rules. This is a guard against accidents, not a sandbox: the code of strangers runs only
with `--trust-code`.
"""

import ast
import builtins
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from importlib import import_module
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

from engine.session_record import RuleSettings, StrategySettings
from engine.strategy.code_reach import CodeReach

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


ANY_REACH = CodeReach()


class StrategyError(Exception):
    """The strategy cannot be used; the text says where and why."""


class ModuleGuard:
    """The contents of a strategy's modules and classes at loading. They must not change: a replay loads them again.

    Names are compared by identity, containers by content. A guard against accidents: closures are not checked. Names
    that the code cannot set (code_reach.py) are left out.
    """

    def __init__(self, modules: Mapping[str, ModuleType], parameters: Any, reach: CodeReach = ANY_REACH) -> None:
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
        # values in which nothing can change: if they are the same, their texts need not be compared
        held = vars(parameters)
        self._plain = tuple(held.values()) if UNCHANGING.issuperset(map(type, held.values())) else ()
        self._names = tuple(held)
        self._is_partial = not reach.is_dynamic and bool(self._plain or not held)
        scopes = [vars(scope) for scope, _ in self._scopes.values()]
        self._settable = [(each, name, each.get(name, _ABSENT)) for each in (*scopes, held) for name in reach.stored]
        self.can_change = not self._is_partial or bool(self._settable or self._contents)

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
        if not self._is_partial:
            return self._changed(parameters)
        for scope, name, value in self._settable:
            if scope.get(name, _ABSENT) is not value:
                return self._changed(parameters)
        for container, text in self._contents.values():
            if _text(container) != text:
                return self._changed(parameters)
        return ""

    def _changed(self, parameters: Any) -> str:
        for now, values in self._wholes:
            if len(now) != len(values) or not all(map(is_, now.values(), values)):
                if what := self._rebound():
                    return what
                break
        for name, (container, text) in self._contents.items():
            if _text(container) != text:
                return name
        now = vars(parameters)
        if self._plain and tuple(now) == self._names and all(map(is_, now.values(), self._plain)):
            return ""
        return "" if repr(now) == self._parameters else "a parameter"

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


_ABSENT = object()
_CONTAINERS = (list, dict, set, bytearray, deque)
UNCHANGING = frozenset({str, int, bool, float, Decimal, type(None)})


def _text(value: Any) -> str:
    """Return the content as text. It is compared only with other texts of this process."""
    return repr(vars(value)) if is_dataclass(value) else repr(value)


def _mutable_defaults(function: FunctionType) -> bool:
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return any(isinstance(value, _CONTAINERS) for value in defaults)


def siblings(source: str, known: frozenset[str]) -> tuple[str, ...]:
    """Return the modules in the strategy's folder that a source imports: the SESSION needs their text too."""
    names = [name for name, _ in _imports(ast.parse(source))]
    return tuple(sorted({name for name in names if name in known}))


def _imports(tree: ast.AST) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(((node.module or "").split(".")[0], node.lineno))
    return found


@lru_cache(maxsize=64)
def refuse_source(name: str, text: str, own: frozenset[str]) -> None:
    """Refuse source text that uses something that makes a decision unrepeatable.

    A text that passed is not read again: nothing but the arguments decides.

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
        if module == "verbatim" and attribute not in (*vars(found)["STRATEGY_NAMES"], *vars(found)["OLD_NAMES"], "*"):
            raise StrategyError(
                f"{name}.py line {line}: a strategy may import from verbatim only {vars(found)['STRATEGY_NAMES']}"
            )
        if isinstance(getattr(found, attribute, None), ModuleType):
            raise StrategyError(f"{name}.py line {line}: a strategy may not reach for {module}.{attribute}")


@cache
def _names_of_strategies() -> ModuleType:
    """Return the module that a strategy gets as `verbatim`, also by `import *`: it cannot open sessions."""
    whole = import_module("verbatim")
    names = vars(whole)["STRATEGY_NAMES"]
    module = ModuleType("verbatim")

    def read(name: str) -> Any:
        if name in names or name in vars(whole)["OLD_NAMES"]:
            return getattr(whole, name)
        raise AttributeError(f"a strategy may import from verbatim only {names}")

    vars(module).update(__all__=names, __getattr__=read)
    return module


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
        if top == "verbatim":
            return _names_of_strategies()
        return builtins.__import__(wanted, names, scope, fromlist, level)

    module = ModuleType(f"strategy_{settings.name}_{name}")
    modules[name] = module
    sys.modules[module.__name__] = module  # while it loads: Python resolves annotations that are text there
    allowed = {key: value for key, value in vars(builtins).items() if key not in REFUSED_NAMES}
    vars(module)["__builtins__"] = {**allowed, "__import__": importer}
    try:
        exec(compile(settings.sources[name], f"{name}.py", "exec", dont_inherit=True), vars(module))  # noqa: S102 - the purpose of this file
    except Exception as error:
        raise StrategyError(f"{name}.py does not load: {type(error).__name__}: {error}") from error
    return module
