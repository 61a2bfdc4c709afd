"""The source of a strategy class that was written in a notebook or a console, as a module that loads alone.

A notebook's cell is no file: the class's text comes from Python's line cache, and the names that it uses from the
notebook's variables. Names of allowed modules become imports, functions and classes of the notebook are included with
their own text, and plain values become constants.
"""

import ast
import builtins
import linecache
import symtable
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from importlib import import_module
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

import verbatim
from engine.strategy.source_guard import ALLOWED_MODULES, StrategyError

_OTHER_MODULES = (ALLOWED_MODULES - {"verbatim", "__future__"}) | {"collections.abc"}
_CONTAINERS: dict[type, tuple[str, str]] = {tuple: ("(", ")"), list: ("[", "]"), set: ("{", "}")}


def module_text(cls: type) -> str:
    """Return the text of a module that defines a class of a notebook, with all that the class uses.

    Raises:
        StrategyError: The text of the class is not known, or it uses a value that no text can state.
    """
    module = _ModuleText(cls.__name__)
    module.add(cls.__name__, cls, vars(sys.modules[cls.__module__]))
    head = "\n".join([*sorted(module.imports), "", *module.constants]).strip()
    return "\n\n\n".join(part for part in (head, *module.definitions) if part) + "\n"


class _ModuleText:
    """The imports, constants and definitions of a module, each after those that it uses."""

    def __init__(self, name: str) -> None:
        self._name = name  # of the class, for messages
        self._known: dict[str, Any] = {}
        self.imports: list[str] = []
        self.constants: list[str] = []
        self.definitions: list[str] = []

    def add(self, name: str, value: Any, scope: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Add the definition of a name, which was found among the variables `scope`.

        Raises:
            StrategyError: The name has two values, or one that no text can state.
        """
        if name in self._known:
            if self._known[name] is not value:
                raise StrategyError(f"{self._name} uses two values with the name {name!r}. What to do: rename one.")
            return
        self._known[name] = value
        if line := _import_line(name, value):
            self.imports.append(line)
        elif isinstance(value, type | FunctionType):
            self._define(name, value, scope)
        else:
            self.constants.append(f"{name} = {self._constant(name, value)}")

    def _define(self, name: str, value: type | FunctionType, scope: Mapping[str, Any]) -> None:
        functions = [value] if isinstance(value, FunctionType) else list(_functions(value))
        text = _definition(value.__name__, functions)
        scope = functions[0].__globals__ if functions else scope
        for used in _free_names(text):
            if used in scope and not hasattr(builtins, used):
                self.add(used, scope[used], scope)
        alias = "" if value.__name__ == name else f"\n\n{name} = {value.__name__}"
        self.definitions.append(text + alias)

    def _constant(self, name: str, value: Any) -> str:
        """Return an expression for a plain value."""
        if value is None or type(value) in (bool, int, float, str, bytes):
            return repr(value)
        if type(value) is Decimal:
            self.add("Decimal", Decimal)
            return repr(value)
        if isinstance(value, Enum):
            self.add(type(value).__name__, type(value))
            return f"{type(value).__name__}.{value.name}"
        if type(value) is dict:
            pairs = (f"{self._constant(name, key)}: {self._constant(name, item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
        if type(value) in _CONTAINERS and (value or type(value) is not set):
            begin, end = _CONTAINERS[type(value)]
            return begin + "".join(f"{self._constant(name, item)}, " for item in value).rstrip(" ") + end
        raise StrategyError(
            f"{self._name} uses {name!r}, a {type(value).__name__} that only the notebook has. "
            "What to do: make it a parameter of the strategy, or a plain value."
        )


def _import_line(name: str, value: Any) -> str:
    """Return the line that imports a value under a name, or "" if no allowed module has it."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")
    own = getattr(value, "__name__", name)
    for module in (verbatim, *map(import_module, sorted(_OTHER_MODULES))):
        for known in {name, own} if isinstance(own, str) else {name}:
            if _is_public(module, known) and getattr(module, known) is value:
                return f"from {module.__name__} import {known}" + ("" if known == name else f" as {name}")
    return ""


def _is_public(module: ModuleType, name: str) -> bool:
    return name in verbatim.STRATEGY_NAMES if module is verbatim else name in vars(module)


def _definition(name: str, functions: Sequence[FunctionType]) -> str:
    """Return the text of a class or function with its decorators.

    Args:
        name: Its name.
        functions: The functions whose files may have it, before the other cells.

    Raises:
        StrategyError: The text is not known.
    """
    files = [function.__code__.co_filename for function in functions]
    for file in (*files, *reversed(list(linecache.cache))):
        if (text := _top_level_text("".join(linecache.getlines(file)), name)) is not None:
            return text
    raise StrategyError(
        f"the text of {name} is not known. What to do: define it at the top level of a cell, or save it as a file and "
        "give its path."
    )


def _functions(cls: type) -> Iterator[FunctionType]:
    """Yield the functions that a class defines."""
    for member in vars(cls).values():
        function = getattr(member, "__func__", member)  # of a static or class method
        if isinstance(function, FunctionType) and not function.__code__.co_filename.startswith("<string>"):
            yield function


def _top_level_text(text: str, name: str) -> str | None:
    """Return the last definition of a class or function in a text, with its decorators."""
    try:
        nodes = ast.parse(text).body
    except (SyntaxError, ValueError):
        return None
    for node in reversed(nodes):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            first = min(node.lineno, *(decorator.lineno for decorator in node.decorator_list), node.lineno)
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return None


def _free_names(text: str) -> list[str]:
    """Return the names that a definition takes from its module, in alphabetical order."""
    found: set[str] = set()
    tables = [symtable.symtable(text, "cell", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            is_module = table.get_type() == "module"
            if symbol.is_referenced() and (symbol.is_global() or (is_module and not symbol.is_assigned())):
                found.add(symbol.get_name())
    return sorted(found)
