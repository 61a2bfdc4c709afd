"""New York's clock on one day: times since its midnight as times of an import."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from journal.errors import CaptureRefusedError

ZONE = "America/New_York"
HOUR_NS = 3_600_000_000_000
HOURS = 24


class NewYorkDay:
    """A day by New York's clock."""

    def __init__(self, day: str, of: str) -> None:
        """Prepare a day.

        Args:
            day: The day as yyyymmdd.
            of: What states it, for the text of an error.

        Raises:
            CaptureRefusedError: It is not a date, or the system has no time zone data.
        """
        try:
            # midnight by New York's clock, treated as if it were UTC
            midnight = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
            ahead_ns = [_ahead_of_utc_ns(midnight + timedelta(hours=hour)) for hour in range(HOURS)]
        except ValueError as error:
            raise CaptureRefusedError(f"{of}: {day!r} is not a date.") from error
        except ZoneInfoNotFoundError as error:
            raise CaptureRefusedError(
                f"this system has no data of the time zone {ZONE}. What to do: pip install tzdata."
            ) from error
        midnight_ns = (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days * HOURS * HOUR_NS
        self._midnights_ns = [midnight_ns - ahead for ahead in ahead_ns]  # from which each hour's clock counts, in UTC

    def utc_ns(self, since_midnight_ns: int) -> int:
        """Return the time at which the clock shows this much after midnight, less than a day."""
        return self._midnights_ns[since_midnight_ns // HOUR_NS] + since_midnight_ns


def _ahead_of_utc_ns(wall: datetime) -> int:
    offset = wall.replace(tzinfo=ZoneInfo(ZONE)).utcoffset()
    assert offset is not None
    return (offset.days * 86_400 + offset.seconds) * 1_000_000_000
