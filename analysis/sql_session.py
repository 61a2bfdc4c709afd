"""Sessions as DuckDB views, one for each file of analysis/sql. A view joins sealed files and the open tail.

Reads journals and changes nothing, behind two walls. Only SELECT, and EXPLAIN of a SELECT, runs: DuckDB's own parser
states the kind of each statement. And the connection lives in a thread that the kernel forbids to write anywhere
(analysis/read_only_thread.py), with locked settings, without extensions, spill files and access to files other than the
sealed ones it was opened on. It shows a session as of its opening. DuckDB does not verify checksums; `verbatim verify`
does.
Knows the columns of a journal; each view documents the bodies and payloads that it reads.
"""

import atexit
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.read_only_thread import ReadOnlyThread, read_only
from analysis.segment_choice import SegmentChoice
from analysis.sql_macros import quote, quoted_list
from analysis.sql_views import SqlViews, view_names
from journal.arrow_codec import SCHEMA
from journal.errors import DamagedJournalError
from journal.reader import Journal
from journal.session_names import recorded_session_id

T = TypeVar("T")
Frames = Mapping[str, pa.Table]  # tables of the caller, by the names that a query uses

SETTINGS: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,  # no query reads variables of this process
    "temp_directory": "",  # a query that needs more than memory fails
}
BATCH_ROWS = 65_536  # of a result that is read in pieces
NO_FRAMES: Frames = {}
_SELECT, _EXPLAIN = "SELECT", "EXPLAIN"  # DuckDB counts DESCRIBE, SHOW and SUMMARIZE as SELECT
# EXPLAIN ANALYZE runs the statement that it explains, so that must be a SELECT too
_EXPLAIN_HEAD = re.compile(
    r"\s*EXPLAIN\s+(?:ANALYZE\s+)?(?:\(\s*(?:ANALYZE\s*,\s*)?FORMAT\s+\w+\s*\)\s*)?", re.IGNORECASE
)


class SqlView(msgspec.Struct, frozen=True):
    """One view: its name, its first line of documentation and its columns."""

    name: str
    about: str
    columns: tuple[tuple[str, str], ...]  # name, type


class SqlResult(msgspec.Struct, frozen=True):
    """The rows of a query, with names and types of the columns."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool  # True if `limit` cut off rows


class SqlConnection:
    """A connection with views, whose cursors run queries in one thread."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        views: SqlViews,
        *,
        thread: ReadOnlyThread = read_only,
        tables: Mapping[str, Any] = NO_FRAMES,
        choice: SegmentChoice | None = None,
    ) -> None:
        """Keep a connection.

        Args:
            connection: Made in `thread`.
            views: Those of the connection.
            thread: It runs the queries.
            tables: The tables registered with the connection, by name: DuckDB's own cursors do not see them.
            choice: The sealed files that a query reads. None: all.
        """
        self.views, self.thread, self.choice = views, thread, choice
        self._connection, self._tables = connection, tables

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor that sees the tables and the views made so far."""
        cursor = self._connection.cursor()
        for name, table in self._tables.items():
            cursor.register(name, table)
        return cursor


class QueryError(Exception):
    """DuckDB refused a query. The text is one line."""


def connect(sessions: Path | Sequence[Path | Journal]) -> SqlConnection:
    """Open a connection with views over one session or several.

    The column `session` names the session of a row. Use one cursor for each query.

    Args:
        sessions: Folders, which are read as they are now, or journals, as they were when they were opened.

    Raises:
        DamagedJournalError: A sealed file cannot be read.
    """
    return read_only.run(lambda: _connect([sessions] if isinstance(sessions, Path) else sessions))


def _connect(sessions: Sequence[Path | Journal]) -> SqlConnection:
    connection = duckdb.connect(":memory:", config=SETTINGS)
    connection.execute("SET parquet_metadata_cache = true")  # a look-up in 268 segments takes half the time
    parts, sealed, journals, choice = [], [], {}, SegmentChoice()
    for index, session in enumerate(sessions):
        journal = Journal(session) if isinstance(session, Path) else session
        journal.check_seams()
        name = recorded_session_id(journal)
        journals[name] = journal
        paths = journal.sealed_paths()
        if paths:
            sealed += [str(path.resolve()) for path in paths]
            parts.append(_session_select(name, choice.relation(journal, paths)))
        tail = journal.unsealed_rows().combine_chunks()  # one chunk: many small ones are read 17 times slower
        if tail.num_rows:
            connection.register("arrow_tail", tail)
            # a table, since the cursors of a connection do not see a registered object
            connection.execute(f"CREATE TABLE tail_{index} AS FROM arrow_tail")
            connection.unregister("arrow_tail")
            parts.append(_session_select(name, f"tail_{index}"))
    try:
        views = SqlViews(connection, " UNION ALL ".join(parts), journals)
    except duckdb.IOException as error:
        raise DamagedJournalError(Path(sealed[0]).parent, error_line(error), "check it with verbatim verify") from error
    lock(connection, sealed)
    return SqlConnection(connection, views, choice=choice)


def lock(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """Forbid a connection to change its settings, and to read other files than these."""
    connection.execute(f"SET allowed_paths = {quoted_list(paths)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _session_select(session: str, relation: str) -> str:
    return f"SELECT {quote(session)} AS session, {', '.join(SCHEMA.names)} FROM {relation}"


def list_views(connection: SqlConnection) -> list[SqlView]:
    """Return all views with their columns, by name."""
    connection.thread.run(connection.views.make_all)
    cursor = connection.cursor()
    about = dict(
        cursor.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND view_name <> 'journal'"
        ).fetchall()
    )
    described = []
    for name in sorted(about):
        columns = tuple((row[0], row[1]) for row in connection.cursor().execute(f"DESCRIBE {name}").fetchall())
        described.append(SqlView(name, about[name] or "", columns))
    return described


def _run_query(
    connection: SqlConnection, query: str, values: Sequence[Any], frames: Frames, fetch: Callable[[Any], T]
) -> T:
    """Return what `fetch` makes of the result of one reading statement, run on its own cursor.

    A result that is not read to its end blocks its connection.
    """
    cursor = connection.cursor()

    def run() -> T:
        try:
            _check_reads(cursor, query)
            _register(cursor, frames)
            return fetch(_with_views(connection, cursor, query, values, lambda: cursor.execute(query, list(values))))
        except duckdb.Error as error:
            raise QueryError(error_line(error)) from error
        finally:
            cursor.close()

    return connection.thread.run(run, on_interrupt=cursor.interrupt)


def _with_views(
    connection: SqlConnection,
    cursor: duckdb.DuckDBPyConnection,
    query: str,
    values: Sequence[Any],
    execute: Callable[[], T],
) -> T:
    """Return the result of a query, with the views that it names, or with all if DuckDB does not know one."""
    connection.views.make_for(query)
    if connection.choice is not None:
        connection.choice.narrow(cursor, query, values)
    try:
        return execute()
    except duckdb.CatalogException:
        if not connection.views.make_all():
            raise
        return execute()


def _register(cursor: duckdb.DuckDBPyConnection, frames: Frames) -> None:
    """Make Arrow tables of the caller visible to the queries of one cursor, by their names.

    Raises:
        QueryError: A name is that of a view.
    """
    for name, table in frames.items():
        known = cursor.execute("SELECT 1 FROM duckdb_views() WHERE view_name = ?", [name]).fetchall()
        if known or name in view_names():
            raise QueryError(f"{name!r} is a view of the session. What to do: give the frame another name")
        cursor.register(name, table)


def _check_reads(cursor: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise QueryError unless the query is one SELECT, or an EXPLAIN of one."""
    statements = cursor.extract_statements(query)
    if len(statements) != 1:
        raise QueryError(f"the query has {len(statements)} statements. What to do: give one statement at a time")
    kind = _kind(statements[0])
    if kind == _EXPLAIN:
        head = _EXPLAIN_HEAD.match(query)
        explained = [] if head is None else cursor.extract_statements(query[head.end() :])
        if [_kind(statement) for statement in explained] == [_SELECT]:
            return
        raise QueryError(
            f"{kind} of anything but SELECT is refused, since a journal is read-only. "
            "What to do: begin the query with EXPLAIN SELECT or EXPLAIN ANALYZE SELECT"
        )
    if kind != _SELECT:
        raise QueryError(f"{kind} is refused, since a journal is read-only. What to do: use SELECT, or --csv to export")


def _kind(statement: duckdb.Statement) -> str:
    """Return the name of a statement's kind. DuckDB has kinds without a name, as UPDATE EXTENSIONS."""
    try:
        return str(statement.type.name)
    except ValueError:
        return "this statement"


def query_rows(connection: SqlConnection, query: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Return a query's rows.

    Args:
        connection: A connection from `connect`.
        query: One reading statement.
        values: The values for its question marks.

    Raises:
        QueryError: DuckDB refuses the query.
    """
    return run_query(connection, query, values=values or ()).rows


def run_query(
    connection: SqlConnection,
    query: str,
    limit: int | None = None,
    *,
    values: Sequence[Any] = (),
    frames: Frames = NO_FRAMES,
) -> SqlResult:
    """Return a query's rows, at most `limit`, with their columns and types."""

    def fetch(result: Any) -> SqlResult:
        columns = tuple(column[0] for column in result.description)
        types = tuple(str(column[1]) for column in result.description)
        rows = result.fetchall() if limit is None else result.fetchmany(limit + 1)
        return SqlResult(columns, types, rows[:limit], limit is not None and len(rows) > limit)

    return _run_query(connection, query, values, frames, fetch)


def query_arrow(
    connection: SqlConnection,
    query: str,
    *,
    values: Sequence[Any] = (),
    frames: Frames = NO_FRAMES,
    batch_rows: int = BATCH_ROWS,
) -> pa.RecordBatchReader:
    """Return a query's result as Arrow batches, each computed when it is read. No value becomes a Python object.

    Args:
        connection: A connection from `connect`.
        query: One reading statement.
        values: The values for its question marks.
        frames: Tables that the query may read beside the views.
        batch_rows: Rows of a batch.

    Raises:
        QueryError: DuckDB refuses the query. Reading a batch raises it too.
    """
    cursor = connection.cursor()

    def run() -> pa.RecordBatchReader:
        _check_reads(cursor, query)
        _register(cursor, frames)
        found = _with_views(connection, cursor, query, values, lambda: cursor.sql(query, params=list(values)))
        return found.to_arrow_reader(batch_rows)

    try:
        inner = connection.thread.run(run, on_interrupt=cursor.interrupt)
    except duckdb.Error as error:
        cursor.close()
        raise QueryError(error_line(error)) from error
    except QueryError:
        cursor.close()
        raise
    batches = _batches(inner, cursor, connection.thread)
    _unfinished.add(batches)
    return pa.RecordBatchReader.from_batches(inner.schema, batches)


_unfinished: WeakSet[Generator[pa.RecordBatch]] = WeakSet()  # results that are not read to their end


@atexit.register
def _close_results() -> None:
    """Close the results that are still open at the end of the process, since DuckDB reports them as leaks."""
    for batches in list(_unfinished):
        batches.close()


def _batches(
    reader: pa.RecordBatchReader, cursor: duckdb.DuckDBPyConnection, thread: ReadOnlyThread
) -> Generator[pa.RecordBatch]:
    """Yield the batches of a running query, each computed in the read-only thread."""
    try:
        while (batch := thread.run(lambda: next(reader, None), on_interrupt=cursor.interrupt)) is not None:
            yield batch
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # Arrow wraps DuckDB's errors
        raise QueryError(error_line(error)) from error
    finally:
        cursor.close()  # not in the read-only thread: a garbage collection there may end this generator


def export_parquet(connection: SqlConnection, view: str, path: Path) -> int:
    """Write all rows of a view to a Parquet file and return their number. Money keeps its 18 places."""
    rows = 0
    reader = query_arrow(connection, f"SELECT * FROM {view}")
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def error_line(error: Exception) -> str:
    """Return DuckDB's message in one line, without the excerpt of the query."""
    text = str(error)
    message, _, _ = text.partition("\n\nLINE ")
    hint = (
        ""
        if "Did you mean" not in text or "Did you mean" in message
        else " Did you mean" + text.partition("Did you mean")[2]
    )
    return " ".join((message + hint).split())
