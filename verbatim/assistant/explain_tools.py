"""The tools that explain recorded sessions: sessions, state, why, sql, diff, verify. They read and change nothing.

Each takes texts and returns lines of text. A session is named by its folder's name, its id or `last`, never by a path,
and a session with a symbolic link is refused, so no name leads out of the folder. SQL runs as that of `verbatim sql`,
on a locked connection in a confined thread (analysis/sql_session.py).
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from analysis.result_text import csv_text
from analysis.session import Session
from analysis.session_row import session_row
from analysis.session_tables import SessionPlace
from engine.suggestions import suggestion
from journal.errors import UnknownSessionError
from journal.sessions import find_by_name, list_named_journals, list_sessions
from journal.verify import verify
from verbatim.assistant.tool_limits import (
    DECISIONS,
    QUERY_CHARACTERS_MAX,
    ROW_SECONDS_MAX,
    ROWS,
    ROWS_MAX,
    SESSIONS_MAX,
)
from verbatim.options import LAST


class ToolRefusedError(Exception):
    """A tool cannot answer. The text states the reason and the remedy."""


def sessions(root: Path, session: str = "") -> Iterator[str]:
    """Yield a line for each session, the newest first; for one session its summary."""
    if session:
        yield from str(_open(root, session).summary()).splitlines()
        return
    found = [(each.path, each.session_id) for each in reversed(list_sessions(root))]
    found += [(path, path.name) for path in list_named_journals(root)]
    until = time.monotonic() + ROW_SECONDS_MAX
    for path, name in found[:SESSIONS_MAX]:
        if time.monotonic() > until:
            yield f"{name} in {path.name}; not counted, since the list took long: name it to see its summary"
            continue
        try:
            row = session_row(_without_links(path), name)
        except ToolRefusedError as error:
            yield f"{name} in {path.name}; not read: {error}"
            continue
        if row.problem:
            yield f"{name} in {path.name}; cannot be read: {row.problem}"
            continue
        yield (
            f"{name} in {path.name}; start {row.start}, {row.seconds or 0:,.0f} s, {row.records or 0:,} records, "
            f"{row.orders or 0:,} orders, {row.fills or 0:,} fills; {row.ended}; "
            f"strategies {', '.join(row.strategies) or 'none'}"
        )
    if len(found) > SESSIONS_MAX:
        yield f"and {len(found) - SESSIONS_MAX:,} older ones"
    if not found:
        yield "no sessions"


def state(root: Path, session: str, at: str = "") -> Iterator[str]:
    """Yield the state of the engine after a record or at a time."""
    yield from str(_open(root, session).state(at or None)).splitlines()


def why(root: Path, session: str, order: str = "") -> Iterator[str]:
    """Yield the records that led to the state of an order, the latest first."""
    yield from str(_open(root, session).why(order or None)).splitlines()


def sql(root: Path, session: str, query: str = "", limit: int = ROWS) -> Iterator[str]:
    """Yield the rows of one SELECT as CSV with a header; without a query, the views with their columns."""
    opened = _open(root, session)
    if not query.strip():
        for view in opened.views:
            yield f"{view.name}: {view.about}"
            yield "    " + ", ".join(f"{name} {kind}" for name, kind in view.columns)
        return
    if len(query) > QUERY_CHARACTERS_MAX:
        raise ToolRefusedError(f"The query is longer than {QUERY_CHARACTERS_MAX:,} characters. What to do: shorten it.")
    at_most = max(1, min(int(limit), ROWS_MAX))
    result = opened.sql(query).result(at_most)
    yield from csv_text(result).splitlines()
    if result.more:
        yield f"(the first {at_most:,} rows; a larger `limit`, up to {ROWS_MAX:,}, or a narrower query shows others)"


def diff(root: Path, session: str, other: str) -> Iterator[str]:
    """Yield the first differences of two sessions by kind, and decisions that differ."""
    yield from _open(root, session).diff(_open(root, other)).lines(DECISIONS)


def verify_session(root: Path, session: str) -> Iterator[str]:
    """Yield the report on a session's checksums, chain and sequence."""
    yield from verify(find_inside(root, session)).lines()


TOOLS: dict[str, Callable[..., Iterator[str]]] = {
    "sessions": sessions,
    "state": state,
    "why": why,
    "sql": sql,
    "diff": diff,
    "verify": verify_session,
}


def find_inside(root: Path, session: str) -> Path:
    """Return the folder of a session under a root.

    Raises:
        UnknownSessionError: No session has this name.
        AmbiguousSessionError: Several have it.
        ToolRefusedError: A symbolic link leads out of the folder.
    """
    if session == LAST and (listed := list_sessions(root)):
        return _without_links(listed[-1].path)
    try:
        return _without_links(find_by_name(root, session))
    except UnknownSessionError:
        names = [name for each in list_sessions(root) for name in (each.session_id, each.path.name)]
        names += [path.name for path in list_named_journals(root)] + [LAST]
        near = suggestion(session, names)
        raise UnknownSessionError(
            f"no session {session!r} in the folder of this server{near}. "
            "What to do: name an id that the tool `sessions` lists; paths are not accepted."
        ) from None


def _without_links(folder: Path) -> Path:
    if linked := next((path for path in (folder, *folder.rglob("*")) if path.is_symlink()), None):
        raise ToolRefusedError(f"{linked.name} is a symbolic link, which this server does not follow.")
    return folder


def _open(root: Path, session: str) -> Session:
    return Session([SessionPlace(find_inside(root, session))])
