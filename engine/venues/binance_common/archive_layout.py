"""Binance's public data archives: which files hold a table of an instrument between two days. Pure; opens nothing.

Layout (binance/binance-public-data): data/<market>/<daily|monthly>/<table>/<symbol>/[<interval>/]<file>.zip, with the
sha256 of each file beside it in <file>.zip.CHECKSUM.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from engine.venues.public_archive import ArchiveFile

KLINES = "klines"
DAILY, MONTHLY = "daily", "monthly"
INTERVALS: tuple[str, ...] = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")


def _days_in(month: str) -> int:
    """Return the number of days of a month such as 2024-02."""
    year, number = int(month[:4]), int(month[5:])
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 28 + is_leap if number == 2 else 30 + (number + number // 8) % 2


class BinanceArchive:
    """An engine.venues.public_archive.PublicArchive of one of Binance's markets."""

    def __init__(self, market: str, tables: dict[str, tuple[str, ...]]) -> None:
        """Describe a market's archives. `tables` has the periods in which each table is published."""
        self.base = "https://data.binance.vision"
        self.checksum_suffix = ".CHECKSUM"
        self.intervals = INTERVALS
        self._market = market
        self._periods = tables
        self.tables = tuple(tables)

    def files(self, symbol: str, table: str, interval: str, days: Sequence[str]) -> Iterator[ArchiveFile]:
        """Yield the files that hold a table of these days: whole months, and days where no month fits."""
        periods = self._periods[table]
        for month, group in groupby(days, lambda day: day[:7]):
            own = list(group)
            if MONTHLY in periods and (len(own) == _days_in(month) or DAILY not in periods):
                yield self._file(symbol, table, interval, MONTHLY, month)
            else:
                for day in own:
                    yield self._file(symbol, table, interval, DAILY, day)

    def _file(self, symbol: str, table: str, interval: str, period: str, when: str) -> ArchiveFile:
        has_interval = table == KLINES
        name = f"{symbol}-{interval if has_interval else table}-{when}.zip"
        folder = f"data/{self._market}/{period}/{table}/{symbol}{f'/{interval}' if has_interval else ''}"
        return ArchiveFile(f"{folder}/{name}", name)


_BOTH = (MONTHLY, DAILY)
_FUTURES = {
    KLINES: _BOTH, "trades": _BOTH, "aggTrades": _BOTH, "bookTicker": _BOTH, "bookDepth": (DAILY,), "metrics": (DAILY,),
    "fundingRate": (MONTHLY,),
}  # fmt: skip
SPOT = BinanceArchive("spot", {KLINES: _BOTH, "trades": _BOTH, "aggTrades": _BOTH})
USDM = BinanceArchive("futures/um", _FUTURES)
COINM = BinanceArchive("futures/cm", _FUTURES)
