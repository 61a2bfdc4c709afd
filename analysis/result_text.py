"""Rows of a query as text: cells for people, JSON values for scripts, CSV."""

import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from analysis.sql_session import SqlResult
from journal.printable import ELLIPSIS, printable
from journal.record import plain


def cell_text(value: Any, limit: int) -> str:
    """Format a value as a cell of at most `limit` characters, without characters that a terminal obeys."""
    text = printable(value_text(value))
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def value_text(value: Any) -> str:
    """Format a value: decimals without trailing zeros, times in ISO form, NULL as nothing."""
    match value:
        case None:
            return ""
        case Decimal():
            return plain(value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case datetime():
            return value.isoformat(" ", "microseconds")
        case list() | tuple() | dict():
            return json.dumps(_json_value(value), ensure_ascii=False)
        case _:
            return str(value)


def json_rows(result: SqlResult) -> list[dict[str, Any]]:
    """Return the rows as JSON values; decimals are texts, so nothing is rounded."""
    return [
        {
            name: json.loads(value) if kind == "JSON" and value is not None else _json_value(value)
            for name, kind, value in zip(result.columns, result.types, row, strict=True)
        }
        for row in result.rows
    ]


def csv_text(result: SqlResult) -> str:
    """Return the rows as CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([value_text(value) for value in row] for row in result.rows)
    return out.getvalue()


def _json_value(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case datetime():
            return value.isoformat("T", "microseconds") + ("" if value.tzinfo else "Z")
        case list() | tuple():
            return [_json_value(item) for item in value]
        case dict():
            return {str(name): _json_value(item) for name, item in value.items()}
        case _:
            return value_text(value)
