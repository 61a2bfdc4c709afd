"""Sessions as DuckDB views, one for each file of analysis/sql: sealed files and the open tail as one, also while they grow.

Reads journals and changes nothing: the connection is in memory, reaches no file but the sealed ones it was opened on, and
loads no extension. It shows a session as it was when opened. DuckDB does not check checksums; `verbatim verify` does.
Knows the columns of a journal; what bodies and payloads mean is said in the views, file by file.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq

from engine.order_terms import TERMS
from journal.arrow_codec import SCHEMA
from journal.errors import DamagedJournalError
from journal.reader import Journal

SETTINGS: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
_BATCH_ROWS = 65_536  # of what is exported
_READS = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")
_READING = ("SELECT", "EXPLAIN")  # DuckDB counts DESCRIBE, SHOW and SUMMARIZE as SELECT

# Words that the views share, and that a query may use. In DuckDB a quotient of two DECIMALs is a DOUBLE, and a product of two
# with 18 places overflows from 100 on. Here factors keep 12 places, a quotient has 12, and what does not fit is NULL.
MACROS = (
    "money(text) AS TRY_CAST(text AS DECIMAL(38, 18))",
    "instant(ns) AS make_timestamp(ns // 1000)",
    "wire(payload) AS TRY(decode(payload))",  # ->> on bytes would be NULL without an error
    "as_json(text) AS TRY_CAST(text AS JSON)",
    "product(a, b) AS TRY(CAST(CAST(a AS DECIMAL(38, 12)) * CAST(b AS DECIMAL(38, 12)) AS DECIMAL(38, 18)))",
    "_units(a) AS CAST(CAST(a AS DECIMAL(38, 12)) * 1000000000000 AS HUGEINT)",
    "_rest(n, d) AS CAST((n % d) * 1000000000000 // d AS DECIMAL(18, 0)) * CAST('0.000000000001' AS DECIMAL(12, 12))",
    "_ratio(n, d) AS CAST(n // d AS DECIMAL(38, 18)) + _rest(n, d)",
    "ratio(a, b) AS TRY(CAST(_ratio(_units(a), _units(b)) AS DECIMAL(38, 18)))",
)


def _order_macros() -> tuple[str, ...]:
    """Return the macros that read a recorded order as its terms do (engine/order_terms.py)."""
    without_price = _texts([kind.type for kind in TERMS.values() if "price" not in kind.__struct_fields__])
    perhaps_without = _texts([kind.type for kind in TERMS.values() if not kind.is_placeable])
    is_none = f"list_contains({without_price}, type) OR (list_contains({perhaps_without}, type) AND price = 0)"
    return (
        f"_price_or_null(type, price) AS CASE WHEN {is_none} THEN NULL ELSE price END",
        "limit_price(o) AS _price_or_null(o->>'$.type', money(o->>'$.price'))",
    )


class SqlView(msgspec.Struct, frozen=True):
    name: str
    about: str
    columns: tuple[tuple[str, str], ...]  # name, type


class SqlResult(msgspec.Struct, frozen=True):
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool  # rows were left off


class QueryError(Exception):
    """DuckDB refused a query. The text is one line."""


def connect(folders: Path | Sequence[Path]) -> duckdb.DuckDBPyConnection:
    """Views over one session or several (told apart by their column `session`). Use one cursor for each query."""
    connection = duckdb.connect(":memory:", config=SETTINGS)
    connection.execute("SET parquet_metadata_cache = true")  # a look-up in 268 segments takes half the time
    parts, sealed = [], []
    for index, folder in enumerate([folders] if isinstance(folders, Path) else folders):
        journal = Journal(folder)
        journal.check_seams()
        name = _session_id(journal)
        paths = [str(path.resolve()) for path in journal.sealed_paths()]
        if paths:
            sealed += paths
            parts.append(_part(name, f"read_parquet({_texts(paths)})"))
        tail = journal.unsealed_rows().combine_chunks()  # one chunk: a tail of many small ones is read 17 times slower
        if tail.num_rows:
            connection.register("arrow_tail", tail)
            # a table, since what is registered is seen by this connection alone and by none of its cursors
            connection.execute(f"CREATE TABLE tail_{index} AS FROM arrow_tail")
            connection.unregister("arrow_tail")
            parts.append(_part(name, f"tail_{index}"))
    for macro in (*MACROS, *_order_macros()):
        connection.execute(f"CREATE MACRO {macro}")
    try:
        connection.execute(f"CREATE VIEW journal AS {' UNION ALL '.join(parts)}")
        for name, text in _views():
            connection.execute(f"CREATE VIEW {name} AS {text}")
            connection.execute(f"COMMENT ON VIEW {name} IS {_quoted(_about(text))}")
    except duckdb.IOException as error:
        raise DamagedJournalError(Path(sealed[0]).parent, one_line(error), "look with verbatim verify") from error
    connection.execute(f"SET allowed_paths = {_texts(sealed)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _session_id(journal: Journal) -> str:
    body = msgspec.json.decode(journal.session_record().body or "{}")
    return str(body.get("session") or journal.folder.name)


def _part(session: str, relation: str) -> str:
    return f"SELECT {_quoted(session)} AS session, {', '.join(SCHEMA.names)} FROM {relation}"  # noqa: S608 - ours, quoted


def _texts(values: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(value) for value in values) + "]"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _views() -> list[tuple[str, str]]:
    """Name and text of every view, each after those it reads."""
    texts = {
        found.name.removesuffix(".sql"): found.read_text(encoding="utf-8")
        for found in sorted(files("analysis").joinpath("sql").iterdir(), key=lambda found: found.name)
        if found.name.endswith(".sql")
    }
    reads = {name: [other for other in _READS.findall(text) if other in texts] for name, text in texts.items()}
    return [(name, texts[name]) for name in TopologicalSorter(reads).static_order()]


def _about(text: str) -> str:
    """A view's first line says what it shows."""
    return text.partition("\n")[0].removeprefix("--").strip()


def views(connection: duckdb.DuckDBPyConnection) -> list[SqlView]:
    """All views with their columns, by name."""
    cursor = connection.cursor()
    about = dict(
        cursor.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND view_name <> 'journal'"
        ).fetchall()
    )
    found = []
    for name in sorted(about):
        columns = tuple((row[0], row[1]) for row in connection.cursor().execute(f"DESCRIBE {name}").fetchall())
        found.append(SqlView(name, about[name] or "", columns))
    return found


@contextmanager
def _run(connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
    """One reading statement on a cursor of its own: a result that is not drained owns its connection."""
    cursor = connection.cursor()
    try:
        statements = cursor.extract_statements(query)
        if len(statements) != 1:
            raise QueryError(f"one statement at a time, not {len(statements)}")
        kind = statements[0].type.name
        if kind not in _READING:
            raise QueryError(f"{kind} is refused: a journal is only read. What to do: SELECT, or use --csv to export")
        yield cursor.execute(query, list(values))
    except duckdb.Error as error:
        raise QueryError(one_line(error)) from error
    finally:
        cursor.close()


def rows(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] | None = None
) -> list[tuple[Any, ...]]:
    """One query's rows, with `values` for its question marks. QueryError where DuckDB refuses it."""
    return run(connection, query, values=values or ()).rows


def run(
    connection: duckdb.DuckDBPyConnection, query: str, limit: int | None = None, *, values: Sequence[Any] = ()
) -> SqlResult:
    """One query's rows, at most `limit`, with their columns and types."""
    with _run(connection, query, values) as result:
        columns = tuple(column[0] for column in result.description)
        types = tuple(str(column[1]) for column in result.description)
        rows = result.fetchall() if limit is None else result.fetchmany(limit + 1)
    more = limit is not None and len(rows) > limit
    return SqlResult(columns, types, rows[:limit], more)


def to_parquet(connection: duckdb.DuckDBPyConnection, view: str, path: Path) -> int:
    """All of one view as a Parquet file; how many rows it has. Money keeps its 18 places."""
    cursor, rows = connection.cursor(), 0
    try:
        reader = cursor.sql(f"SELECT * FROM {view}").to_arrow_reader(_BATCH_ROWS)  # noqa: S608 - one of our views
        with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    except duckdb.Error as error:
        raise QueryError(one_line(error)) from error
    finally:
        cursor.close()
    return rows


def one_line(error: Exception) -> str:
    """What DuckDB says, without the drawing of the place."""
    text = str(error)
    said, _, _ = text.partition("\n\nLINE ")
    hint = (
        ""
        if "Did you mean" not in text or "Did you mean" in said
        else " Did you mean" + text.partition("Did you mean")[2]
    )
    return " ".join((said + hint).split())
