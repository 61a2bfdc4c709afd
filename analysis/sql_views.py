"""The views of analysis/sql on a connection, and the functions that they share. A query's names decide which are made.

Most queries name one or two of them, and to make all takes DuckDB as long as such a query over a small session.
Knows names and texts of views; runs no query.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache, partial
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.resources import files
from typing import NamedTuple

import duckdb

from analysis.read_only_thread import read_only
from analysis.sql_macros import macros, quote
from journal.reader import Journal

_READ_NAMES = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")
_CALLED_NAMES = re.compile(r"\b(\w+)\(")
_WORDS = re.compile(r"\w+")
# what lists the catalogue shows every view
_LISTS_CATALOGUE = re.compile(r"\b(?:show|describe|information_schema|(?:duckdb|pg|pragma|sqlite)_\w+)\b")
PYTHON_FUNCTIONS = ("quote_rows", "trade_rows", "refusal")  # those of analysis/market_functions.py


class _Definition(NamedTuple):
    """The statements that make a view or a function, and the views and functions in its text."""

    statements: tuple[str, ...]
    needs: frozenset[str]


class SqlViews:
    """The views and functions of one connection, over one query that yields all records."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, journal: str, journals: Mapping[str, Journal]) -> None:
        """Make the view `journal`.

        Args:
            connection: Where to make them.
            journal: The query: the columns of a record, and `session`.
            journals: By the name that the column `session` has.
        """
        self._connection = connection
        self._journals = journals
        self._missing = set(_definitions())
        connection.execute(f"CREATE VIEW journal AS {journal}")

    def make_for(self, query: str) -> None:
        """Make what a query may name. Call it in the thread of the connection, as all of this."""
        if not self._missing:
            return
        text = query.lower()
        named = self._missing if _LISTS_CATALOGUE.search(text) else self._missing.intersection(_WORDS.findall(text))
        self._make(named)

    def make_all(self) -> bool:
        """Make what no query has named yet. Return False if there is nothing."""
        return self._make(self._missing)

    def _make(self, names: Iterable[str]) -> bool:
        definitions = _definitions()
        waiting, needed = set(names), set[str]()
        while waiting:
            needed.add(name := waiting.pop())
            waiting |= definitions[name].needs - needed
        needed &= self._missing
        if not needed.isdisjoint(PYTHON_FUNCTIONS):
            # not in the confined thread, where an import cannot write its bytecode
            market_functions = read_only.outside(partial(import_module, "analysis.market_functions"))
            market_functions.register(self._connection, self._journals)
            needed.update(PYTHON_FUNCTIONS)
        for name in [name for name in definitions if name in needed]:
            for statement in definitions[name].statements:
                self._connection.execute(statement)
            self._missing.discard(name)
        return bool(needed)


@cache
def _definitions() -> dict[str, _Definition]:
    """Return all functions and views by name, each after those that it needs."""
    functions = {macro.partition("(")[0]: macro for macro in macros()}
    callable_names = {*functions, *PYTHON_FUNCTIONS}
    found = {name: _Definition((), frozenset()) for name in PYTHON_FUNCTIONS}
    for name, macro in functions.items():
        called = callable_names.intersection(_CALLED_NAMES.findall(macro)) - {name}
        found[name] = _Definition((f"CREATE MACRO {macro}",), frozenset(called))
    views = dict(view_texts())
    for name, text in views.items():
        view = f"CREATE VIEW {name} AS {text}", f"COMMENT ON VIEW {name} IS {quote(view_summary(text))}"
        called = callable_names.intersection(_CALLED_NAMES.findall(text))
        found[name] = _Definition(view, frozenset(called | (views.keys() & _READ_NAMES.findall(text)) - {name}))
    return found


def view_names() -> list[str]:
    """Return the names of all views."""
    return sorted(name for name, _ in view_texts())


@cache
def view_texts() -> list[tuple[str, str]]:
    """Return name and text of every view, each after the views that it reads."""
    texts = {
        file.name.removesuffix(".sql"): file.read_text(encoding="utf-8")
        for file in sorted(files("analysis").joinpath("sql").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    }
    reads = {name: [other for other in _READ_NAMES.findall(text) if other in texts] for name, text in texts.items()}
    return [(name, texts[name]) for name in TopologicalSorter(reads).static_order()]


def view_summary(text: str) -> str:
    """Return a view's first line, which documents it."""
    return text.partition("\n")[0].removeprefix("--").strip()
