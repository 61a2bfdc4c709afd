"""Trading hours as windows in UTC, resolved when a session starts: neither the core nor a replay reads a calendar.

Calendars of exchanges come from the package exchange_calendars (the extra `calendars`), which is imported only if a
session names one.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from typing import Any

from msgspec.structs import replace

from engine.live.time_zones import find_zone, resolved_day
from engine.risk_settings import HoursSettings
from engine.session_record import SECOND_NS, RiskSettings

DAYS_AHEAD = 366  # a session that runs for longer places no order that opens a position
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OPEN = re.compile(rf"({'|'.join(WEEKDAYS)})(?:-({'|'.join(WEEKDAYS)}))? ([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")


def resolved(risk: RiskSettings, start_ns: int) -> RiskSettings:
    """Return the limits with time zones and calendars resolved from the start of the session on.

    Raises:
        ValueError: A zone, a calendar or hours cannot be used.
    """
    first = datetime.fromtimestamp(start_ns // SECOND_NS, UTC).date() - timedelta(days=1)
    instrument = {
        name: replace(scope, hours=with_windows(scope.hours, first)) for name, scope in risk.instrument.items()
    }
    return replace(
        risk, day=resolved_day(risk.day, start_ns), hours=with_windows(risk.hours, first), instrument=instrument
    )


def with_windows(hours: HoursSettings, first: date) -> HoursSettings:
    """Return hours with their windows from a day on.

    Raises:
        ValueError: A zone, a calendar or hours cannot be used.
    """
    if not hours.is_set:
        return hours
    windows = _calendar_windows(hours.calendar, first) if hours.calendar else _weekly_windows(hours, first)
    return replace(hours, windows=tuple(sorted(windows)))


def _weekly_windows(hours: HoursSettings, first: date) -> list[tuple[int, int]]:
    zone = find_zone(hours.zone)
    windows = []
    for text in hours.open:
        found = OPEN.fullmatch(text)
        if found is None:
            raise ValueError(f"hours {text!r} cannot be read; write them as in 'mon-fri 09:00-17:30'")
        from_day, to_day, *numbers = found.groups()
        begin_h, begin_m, end_h, end_m = map(int, numbers)
        if begin_h > 23 or (end_h, end_m) > (24, 0) or (begin_h, begin_m) >= (end_h, end_m):
            raise ValueError(f"hours {text!r} do not end after they begin, on the same day")
        low, high = WEEKDAYS.index(from_day), WEEKDAYS.index(to_day or from_day)
        days = {(low + step) % 7 for step in range((high - low) % 7 + 1)}
        for ahead in range(DAYS_AHEAD + 2):
            day = first + timedelta(days=ahead)
            if day.weekday() in days:
                end_day = day + timedelta(days=end_h // 24)
                begin = datetime.combine(day, time(begin_h, begin_m), zone)
                end = datetime.combine(end_day, time(end_h % 24, end_m), zone)
                windows.append((int(begin.timestamp()), int(end.timestamp())))
    return windows


def _calendar_windows(name: str, first: date) -> list[tuple[int, int]]:
    try:
        package: Any = import_module("exchange_calendars")  # an extra, which few sessions need
    except ImportError:
        text = f"calendar {name!r} needs the package exchange_calendars; install verbatim-trading[calendars]"
        raise ValueError(text) from None
    try:
        calendar: Any = package.get_calendar(name, start=first, end=first + timedelta(days=DAYS_AHEAD))
    except (package.errors.CalendarError, ValueError) as error:
        raise ValueError(f"calendar {name!r} cannot be used: {error}") from None
    windows: list[tuple[int, int]] = []
    for row in calendar.schedule.itertuples():
        opened, pause, resumed, closed = (
            None if str(stamp) == "NaT" else int(stamp.timestamp())  # where there is no pause
            for stamp in (row.open, row.break_start, row.break_end, row.close)
        )
        assert opened is not None, row
        assert closed is not None, row
        windows += [(opened, closed)] if pause is None or resumed is None else [(opened, pause), (resumed, closed)]
    return windows
