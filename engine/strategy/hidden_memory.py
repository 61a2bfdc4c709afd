"""Memory of a strategy outside its State that no record holds, and that `ModuleGuard` does not compare.

It is found by comparing all that a strategy's modules reach at loading and at the end of a run: cells of closures,
attributes of functions, instances of own classes, arguments of partial functions. An iterator counts as memory in any
case, because its place cannot be read. This changes no decision: the guard's own rules are a part of recorded sessions.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

_PLAIN = (str, bytes, int, float, complex, Decimal, Enum, type(None))
_SEQUENCES = (tuple, list, deque)
_SETS = (set, frozenset)
_OWN = "strategy_"  # begins the names of the modules that a session loads (source_guard.run_module)


class HiddenMemory:
    """The contents that a strategy's modules reach. Only runs that report on them read them: it calls users' code."""

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = modules
        self._before: dict[str, list[Any]] = {}

    def keep(self) -> None:
        """Keep the contents, to compare later ones with."""
        self._before = {where: _contents(_reached(value)) for where, value in self._values()}

    def changed_names(self) -> tuple[str, ...]:
        """Return the names behind which something changed since `keep`, or behind which an iterator is."""
        found = ((where, list(_reached(value))) for where, value in self._values())
        return tuple(
            where
            for where, reached in found
            if _contents(reached) != self._before.get(where) or any(isinstance(value, Iterator) for value in reached)
        )

    def _values(self) -> Iterator[tuple[str, Any]]:
        for module_name, module in self._modules.items():
            for name, value in vars(module).items():
                if not name.startswith("__") and not isinstance(value, ModuleType):
                    yield f"{module_name}.py {name}", value


def _contents(reached: Iterable[Any]) -> list[Any]:
    """Return the plain values among objects, in order, and the types of the others."""
    return [value if isinstance(value, _PLAIN) else type(value) for value in reached]


def _reached(root: Any) -> Iterator[Any]:
    """Yield an object and all that it holds, each once."""
    left: list[Any] = [root]
    seen: set[int] = set()
    while left:
        value = left.pop()
        yield value
        identity = object.__hash__(value)  # its own class may have another hash
        if isinstance(value, _PLAIN) or identity in seen:
            continue
        seen.add(identity)
        with suppress(Exception):  # the user's own classes have the user's code
            left += _parts(value)


def _parts(value: Any) -> list[Any]:
    """Return the objects that an object holds, if it can be the memory of a strategy."""
    if isinstance(value, dict):
        return [*dict.__iter__(value), *dict.values(value)]
    if isinstance(value, _SETS):
        return sorted(value, key=lambda each: repr(each) if isinstance(each, _PLAIN) else "")
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType | BuiltinMethodType):
        holder = value.__self__
        return [] if isinstance(holder, ModuleType) else [holder]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, FunctionType):
        return [*_cells(value), value.__defaults__, value.__kwdefaults__, vars(value)] if _is_own(value) else []
    parts = list(value) if isinstance(value, _SEQUENCES) else []
    if isinstance(value, type) and _is_own(value):
        return [each for name, each in vars(value).items() if not name.startswith("__")]
    if _is_own(type(value)):
        slots = [name for kind in type(value).__mro__ for name in vars(kind).get("__slots__", ())]
        parts += [getattr(value, "__dict__", None), *(getattr(value, name, None) for name in slots)]
    return parts


def _is_own(value: Any) -> bool:
    return str(value.__module__).startswith(_OWN)


def _cells(function: FunctionType) -> Iterator[Any]:
    """Yield the contents of a closure's cells, without those that are empty."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):
            yield cell.cell_contents
