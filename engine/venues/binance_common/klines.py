"""Candles of a Binance market over REST (Binance Spot API, market data endpoints: klines). Values only; no state."""

from collections.abc import Mapping
from typing import Final

import msgspec

from engine.events import Event
from engine.market.history import Candle
from engine.model import Instrument
from engine.requests import HistoryPage, Transport, Unsigned

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
PAGE_MAX: Final = 1_000  # candles in an answer
MINUTES: Final = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "2h": 7_200, "4h": 14_400, "6h": 21_600,
    "8h": 28_800, "12h": 43_200, "1d": 86_400,
}  # fmt: skip
INTERVALS: Final[Mapping[int, str]] = {seconds * SECOND_NS: name for name, seconds in MINUTES.items()}
WITH_SECONDS: Final[Mapping[int, str]] = {SECOND_NS: "1s", **INTERVALS}  # Spot has them


class _Kline(msgspec.Struct, frozen=True, array_like=True):
    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_ms: int
    quote_volume: str
    trades: int


_read = msgspec.json.Decoder(list[_Kline]).decode


class Klines:
    """An engine.venues.venue.HistoryCodec: GET klines below a market's path."""

    page_max = PAGE_MAX

    def __init__(self, prefix: str, *, weight: int, intervals: Mapping[int, str] = INTERVALS) -> None:
        self._path = f"{prefix}/klines"
        self._weight = weight
        self._names = intervals
        self.intervals_ns = tuple(sorted(intervals))

    def request(self, instrument: Instrument, page: HistoryPage) -> Unsigned:
        """Return the request for the candles of a page."""
        params = (
            ("symbol", instrument.symbol),
            ("interval", self._names[page.base_ns]),
            ("startTime", str(page.start_ns // MILLISECOND_NS)),
            ("endTime", str(page.end_ns // MILLISECOND_NS - 1)),
            ("limit", str(PAGE_MAX)),
        )
        return Unsigned(Transport.REST, "GET", self._path, params, signed=False, weight=self._weight)

    def read(self, payload: bytes) -> tuple[Candle, ...]:
        """Return the candles of an answer. Raises ValueError for any other bytes."""
        return tuple(
            Candle(
                start_ns=each.open_ms * MILLISECOND_NS,
                open=each.open,
                high=each.high,
                low=each.low,
                close=each.close,
                volume=each.volume,
                trades=each.trades,
            )
            for each in _read(payload)
        )


def read_klines(payload: bytes, _instrument: str = "") -> tuple[Event, ...]:
    """Verify that a body holds candles: the market's history reads them (engine/apply/history_pages.py)."""
    _read(payload)
    return ()
