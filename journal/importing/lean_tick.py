"""LEAN's equity ticks of the USA: a zip with one csv, whose name states day, symbol and table.

    20131007_ibm_Trade_Tick.csv  ms, price, size, exchange, condition, suspicious
    20131007_ibm_Quote_Tick.csv  ms, bid, bid size, ask, ask size, exchange, condition, suspicious

Prices are in ten-thousandths of a dollar. ms counts from midnight by New York's clock, and is the venue's time.
A line of quotes has 0,0 for the side that it does not change, so a message is the line and four columns more: bid, bid
size, ask and ask size of the quote after it. Lines before both sides are known are kept without a head.
Source: QuantConnect/Lean, Data/equity/readme.md.
"""

import re
from collections.abc import Iterator

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import QUOTES, TRADES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.new_york import ZONE, NewYorkDay
from journal.importing.row_head import QUOTE, TRADE, row_head

NAME = "lean-tick"
ABOUT = "LEAN's US equity ticks: a zip of <day>_<symbol>_Trade_Tick.csv or _Quote_Tick.csv"
ALLOWS = (TRADES, QUOTES)
COLUMNS = {
    "trade": ("ms", "price", "size", "exchange", "condition", "suspicious"),
    "quote": ("ms", "bid", "bid_size", "ask", "ask_size", "exchange", "condition", "suspicious"),
}
_KINDS = {"trade": TRADE, "quote": QUOTE}
_FIELDS = {
    "trade": {"price": 1, "size": 2},
    "quote": {"bid": 8, "bid_size": 9, "ask": 10, "ask_size": 11},  # behind the columns of the file
}
_SIDES = (("bid", "bid_size"), ("ask", "ask_size"))
_FILE = re.compile(r"(\d{8})_(.+)_(trade|quote)_tick\.csv", re.IGNORECASE)
_MS = re.compile(rb"(\d{1,8})(?:\.(\d{1,6}))?")
_DAY_MS = 86_400_000
_SUSPICIOUS = (b"0", b"1")
_Row = tuple[int, list[bytes], bytes]  # time, fields and text of a line


def is_format(_head: bytes, name: str) -> bool:
    """Return True if the csv's name is one that LEAN gives."""
    return _FILE.fullmatch(name) is not None


def read(lines: CaptureLines) -> CaptureReader:
    """Read a day of trades or quotes.

    Raises:
        CaptureRefusedError: The csv's name is not LEAN's, or the system has no time zone data.
    """
    match = _FILE.fullmatch(lines.name)
    if match is None:
        raise CaptureRefusedError(
            f"{lines.path}: the csv is named {lines.name!r}, which does not state its day. "
            f"What to do: rename it as LEAN "
            "does, <yyyymmdd>_<symbol>_Trade_Tick.csv or _Quote_Tick.csv."
        )
    day, symbol, table = match[1], match[2], match[3].lower()
    clock = NewYorkDay(day, f"{lines.path}: {lines.name!r}")
    columns = COLUMNS[table]
    about = {"unit": "ms", "zone": ZONE, "day": day, "symbol": symbol, "table": table, "columns": list(columns)}
    about["price_unit"] = "0.0001"
    head = row_head(_KINDS[table], "ticks", symbol.upper(), _FIELDS[table], exponent=-4, quote="USD")
    about["head"] = head.decode().strip()
    rows = _rows(lines, columns, clock)
    return CaptureReader("venue", about, _trades(rows, head) if table == "trade" else _quotes(rows, head))


def _trades(rows: Iterator[_Row], head: bytes) -> Iterator[CapturedRow]:
    for time_ns, _, line in rows:
        yield CapturedRow(time_ns, head + line)


def _quotes(rows: Iterator[_Row], head: bytes) -> Iterator[CapturedRow]:
    """Yield each line with the quote after it."""
    columns = [[COLUMNS["quote"].index(name) for name in side] for side in _SIDES]
    standing: list[bytes] = [b"", b""]
    for time_ns, fields, line in rows:
        for side, (price, size) in enumerate(columns):
            if fields[price] != b"0":
                standing[side] = fields[price] + b"," + fields[size]
        yield CapturedRow(time_ns, head + line.rstrip(b"\r") + b"," + b",".join(standing) if all(standing) else line)


def _rows(lines: CaptureLines, columns: tuple[str, ...], clock: NewYorkDay) -> Iterator[_Row]:
    """Yield time, fields and text of each line."""
    for line in lines:
        fields = line.rstrip(b"\r").split(b",")
        match = _MS.fullmatch(fields[0])
        if len(fields) != len(columns) or fields[-1] not in _SUSPICIOUS:
            raise lines.damaged(f"does not have the {len(columns)} columns {', '.join(columns)}")
        if match is None or int(match[1]) >= _DAY_MS:
            raise lines.damaged("does not begin with milliseconds since midnight")
        below_ns = int(match[2].ljust(6, b"0")) if match[2] else 0
        yield clock.utc_ns(int(match[1]) * 1_000_000 + below_ns), fields, line
