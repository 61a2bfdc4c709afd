"""`verbatim sql`: one query over a session's views, as a table, JSON or CSV. The views are analysis/sql."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from journal.printable import printable
from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.fleet_options import CHOICES, names_fleet, selection_options
from verbatim.options import session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, make_console, secho

if TYPE_CHECKING:
    from analysis.fleet_selection import Selection
    from analysis.sql_session import SqlResult, SqlView

LIMIT_OF_TABLE = 100  # rows
CELL_MAX = 120  # characters of a cell in a table
EXAMPLES = (
    "SELECT status, count(*) AS orders, sum(filled_quantity) AS filled FROM orders GROUP BY status",
    (
        "SELECT f.time, f.side, f.price, bid, ask FROM fills f "
        "ASOF JOIN quotes q ON f.instrument = q.instrument AND f.seq > q.seq"
    ),
)


@click.command("sql")
@session_argument()
@click.argument("query", required=False)
@click.option(
    "--journals",
    type=click.Path(path_type=Path),
    default=Path("journals"),
    show_default=True,
    help="Where sessions lie.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Rows as a JSON array; money as strings, so that nothing is rounded."
)
@click.option("--csv", "as_csv", is_flag=True, help="Rows as CSV with a header.")
@selection_options
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"Rows at most. Default: {LIMIT_OF_TABLE} in a table, else all."
)
def command(
    *,
    session: str,
    query: str | None,
    journals: Path,
    as_json: bool,
    as_csv: bool,
    selection: "Selection",
    limit: int | None,
) -> None:
    """Query SESSION with DuckDB SQL, sealed or still running.

    SESSION is a path or an id; several, parted by commas, are one table each with a column `session`. An address or a
    pattern, as s3://bucket/2026-*/, is read where it is, planned with its catalogue. Without QUERY, lists the views and
    their columns. Ends with 1 if a session was left out.
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    from analysis.result_text import csv_text, json_rows
    from analysis.sql_session import QueryError
    from journal.errors import ArchiveFailedError, DamagedCatalogueError, DamagedJournalError, JournalError

    if selection.text and not names_fleet(session):
        raise click.UsageError(CHOICES)
    opened: _Subject
    try:
        opened = _Fleet(session, selection) if names_fleet(session) else _Named(session, journals)
        views = opened.views if query is None else []
    except (DamagedJournalError, DamagedCatalogueError) as error:
        stop(str(error), DIFFERS)
    except ArchiveFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    if query is None:
        _list_views(views, session, as_json=as_json)
        return
    at_most = limit if limit is not None or as_json or as_csv else LIMIT_OF_TABLE
    try:
        with progress("querying"):
            result = opened.result(query, at_most)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except QueryError as error:
        stop(f"SQL: {error}")
    if as_json:
        echo(json.dumps(json_rows(result), ensure_ascii=False))
    elif as_csv:
        echo(csv_text(result), nl=False)
    else:
        _table(result)
    if result.more:
        echo(f"the first {at_most} rows; --limit N for more", err=True)
    if opened.name_left_out():
        raise SystemExit(DIFFERS)


class _Subject(Protocol):
    """Sessions that a query is about."""

    @property
    def views(self) -> "list[SqlView]":
        """All views."""

    def result(self, query: str, limit: int | None) -> "SqlResult":
        """Return a query's rows."""

    def name_left_out(self) -> bool:
        """Name the sessions that were left out, and return True if that counts as a finding."""


class _Named:
    """Sessions of this machine."""

    def __init__(self, session: str, journals: Path) -> None:
        self._opened = open_to_read(journals, *session.split(","))

    @property
    def views(self) -> "list[SqlView]":
        return self._opened.views

    def result(self, query: str, limit: int | None) -> "SqlResult":
        return self._opened.sql(query).result(limit)

    def name_left_out(self) -> bool:
        return False  # `open_to_read` has named them


class _Fleet:
    """Sessions of an address or a pattern."""

    def __init__(self, text: str, selection: "Selection") -> None:
        from analysis.fleet import Fleet
        from analysis.fleet_plan import plan_fleet

        with progress("planning"):
            self._fleet = Fleet(plan_fleet(text, selection), selection)

    @property
    def views(self) -> "list[SqlView]":
        return self._fleet.views

    def result(self, query: str, limit: int | None) -> "SqlResult":
        return self._fleet.result(query, limit)

    def name_left_out(self) -> bool:
        for left_out in self._fleet.left_out:
            echo(f"verbatim: {left_out}", err=True)
        return bool(self._fleet.left_out)


def _list_views(views: "list[SqlView]", session: str, *, as_json: bool) -> None:
    if as_json:
        listed = [{"view": view.name, "about": view.about, "columns": dict(view.columns)} for view in views]
        echo(json.dumps(listed))
        return
    for view in views:
        secho(view.name, bold=True, nl=False)
        echo(f"  {view.about}")
        for line in _wrapped([f"{name} {kind}" for name, kind in view.columns]):
            echo(f"    {line}")
    echo("\nFor example:")
    for example in EXAMPLES:
        echo(f'  verbatim sql {session} "{example}"')


def _wrapped(words: list[str], width: int = 110) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f", {word}" if lines[-1] else word
    return lines


def _table(result: "SqlResult") -> None:
    """Print a table if it fits the screen, else one line a value."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from analysis.result_text import cell_text

    console = make_console()
    if not console.is_terminal:
        console = make_console(width=10_000)  # a pipe has no edge
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, kind in zip(result.columns, result.types, strict=True):
        numeric = kind.startswith(("DECIMAL", "BIGINT", "INTEGER", "HUGEINT", "DOUBLE", "UBIGINT"))
        table.add_column(Text(printable(name)), justify="right" if numeric else "left", no_wrap=True)
    cells = [[cell_text(value, CELL_MAX) for value in row] for row in result.rows]
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    if console.measure(table, options=console.options.update(max_width=10**6)).maximum <= console.width:
        console.print(table)
        console.print(f"{len(cells)} row{'' if len(cells) == 1 else 's'}", highlight=False)
        return
    width = max(len(name) for name in result.columns)
    for number, row in enumerate(cells, 1):
        secho(f"row {number}", bold=True)
        for name, cell in zip(result.columns, row, strict=True):
            echo(f"  {name:<{width}}  {cell}")
