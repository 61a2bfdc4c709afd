"""A lazy table over a session: a query that runs when its rows are read, as Arrow, pandas, polars or Python values.

Values do not pass through Python objects on their way to Arrow, pandas and polars. pandas and polars are imported when
they are used; they are extras.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from analysis import sql_session
from analysis.choices import whole_number
from analysis.result_text import cell_text
from analysis.sql_session import BATCH_ROWS, NO_FRAMES, Frames, SqlConnection, SqlResult

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

SHOWN_ROWS = 20  # of a table in a notebook or a console
SHOWN_CHARACTERS = 60  # of a cell there


class MissingLibraryError(ImportError):
    """A library that is not one of our dependencies is not installed."""


class Table:
    """The rows of a query over one session or several. Nothing is computed before they are read."""

    def __init__(
        self,
        connect: Callable[[], SqlConnection],
        query: str,
        values: Sequence[Any] = (),
        frames: Frames = NO_FRAMES,
    ) -> None:
        """Keep a query for later.

        Args:
            connect: Returns the connection with the views, when the first row is needed.
            query: One reading statement.
            values: The values for its question marks.
            frames: Arrow tables that the query reads beside the views.
        """
        self._connect = connect
        self.query = query
        self.values = tuple(values)
        self._frames = dict(frames)

    # ---- other tables

    def where(self, condition: str, *values: Any) -> "Table":
        """Return the rows for which a SQL condition holds; `values` are those of its question marks."""
        return self._derived(f"SELECT * FROM {self._inner} WHERE {condition}", values)

    def order_by(self, *columns: str) -> "Table":
        """Return the rows in an order, as `order_by("side", "seq DESC")`."""
        return self._derived(f"SELECT * FROM {self._inner} ORDER BY {', '.join(columns)}")

    def head(self, rows: int = 5) -> "Table":
        """Return the first rows.

        Raises:
            ValueError: The number is negative or not whole.
        """
        return self._derived(f"SELECT * FROM {self._inner} LIMIT {whole_number(rows, 0, 'the number of rows')}")

    def select(self, *columns: str) -> "Table":
        """Return some columns: names, or SQL expressions such as `price * quantity AS value`."""
        return self._derived(f"SELECT {', '.join(columns)} FROM {self._inner}")

    def as_floats(self) -> "Table":
        """Return the table with its DECIMAL columns as DOUBLE, for charts and statistics. Money is no longer exact."""
        cast = [
            f"CAST({_quoted(field.name)} AS DOUBLE) AS {_quoted(field.name)}"
            for field in self.schema
            if pa.types.is_decimal(field.type)
        ]
        return self._derived(f"SELECT * REPLACE ({', '.join(cast)}) FROM {self._inner}") if cast else self

    @property
    def _inner(self) -> str:
        query = self.query.strip().rstrip(";")
        return f"({query}\n)"  # the query may end with a comment

    def _derived(self, query: str, values: Sequence[Any] = ()) -> "Table":
        return Table(self._connect, query, (*self.values, *values), self._frames)

    # ---- its rows

    @property
    def schema(self) -> pa.Schema:
        """The names and Arrow types of the columns."""
        return self._derived(f"SELECT * FROM {self._inner} LIMIT 0").reader().schema

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.schema.names)

    def reader(self, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        """Return the rows as Arrow batches, each computed when it is read: memory holds one batch.

        Raises:
            QueryError: DuckDB refuses the query.
        """
        return sql_session.query_arrow(
            self._connect(), self.query, values=self.values, frames=self._frames, batch_rows=batch_rows
        )

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table. Money is decimal128 with 18 places, times are in UTC without a zone."""
        return self.reader().read_all()

    def pandas(self) -> "pd.DataFrame":
        """Return the rows as a pandas DataFrame with Arrow's types, so money stays exact and whole numbers whole.

        Raises:
            MissingLibraryError: pandas is not installed.
        """
        pandas = _library("pandas")
        return self.arrow().to_pandas(types_mapper=pandas.ArrowDtype)

    def polars(self) -> "pl.DataFrame":
        """Return the rows as a polars DataFrame.

        Raises:
            MissingLibraryError: polars is not installed.
        """
        polars = _library("polars")
        frame: pl.DataFrame = polars.from_arrow(self.arrow())
        return frame

    def rows(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the rows as dicts of Python values, at most `limit`."""
        result = self.result(limit)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def result(self, limit: int | None = None) -> SqlResult:
        """Return at most `limit` rows as tuples, with the columns and their SQL types."""
        return sql_session.run_query(self._connect(), self.query, limit, values=self.values, frames=self._frames)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.reader():
            yield from batch.to_pylist()

    def __len__(self) -> int:
        [(count,)] = self._derived(f"SELECT count(*) FROM {self._inner}").result().rows
        return int(count)

    def __bool__(self) -> bool:
        return True  # a table without rows is a table; `len` would run the query

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as an Arrow C stream, which DuckDB, polars, pandas, pyarrow and others read."""
        return self.reader().__arrow_c_stream__(requested_schema)

    # ---- in a notebook

    def __repr__(self) -> str:
        columns, rows, more = self._shown()
        widths = [max(len(line[place]) for line in (columns, *rows)) for place in range(len(columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (columns, *rows)
        ]
        return "\n".join([*(line.rstrip() for line in lines), *(["..."] if more else [])])

    def _repr_html_(self) -> str:
        columns, rows, more = self._shown()
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        note = f"<p>the first {SHOWN_ROWS} rows</p>" if more else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"

    def _shown(self) -> tuple[tuple[str, ...], list[list[str]], bool]:
        result = self.result(SHOWN_ROWS)
        return (
            result.columns,
            [[cell_text(value, SHOWN_CHARACTERS) for value in row] for row in result.rows],
            result.more,
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _library(name: str) -> ModuleType:
    """Import a library that is an extra of ours.

    Raises:
        MissingLibraryError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingLibraryError(
            f"{name} is not installed. What to do: pip install 'verbatim-trading[{name}]', or use .arrow() or .rows()."
        ) from None
