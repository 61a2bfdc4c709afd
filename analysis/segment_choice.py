"""The sealed files that a query needs, in a session of many.

DuckDB opens every file of a view before it compares a condition with the file's rows, 0.3 ms each. Its plan states the
conditions that it checks at each row, so a query leaves out the files without a matching row.
"""

import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from analysis.sql_macros import quote, quoted_list
from journal.reader import Journal
from journal.segments import first_seqs

FILES_MIN = 16  # with fewer, a plan costs as much as it saves
_TERM = re.compile(r"\((seq|time_ns) (=|>|>=|<|<=) (-?\d+)\)")
_ONLY_TERMS = re.compile(rf"(?:[()]|{_TERM.pattern}| AND )+")


class _LongSession(NamedTuple):
    """A session with many sealed files."""

    variable: str  # of a cursor: the files that its query reads
    journal: Journal
    paths: list[str]
    first_seqs: list[int]


class SegmentChoice:
    """The files of the sessions of one connection."""

    def __init__(self) -> None:
        self._sessions: list[_LongSession] = []

    def relation(self, journal: Journal, paths: Sequence[Path]) -> str:
        """Return the SQL of a session's sealed records: all, until a query has narrowed them."""
        names = [str(path.resolve()) for path in paths]
        if len(names) < FILES_MIN:
            return f"read_parquet({quoted_list(names)})"
        variable = f"segments_{len(self._sessions)}"
        self._sessions.append(
            _LongSession(variable, journal, names, first_seqs([path.name for path in paths], "parquet"))
        )
        return f"read_parquet(coalesce(getvariable({quote(variable)}), {quoted_list(names)}))"

    def narrow(self, cursor: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any]) -> None:
        """Leave out the files that hold no row of a query, until the cursor is closed."""
        if not self._sessions:
            return
        try:
            [(_, plan)] = cursor.execute(f"EXPLAIN (FORMAT JSON) {query}", list(values)).fetchall()
        except (duckdb.Error, ValueError):
            return  # the query itself reports what is wrong with it, or it is an EXPLAIN
        terms = [_terms(scan) for scan in _scans(msgspec.json.decode(plan))]
        for variable, journal, paths, begins in self._sessions if terms and all(terms) else ():
            bounds = [_bounds(journal, each) for each in terms]
            begin = bisect_right(begins, min(low for low, _ in bounds)) - 1
            end = bisect_right(begins, max(high for _, high in bounds))
            chosen = paths[max(begin, 0) : end] or paths[:1]  # a view of no file has no columns
            cursor.execute(f"SET VARIABLE {variable} = {quoted_list(chosen)}")


def _scans(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the scans of sealed files in a plan."""
    for node in nodes:
        if "PARQUET" in node["name"]:
            yield node["extra_info"]
        yield from _scans(node["children"])


def _terms(scan: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return the comparisons of seq and time_ns with numbers that each row of a scan fulfils."""
    filters = scan.get("Filters", [])
    texts = [filters] if isinstance(filters, str) else filters
    found = [_TERM.findall(text) for text in texts if _ONLY_TERMS.fullmatch(text)]
    return [(column, sign, int(number)) for terms in found for column, sign, number in terms]


_LAST_BELOW: Mapping[str, Callable[[int], int]] = {"<": lambda n: n - 1, "<=": operator.pos, "=": operator.pos}
_LAST_BEFORE: Mapping[str, Callable[[int], int]] = {">": operator.pos, ">=": lambda n: n - 1, "=": lambda n: n - 1}


def _bounds(journal: Journal, terms: Sequence[tuple[str, str, int]]) -> tuple[int, int]:
    """Return the first and the last record that can fulfil all these comparisons."""
    low, high = journal.first_seq, journal.last_seq
    for column, sign, number in terms:
        seq_of = journal.seq_at if column == "time_ns" else int  # of the last record up to there
        if sign in _LAST_BELOW:
            high = min(high, seq_of(_LAST_BELOW[sign](number)))
        if sign in _LAST_BEFORE:
            low = max(low, seq_of(_LAST_BEFORE[sign](number)) + 1)
    return low, high
