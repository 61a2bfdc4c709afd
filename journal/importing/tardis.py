"""Tardis.dev's normalised csv files: trades, quotes, incremental_book_L2, book_snapshot_5 and _25, derivative_ticker.

The header identifies the table. `local_timestamp` is the receive time, in us. The rows of one update of a book have one
receive time and become one message; of a book_snapshot the best level counts as a quote, and the line keeps the rest.
Rows of derivative_ticker are kept without a head: mark prices, funding rates and open interest are no prices to trade.
"""

from collections.abc import Iterator
from itertools import chain, groupby
from typing import NamedTuple

from journal.importing.data_kinds import BOOKS, QUOTES, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import DIFF, INVERSE, LINEAR, QUOTE, SNAPSHOT, SPOT, TRADE, row_head
from journal.importing.stamps import from_number
from journal.record import Kind

NAME = "tardis"
ABOUT = "Tardis.dev's csv: trades, quotes, incremental_book_L2, book_snapshot, derivative_ticker"
ALLOWS = (TRADES, QUOTES, BOOKS)
START = b"exchange,symbol,timestamp,local_timestamp,"
EXCHANGE, SYMBOL, RECEIVED = 0, 1, 3  # columns
IS_SNAPSHOT = 4
FUTURES = ("futures", "swap", "perpetual", "derivatives", "delivery", "deribit", "bitmex", "bybit")


class _TardisTable(NamedTuple):
    """A table by its columns behind the receive time."""

    name: str
    kind: str  # of row_head.py; "": kept, and no part of the market
    columns: dict[str, int]
    word: str = ""


_TICKER = b"funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"
_TABLES = {
    b"id,side,price,amount": _TardisTable("trades", TRADE, {"price": 6, "size": 7, "id": 4, "maker": 5}, "sell"),
    b"ask_amount,ask_price,bid_price,bid_amount": _TardisTable(
        "quotes", QUOTE, {"bid": 6, "bid_size": 7, "ask": 5, "ask_size": 4}
    ),
    _TICKER: _TardisTable("derivative_ticker", "", {}),
    b"is_snapshot,side,price,amount": _TardisTable(
        "incremental_book_L2", DIFF, {"ask": 5, "price": 6, "size": 7}, "ask"
    ),
}
_TOP = b"asks[0].price,asks[0].amount,bids[0].price,bids[0].amount"
_SNAPSHOTS = _TardisTable("book_snapshot", QUOTE, {"bid": 6, "bid_size": 7, "ask": 4, "ask_size": 5})


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the first line is the header of a table."""
    return _table_of(head.partition(b"\n")[0].rstrip(b"\r")) is not None


def _table_of(header: bytes) -> _TardisTable | None:
    if not header.startswith(START):
        return None
    columns = header.removeprefix(START)
    return _SNAPSHOTS if columns.startswith(_TOP) else _TABLES.get(columns)


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file of one table and one symbol, or of several symbols."""
    header = next(lines, b"").rstrip(b"\r")
    table = _table_of(header)
    if table is None:
        raise lines.damaged("is not the header of a table of Tardis")
    first = CapturedRow(None, None, Kind.LINK, {"state": "header", "text": header.decode()})
    about = {"unit": "us", "table": table.name, "columns": header.decode().split(","), "time": "local_timestamp"}
    rows = _books(lines, header) if table.kind == DIFF else _rows(lines, header, table)
    return CaptureReader("receive", about, chain((first,), rows))


def _fields(lines: CaptureLines, header: bytes) -> Iterator[tuple[int, list[bytes], bytes]]:
    """Yield the receive time, the fields and the line of each row."""
    count = header.count(b",") + 1
    for line in lines:
        if not line.strip():
            lines.note_dirt("an empty line")
            continue
        if line.rstrip(b"\r") == header:
            lines.note_dirt("the header again")
            continue
        fields = line.rstrip(b"\r").split(b",")
        if len(fields) != count:
            raise lines.damaged(f"does not have the {count} columns of its header")
        try:
            yield from_number(fields[RECEIVED], "us"), fields, line
        except ValueError as error:
            raise lines.damaged(str(error)) from error


def _rows(lines: CaptureLines, header: bytes, table: _TardisTable) -> Iterator[CapturedRow]:
    heads: dict[tuple[bytes, ...], bytes] = {}
    for stamp_ns, fields, line in _fields(lines, header):
        is_numbered = table.kind == TRADE and fields[4].isdigit()
        key = fields[EXCHANGE], fields[SYMBOL], b"id" if is_numbered else b""
        if not table.kind:
            yield CapturedRow(stamp_ns, line)
            continue
        if key not in heads:
            columns = {name: column for name, column in table.columns.items() if name != "id" or is_numbered}
            heads[key] = _head(table.kind, table, key, columns)
        yield CapturedRow(stamp_ns, heads[key] + line)


def _books(lines: CaptureLines, header: bytes) -> Iterator[CapturedRow]:
    table = _TABLES[header.removeprefix(START)]
    rows = _fields(lines, header)
    for (stamp_ns, *key), group in groupby(rows, lambda row: (row[0], row[1][EXCHANGE], row[1][SYMBOL], row[1][4])):
        kind = SNAPSHOT if key[2].lower() == b"true" else DIFF
        yield CapturedRow(
            stamp_ns, _head(kind, table, tuple(key), table.columns) + b"\n".join(line for _, _, line in group)
        )


def _head(kind: str, table: _TardisTable, key: tuple[bytes, ...], columns: dict[str, int]) -> bytes:
    exchange, symbol = key[0].decode(), key[1].decode().replace(" ", "_").upper()
    is_future = any(word in exchange for word in FUTURES)
    market = SPOT if not is_future else INVERSE if symbol.endswith("USD") or "USD_" in symbol else LINEAR
    return row_head(kind, table.name, symbol, columns, word=table.word, market=market)
