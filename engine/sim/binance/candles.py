"""Candles of any interval from whole minutes, as GET klines shows them. Knows no request.

Binance shows a candle without a trade too: all its prices are the close before it. Intervals begin at whole days of a
time zone, weeks on Monday, months on the first; three days count from 1970-01-01.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, Final

from engine.sim.binance import refusals
from engine.sim.exchange.symbol_view import MinuteBar
from engine.sim.exchange.venue_arrays import MINUTE_NS
from engine.sim.units import NOTHING, text

MS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 1_440 * MINUTE_NS
_DAY_MINUTES: Final = 1_440
_MINUTES: Final = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
    "1d": _DAY_MINUTES, "3d": 3 * _DAY_MINUTES, "1w": 7 * _DAY_MINUTES,
}  # fmt: skip
_MONDAY_NS: Final = 4 * DAY_NS  # 1970-01-05
_ZONE: Final = re.compile(r"^([+-]?)([0-9]{1,2})(?::([0-9]{2}))?$")
FLAT_MAX: Final = 100_000  # candles without a trade in one gap; a longer gap is left out


def zone_ns(value: str | None) -> int:
    """Return the offset of a time zone such as -1:00, 05:45 or 8."""
    found = _ZONE.fullmatch(value or "0")
    if found is None or int(found[3] or 0) > 59:
        raise refusals.invalid_parameter("timeZone")
    minutes = 60 * int(found[2]) + int(found[3] or 0)
    minutes = -minutes if found[1] == "-" else minutes
    if not -12 * 60 <= minutes <= 14 * 60:
        raise refusals.invalid_parameter("timeZone")
    return minutes * MINUTE_NS


class Interval:
    """The candles of one interval in one time zone."""

    def __init__(self, name: str, offset_ns: int) -> None:
        if name not in ("1s", "1M", *_MINUTES):
            raise refusals.invalid_interval()
        self.is_second = name == "1s"  # of the trades that are kept, and not of minutes
        self._is_month = name == "1M"
        self._length_ns = SECOND_NS if self.is_second else _MINUTES.get(name, 0) * MINUTE_NS
        self._shift_ns = offset_ns - (_MONDAY_NS if name == "1w" else 0)

    def start_ns(self, time_ns: int) -> int:
        """Return the start of the candle that holds a time."""
        local_ns = time_ns + self._shift_ns
        if not self._is_month:
            return local_ns - local_ns % self._length_ns - self._shift_ns
        return _month_start(local_ns // DAY_NS) * DAY_NS - self._shift_ns

    def end_ns(self, start_ns: int) -> int:
        """Return the start of the candle after the one with this start."""
        if not self._is_month:
            return start_ns + self._length_ns
        following = _month_start((start_ns + self._shift_ns) // DAY_NS + 32)
        return following * DAY_NS - self._shift_ns

    def candles(self, minutes: Sequence[MinuteBar], now_ns: int, first_ns: int, last_ns: int) -> Iterator[list[Any]]:
        """Yield the candles that begin between two times and not after now, oldest first."""
        groups: dict[int, list[MinuteBar]] = {}
        for minute in minutes:
            groups.setdefault(self.start_ns(minute.start_ns), []).append(minute)
        starts = [*groups, self.end_ns(self.start_ns(now_ns))]
        for start_ns, following_ns in pairwise(starts):
            if first_ns <= start_ns <= last_ns:
                yield self._candle(groups[start_ns], start_ns)
            until_ns = min(following_ns, last_ns + 1)
            yield from self._flat(groups[start_ns][-1].close, self.end_ns(start_ns), first_ns, until_ns)

    def page(
        self, minutes: Sequence[MinuteBar], now_ns: int, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[list[Any]]:
        """Return at most `limit` candles: from a start on the oldest, else the newest up to the end."""
        last_ns = now_ns if end_ns is None else min(end_ns, now_ns)
        first_ns = start_ns
        if first_ns is None:
            first_ns = self.start_ns(last_ns)
            for _ in range(limit - 1):
                first_ns = self.start_ns(first_ns - 1)
        found = list(islice(self.candles(minutes, now_ns, first_ns, last_ns), limit))
        # a gap that is left out makes room for older candles
        return found if start_ns is not None or len(found) == limit else self._newest(minutes, now_ns, last_ns, limit)

    def _newest(self, minutes: Sequence[MinuteBar], now_ns: int, last_ns: int, limit: int) -> list[list[Any]]:
        return list(deque(self.candles(minutes, now_ns, 0, last_ns), limit))

    def _flat(self, price: int, start_ns: int, first_ns: int, until_ns: int) -> Iterator[list[Any]]:
        """Yield the candles of a gap, all at one price. A gap of more than FLAT_MAX candles has none."""
        if until_ns - start_ns > FLAT_MAX * max(self._length_ns, MINUTE_NS):
            return
        shown = text(price)
        if start_ns < first_ns:
            start_ns = self.start_ns(first_ns)
            start_ns = start_ns if start_ns == first_ns else self.end_ns(start_ns)
        while start_ns < until_ns:
            end_ns = self.end_ns(start_ns)
            sums = (NOTHING, end_ns // MS - 1, NOTHING, 0, NOTHING, NOTHING, "0")
            yield [start_ns // MS, shown, shown, shown, shown, *sums]
            start_ns = end_ns

    def _candle(self, bars: Sequence[MinuteBar], start_ns: int) -> list[Any]:
        return [
            start_ns // MS,
            text(bars[0].open),
            text(max(bar.high for bar in bars)),
            text(min(bar.low for bar in bars)),
            text(bars[-1].close),
            text(sum(bar.volume for bar in bars)),
            self.end_ns(start_ns) // MS - 1,
            text(sum(bar.quote for bar in bars)),
            sum(bar.trades for bar in bars),
            text(sum(bar.taker_base for bar in bars)),
            text(sum(bar.taker_quote for bar in bars)),
            "0",
        ]


def _month_start(day: int) -> int:
    """Return the first day of a day's month, both counted from 1970-01-01 (the Gregorian calendar by arithmetic)."""
    of_era = (day + 719_468) % 146_097  # days since March 1 of a year that 400 divides
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return day - (of_year - (153 * month + 2) // 5)
