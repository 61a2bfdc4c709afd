"""LEAN's bars: zips whose csv is named after day, symbol, resolution and table, or after the symbol (hour, daily).

    20131007_ibm_minute_trade.csv   ms, open, high, low, close, volume
    20180404_btcusd_minute_quote.csv ms, bid o h l c, bid size, ask o h l c, ask size
    20131007_es_minute_trade_201312.csv of a future: the symbol is ES_201312
    ibm.csv                         yyyymmdd hh:mm, open, high, low, close, volume

A bar is stamped with its start and gets its end. A quote bar gives the quote at its end. Equities have prices in
ten-thousandths of a dollar and New York's clock; crypto and forex have plain prices in UTC. The asset class is the
folder of LEAN's data that the file is in (equity, crypto, cryptofuture, forex, future), or equity without one.
Source: QuantConnect/Lean, Data/*/readme.md.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import BARS, QUOTES
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.row_head import BAR, LINEAR, QUOTE, SPOT, row_head

NAME = "lean-bar"
ABOUT = "LEAN's second, minute, hour and daily bars of equities, crypto, forex and futures"
ALLOWS = (BARS, QUOTES)
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "daily": 86_400}
SCALED, NEW_YORK = -4, "America/New_York"
_FILE = re.compile(r"(\d{8})_(.+?)_(second|minute)_(trade|quote)(?:_(\w+))?\.csv", re.IGNORECASE)
_LONG = re.compile(r"([a-z0-9.]+?)(?:_(trade|quote))?\.csv", re.IGNORECASE)
_COLUMNS = {"trade": (6, {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
            "quote": (11, {"bid": 4, "bid_size": 5, "ask": 9, "ask_size": 10})}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _AssetClass(NamedTuple):
    exponent: int
    zone: str
    quote: str
    market: str = SPOT


_CLASSES = {
    "equity": _AssetClass(SCALED, NEW_YORK, "USD"),
    "crypto": _AssetClass(0, "UTC", ""),
    "cryptofuture": _AssetClass(0, "UTC", "", LINEAR),
    "forex": _AssetClass(0, "UTC", ""),
    "future": _AssetClass(0, NEW_YORK, "USD", LINEAR),
}


def is_format(head: bytes, name: str) -> bool:
    """Return True if the csv's name is that of a day of bars, or of a symbol whose first line begins with a date."""
    if _FILE.fullmatch(name):
        return True
    return _LONG.fullmatch(name) is not None and re.match(rb"\d{8} \d\d:\d\d,", head) is not None


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file of bars.

    Raises:
        CaptureRefusedError: The csv's name is not LEAN's, or the system has no time zone data.
    """
    of_day, of_symbol = _FILE.fullmatch(lines.name), _LONG.fullmatch(lines.name)
    if of_day is None and of_symbol is None:
        raise CaptureRefusedError(
            f"{lines.path}: the csv is named {lines.name!r}, which is no name of LEAN. What to do: rename it as LEAN "
            "does, <yyyymmdd>_<symbol>_minute_trade.csv."
        )
    folders = {part.lower() for part in lines.path.absolute().parts}
    asset = next((found for name, found in _CLASSES.items() if name in folders), _CLASSES["equity"])
    try:
        zone = ZoneInfo(asset.zone)
    except ZoneInfoNotFoundError as error:
        raise CaptureRefusedError("this system has no time zone data. What to do: pip install tzdata.") from error
    if of_day is not None:
        symbol, resolution, table = of_day[2], of_day[3].lower(), of_day[4].lower()
        symbol += (
            f"_{of_day[5]}" if of_day[5] else ""
        )  # a contract of several: its month, and its last day in some files
        first = datetime.strptime(of_day[1], "%Y%m%d").replace(tzinfo=zone)
    else:
        assert of_symbol is not None, "one of both names matched"
        symbol, table, first = of_symbol[1], (of_symbol[2] or "trade").lower(), None
        resolution = "hour" if "hour" in folders else "daily"
    count, columns = _COLUMNS[table]
    seconds = SECONDS[resolution]
    kind = BAR if table == "trade" else QUOTE
    head = row_head(
        kind, f"{table}.{seconds}", lines.symbol or symbol.upper(), columns, seconds=seconds if kind == BAR else 0,
        exponent=asset.exponent, market=asset.market, quote=asset.quote,
    )  # fmt: skip
    about = {"unit": "ms", "zone": asset.zone, "table": table, "resolution": resolution, "head": head.decode().strip()}
    return CaptureReader("venue", about, _rows(lines, count, _Clock(zone, first, seconds), head))


class _Clock(NamedTuple):
    """How the file writes the start of a bar, and how long a bar is."""

    zone: ZoneInfo
    first: datetime | None  # midnight of the file's day; None: each line has its date
    seconds: int

    def end_ns(self, text: str) -> int:
        """Return the end of a bar. Raises ValueError."""
        if self.first is None:
            start = datetime.strptime(text, "%Y%m%d %H:%M").replace(tzinfo=self.zone)
        else:
            wall = self.first.replace(tzinfo=None) + timedelta(milliseconds=float(text))
            start = wall.replace(tzinfo=self.zone)
        since = start - _EPOCH
        return (since.days * 86_400 + since.seconds + self.seconds) * 1_000_000_000


def _rows(lines: CaptureLines, count: int, clock: _Clock, head: bytes) -> Iterator[CapturedRow]:
    for line in lines:
        if not line.strip():
            lines.note_dirt("an empty line")
            continue
        fields = line.rstrip(b"\r").split(b",")
        if len(fields) != count:
            raise lines.damaged(f"does not have {count} columns")
        try:
            yield CapturedRow(clock.end_ns(fields[0].decode()), head + line)
        except (ValueError, OverflowError) as error:
            raise lines.damaged("does not begin with the time of a bar") from error
