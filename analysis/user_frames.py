"""Tables of the caller as Arrow: pandas, polars, pyarrow, and any object with the Arrow C stream interface."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa


class UnknownFrameError(Exception):
    """An object is no table. The text is one line."""


def arrow_table(frame: Any, name: str = "frame") -> pa.Table:
    """Return a table of the caller as an Arrow table, without a copy where its library allows that.

    Args:
        frame: A DataFrame of pandas or polars, a polars LazyFrame, a table, batch or reader of pyarrow, an object with
            `__arrow_c_stream__`, a mapping of column names to values, or a sequence of such rows.
        name: Its name for the error.

    Raises:
        UnknownFrameError: It is something else, or its values fit no Arrow type.
    """
    try:
        return _as_table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        what = str(error).partition("\n")[0]
        raise UnknownFrameError(
            f"{name}: {type(frame).__module__}.{type(frame).__qualname__} is no table that Arrow reads ({what}). "
            "What to do: give a DataFrame of pandas or polars, or a pyarrow table."
        ) from error


def _as_table(frame: Any) -> pa.Table:
    library = type(frame).__module__.partition(".")[0]
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if library == "pandas":  # its own stream interface loses the name of an index
        return pa.Table.from_pandas(frame if hasattr(frame, "columns") else frame.to_frame())
    if library == "polars" and hasattr(frame, "collect"):
        return pa.table(frame.collect())
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        return pa.table(frame)
    if isinstance(frame, Mapping):
        return pa.table(dict(frame))
    if isinstance(frame, Sequence) and not isinstance(frame, str | bytes):
        return pa.Table.from_pylist([dict(row) for row in frame])
    raise TypeError("it has no Arrow interface")
