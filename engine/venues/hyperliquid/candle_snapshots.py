"""Candles from before the session: `candleSnapshot`, the newest 5,000 of a coin (3)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.market.history import Candle
from engine.model import Instrument
from engine.requests import HistoryPage, Transport, Unsigned
from engine.venues.hyperliquid.values import MILLISECOND_NS, Amount, Millis, nanoseconds

SECONDS: Final = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "2h": 7_200, "4h": 14_400, "8h": 28_800,
    "12h": 43_200, "1d": 86_400,
}  # fmt: skip
NAMES: Final[Mapping[int, str]] = {seconds * 1_000_000_000: name for name, seconds in SECONDS.items()}
PAGE_MAX: Final = 1_000
WEIGHT: Final = 20 + PAGE_MAX // 60  # (9)


_NAMES: Final[Any] = {
    "start": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "trades": "n",
}  # fmt: skip


class _Candle(msgspec.Struct, frozen=True, rename=_NAMES):
    start: Millis
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Amount
    trades: int


_read = msgspec.json.Decoder(list[_Candle]).decode


class Candles:
    """An engine.venues.venue.HistoryCodec."""

    page_max = PAGE_MAX
    intervals_ns = tuple(sorted(NAMES))

    def request(self, instrument: Instrument, page: HistoryPage) -> Unsigned:
        """Return the request for the candles of a page."""
        params = (
            ("type", "candleSnapshot"),
            ("coin", instrument.symbol),
            ("interval", NAMES[page.base_ns]),
            ("startTime", str(page.start_ns // MILLISECOND_NS)),
            ("endTime", str(page.end_ns // MILLISECOND_NS - 1)),
        )
        return Unsigned(Transport.REST, "POST", "/info", params, signed=False, weight=WEIGHT)

    def read(self, payload: bytes) -> tuple[Candle, ...]:
        """Return the candles of an answer. Raises ValueError for any other bytes."""
        return tuple(
            Candle(nanoseconds(each.start), each.open, each.high, each.low, each.close, each.volume, each.trades)
            for each in _read(payload)
        )
