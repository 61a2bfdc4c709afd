"""Binance's public data archives (data.binance.vision): trades, aggTrades and klines, csv or zip, spot or futures.

The columns identify the table, as documented in binance/binance-public-data; futures files begin with their names.
Times are in ms, and in us in spot files since 2025; the number of digits distinguishes them. They are the venue's
times, because an archive has no receive time. A kline gets its close time, because its values were unknown before.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.stamps import UNIT_NS, UNIT_OF_DIGITS
from journal.record import Kind

NAME = "binance-archive"
ABOUT = "Binance's public data: trades, aggTrades or klines, csv or zip"


_TIME, _BOOL, _NUMBER = rb"(\d{13}|\d{16})", rb"(?:true|false)", rb"-?\d+(?:\.\d*)?(?:e[-+]?\d+)?"


class _Table(NamedTuple):
    """One table of the archives: its columns and the pattern of its lines."""

    name: str
    columns: tuple[str, ...]
    time: int  # index of the column with the row's time
    shape: re.Pattern[bytes]


def _table(name: str, time: str, columns: str) -> _Table:
    """Return a table.

    Columns named `is_...` contain True or False, all others numbers; the time column is the one group.
    """
    names = tuple(columns.split())
    shape = b",".join(_TIME if column == time else _BOOL if column.startswith("is_") else _NUMBER for column in names)
    return _Table(name, names, names.index(time), re.compile(shape + rb"\r?", re.IGNORECASE))


TABLES = (
    _table("trades", "time", "trade_id price quantity quote_quantity time is_buyer_maker is_best_match"),
    _table("trades", "time", "trade_id price quantity quote_quantity time is_buyer_maker"),
    _table(
        "aggTrades",
        "time",
        "agg_trade_id price quantity first_trade_id last_trade_id time is_buyer_maker is_best_match",
    ),
    _table("aggTrades", "time", "agg_trade_id price quantity first_trade_id last_trade_id time is_buyer_maker"),
    _table(
        "klines",
        "close_time",
        "open_time open high low close volume close_time quote_volume trades taker_buy_volume taker_buy_quote_volume "
        "ignore",
    ),
)
_HEADER = re.compile(rb"[a-z_]+(?:,[a-z_]+){5,11}\r?", re.IGNORECASE)


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the first or second line has the columns of a known table."""
    lines = head.split(b"\n")
    return any(_table_of(line) is not None for line in (lines[1:2] if _HEADER.fullmatch(lines[0]) else lines[:1]))


def _table_of(line: bytes) -> _Table | None:
    return next((table for table in TABLES if table.shape.fullmatch(line)), None)


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file of one table. A line with other columns or another unit of time is damage."""
    header = None
    first = next(lines, None)
    if first is not None and _HEADER.fullmatch(first):
        header, first = first, next(lines, None)
    if first is None:
        raise lines.damaged("the file has no rows", line=lines.number + 1)
    table = _table_of(first)
    if table is None:
        raise lines.damaged("does not have the columns of trades, aggTrades or klines")
    match = table.shape.fullmatch(first)
    assert match is not None
    digits = len(match[1])
    unit = UNIT_OF_DIGITS[digits]
    about = {"unit": unit, "table": table.name, "columns": list(table.columns), "time": table.columns[table.time]}
    rows = _rows(lines, first, table, digits, UNIT_NS[unit])
    return CaptureReader("venue", about, rows if header is None else chain((_header(header),), rows))


def _header(line: bytes) -> CapturedRow:
    return CapturedRow(None, None, Kind.LINK, {"state": "header", "text": line.decode()})


def _rows(lines: CaptureLines, first: bytes, table: _Table, digits: int, unit_ns: int) -> Iterator[CapturedRow]:
    for line in chain((first,), lines):
        match = table.shape.fullmatch(line)
        if match is None:
            raise lines.damaged(f"does not have the {len(table.columns)} columns of {table.name}")
        if len(match[1]) != digits:
            raise lines.damaged(
                f"its {table.columns[table.time]} does not have the {digits} digits of the lines before"
            )
        yield CapturedRow(int(match[1]) * unit_ns, line)
