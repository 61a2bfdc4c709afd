"""Quiet hours: times of the day, in a time zone, at which only critical alerts are sent."""

from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND_NS = 1_000_000_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class QuietHours(NamedTuple):
    """From one time of the day to another, in a zone. An end before the begin is on the next day."""

    zone: ZoneInfo
    begin: time
    end: time
    days: tuple[str, ...] = DAYS  # on which they begin

    def is_quiet(self, now_ns: int) -> bool:
        """Return True if a time is within the quiet hours."""
        local = (datetime.fromtimestamp(now_ns // SECOND_NS, UTC)).astimezone(self.zone)
        clock = local.time()
        if self.begin <= self.end:
            return self.begin <= clock < self.end and DAYS[local.weekday()] in self.days
        if clock >= self.begin:
            return DAYS[local.weekday()] in self.days
        return clock < self.end and DAYS[(local - timedelta(days=1)).weekday()] in self.days
