"""Binance's public data archives (data.binance.vision), csv or zip, spot or futures.

The columns identify the table, as documented in binance/binance-public-data; futures files begin with their names.
Times are in ms, and in us in spot files since 2025; the number of digits distinguishes them. They are the venue's
times, because an archive has no receive time. A kline gets its close time, because its values were unknown before.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple

from journal.importing.data_kinds import BARS, QUOTES, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import BAR, INVERSE, LINEAR, MAKER, QUOTE, SPOT, TRADE, row_head
from journal.importing.stamps import UNIT_NS, UNIT_OF_DIGITS
from journal.record import Kind

NAME = "binance-archive"
ABOUT = "Binance's public data: trades, aggTrades, klines, bookTicker, bookDepth, fundingRate, metrics; csv or zip"
ALLOWS = (BARS, TRADES, QUOTES)

_TIME, _BOOL, _NUMBER = rb"(\d{13}|\d{16})", rb"(?:true|false)", rb"-?\d+(?:\.\d*)?(?:e[-+]?\d+)?"
_DATE = rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
DATE = "date"  # the unit of times that are written as a date and a time of day in UTC
_SYMBOL = re.compile(r"([A-Z0-9]{2,30}(?:_[A-Z0-9]+)?)-")  # at the beginning of a file's name


class _Table(NamedTuple):
    """One table of the archives: its columns, the pattern of its lines, and what a message of it holds."""

    name: str
    columns: tuple[str, ...]
    time: int  # index of the column with the row's time
    shape: re.Pattern[bytes]
    kind: str = ""  # of row_head.py; "": it is kept, and no part of the market
    fields: tuple[tuple[str, str], ...] = ()  # field of the message, column
    futures_alone: bool = False


def _shape(column: str, *, is_time: bool, is_market: bool) -> bytes:
    """Return the pattern of a column. The one with the row's time is the one group; a statistic may be missing."""
    if is_time:
        return _DATE if column.endswith("date") else _TIME
    if column == "symbol":
        return rb"[A-Z0-9_]+"
    if column.startswith("is_"):
        return _BOOL
    return _NUMBER if is_market else rb"(?:" + _NUMBER + rb")?"


def _table(name: str, time: str, columns: str, kind: str = "", fields: str = "", *, futures: bool = False) -> _Table:
    """Return a table. `fields` lists field=column of its messages."""
    names = tuple(columns.split())
    shape = b",".join(_shape(column, is_time=column == time, is_market=bool(kind)) for column in names)
    pairs = [pair.partition("=") for pair in fields.split()]
    return _Table(
        name,
        names,
        names.index(time),
        re.compile(shape + rb"\r?", re.IGNORECASE),
        kind,
        tuple((field, column or field) for field, _, column in pairs),
        futures,
    )


_TRADE_FIELDS = "price size=quantity id=ID maker=is_buyer_maker"
TABLES = (
    _table("trades", "time", "trade_id price quantity quote_quantity time is_buyer_maker is_best_match", TRADE,
           _TRADE_FIELDS.replace("ID", "trade_id")),
    _table("trades", "time", "trade_id price quantity quote_quantity time is_buyer_maker", TRADE,
           _TRADE_FIELDS.replace("ID", "trade_id"), futures=True),
    _table("aggTrades", "time",
           "agg_trade_id price quantity first_trade_id last_trade_id time is_buyer_maker is_best_match", TRADE,
           _TRADE_FIELDS.replace("ID", "agg_trade_id")),
    _table("aggTrades", "time", "agg_trade_id price quantity first_trade_id last_trade_id time is_buyer_maker", TRADE,
           _TRADE_FIELDS.replace("ID", "agg_trade_id"), futures=True),
    _table("klines", "close_time",
           "open_time open high low close volume close_time quote_volume trades taker_buy_volume "
           "taker_buy_quote_volume ignore", BAR, "open high low close volume"),
    _table("bookTicker", "event_time",
           "update_id best_bid_price best_bid_qty best_ask_price best_ask_qty transaction_time event_time", QUOTE,
           "id=update_id bid=best_bid_price bid_size=best_bid_qty ask=best_ask_price ask_size=best_ask_qty",
           futures=True),
    _table("bookDepth", "date", "date percentage depth notional", futures=True),
    _table("fundingRate", "calc_time", "calc_time funding_interval_hours last_funding_rate", futures=True),
    _table("metrics", "create_date",
           "create_date symbol sum_open_interest sum_open_interest_value count_toptrader_long_short_ratio "
           "sum_toptrader_long_short_ratio count_long_short_ratio sum_taker_long_short_vol_ratio", futures=True),
)  # fmt: skip
_HEADER = re.compile(rb"[a-z_]+(?:,[a-z_]+){2,11}\r?", re.IGNORECASE)


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
        raise lines.damaged("does not have the columns of a table of Binance's archives")
    match = table.shape.fullmatch(first)
    assert match is not None
    digits = len(match[1])
    unit = UNIT_OF_DIGITS[digits] if match[1].isdigit() else DATE
    about = {"unit": unit, "table": table.name, "columns": list(table.columns), "time": table.columns[table.time]}
    head = _head(table, first, lines, has_header=header is not None)
    if head:
        about["head"] = head.decode().strip()
    form = _Form(table, digits, UNIT_NS.get(unit, 0), head, header)
    rows = _rows(lines, first, form)
    return CaptureReader("venue", about, rows if header is None else chain((_header(header),), rows))


def _head(table: _Table, first: bytes, lines: CaptureLines, *, has_header: bool) -> bytes:
    """Return the head of a table's messages; b"" without market data or symbol."""
    named = _SYMBOL.match(lines.name)
    symbol = lines.symbol or (named[1] if named else "")
    if not table.kind or not symbol:
        return b""
    stream, seconds = table.name, 0
    if table.kind == BAR:
        fields = first.split(b",")
        spent = int(fields[6]) - int(fields[0]) + 1  # in ms or us
        seconds = -(-spent * UNIT_NS[UNIT_OF_DIGITS[len(fields[0])]] // UNIT_NS["s"])
        stream = f"{table.name}.{seconds}"
    is_future = table.futures_alone or has_header
    market = SPOT if not is_future else INVERSE if "USD_" in symbol else LINEAR
    columns = {field: table.columns.index(column) for field, column in table.fields}
    word = "true" if MAKER in columns else ""
    return row_head(table.kind, stream, symbol, columns, word=word, seconds=seconds, market=market)


def _header(line: bytes) -> CapturedRow:
    return CapturedRow(None, None, Kind.LINK, {"state": "header", "text": line.decode()})


class _Form(NamedTuple):
    """The form of all lines of a file."""

    table: _Table
    digits: int  # of its times
    unit_ns: int  # of its times; 0: they are dates
    head: bytes
    header: bytes | None


def _rows(lines: CaptureLines, first: bytes, form: _Form) -> Iterator[CapturedRow]:
    table, digits, unit_ns, head, header = form
    match_row = table.shape.fullmatch
    for line in chain((first,), lines):
        match = match_row(line)
        if match is None:
            if not line.strip():
                lines.note_dirt("an empty line")
                continue
            if header is not None and line.strip() == header.strip():
                lines.note_dirt("the header again")
                continue
            raise lines.damaged(f"does not have the {len(table.columns)} columns of {table.name}")
        time = match[1]
        if len(time) != digits:
            raise lines.damaged(
                f"its {table.columns[table.time]} does not have the {digits} digits of the lines before"
            )
        try:
            time_ns = int(time) * unit_ns if unit_ns else _from_date(time)
        except ValueError as error:
            raise lines.damaged(f"its {table.columns[table.time]} does not exist ({error})") from error
        yield CapturedRow(time_ns, head + line)


def _from_date(text: bytes) -> int:
    """Return the time of a date in UTC."""
    since = datetime.fromisoformat(text.decode()).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * UNIT_NS["s"]
