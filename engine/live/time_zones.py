"""Time zones, resolved when a session starts: the core reads no tz database, so a replay needs none.

The Python package tzdata, if it is installed, is used where the system has no database.
"""

from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec.structs import replace

from engine.risk_settings import DaySettings
from engine.session_record import SECOND_NS

DAY_S = 86_400
SPAN_S = 3 * 366 * DAY_S  # a session that runs for longer keeps the last offset


def resolved_day(day: DaySettings, start_ns: int) -> DaySettings:
    """Return a day of daily limits with the offsets of its time zone from the start of the session on."""
    return replace(day, offsets=offsets(day.zone, start_ns // SECOND_NS))


def offsets(zone: str, start_s: int) -> tuple[tuple[int, int], ...]:
    """Return (UTC time in seconds, seconds east of UTC) at the start and at each change after it.

    Raises:
        ValueError: The zone is unknown.
    """
    if zone == "UTC":
        return ()
    found = find_zone(zone)
    changes = [(start_s, _east_s(found, start_s))]
    for day_s in range(start_s, start_s + SPAN_S, DAY_S):
        low, high = day_s, day_s + DAY_S
        if _east_s(found, high) != (before := changes[-1][1]):
            while high - low > 1:  # the change is after `low` and at `high` or before
                middle = (low + high) // 2
                low, high = (middle, high) if _east_s(found, middle) == before else (low, middle)
            changes.append((high, _east_s(found, high)))
    return tuple(changes)


def find_zone(zone: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ValueError: It is unknown.
    """
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"no time zone {zone!r} is known; if the system has no tz database, install the package tzdata"
        raise ValueError(text) from None


def tzdata_version() -> dict[str, str]:
    """Return the version of the package tzdata for the SESSION record; {} if the system's database is used."""
    try:
        return {"tzdata": version("tzdata")}
    except PackageNotFoundError:
        return {}


def _east_s(zone: ZoneInfo, at_s: int) -> int:
    east = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)).astimezone(zone).utcoffset()
    assert east is not None, "an aware time has an offset"
    return int(east.total_seconds())
