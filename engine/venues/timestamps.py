"""Times as text (RFC 3339), such as 2026-09-18T13:24:50.019303395Z, exact to the nanosecond. Reads no clock."""

import re
from typing import Final

SECOND_NS: Final = 1_000_000_000
DAY_S: Final = 86_400
YEARS: Final = range(2000, 2200)  # a time of a venue is in one of these
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def nanoseconds(text: str) -> int:
    """Return the time that a text states, in nanoseconds since the epoch. Digits below a nanosecond are cut.

    Raises:
        ValueError: The text is no time.

    >>> nanoseconds("2026-09-18T09:24:50.5-04:00")
    1789737890500000000
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"no time: {text[:40]!r}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    days = days_of(year, month, day)
    if year not in YEARS or date_of(days) != (year, month, day) or hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"no time: {text[:40]!r}")
    part, sign, *offset = found.groups()[6:]
    offset_s = 0 if sign is None else int(f"{sign}1") * (int(offset[0]) * 3600 + int(offset[1]) * 60)
    seconds = days * DAY_S + hour * 3600 + minute * 60 + second - offset_s
    return seconds * SECOND_NS + int((part or "0").ljust(9, "0"))


def time_text(time_ns: int) -> str:
    """Return a time as text, in UTC and with nine digits.

    >>> time_text(1_789_737_890_019_303_395)
    '2026-09-18T13:24:50.019303395Z'
    """
    seconds, part = divmod(time_ns, SECOND_NS)
    days, seconds = divmod(seconds, DAY_S)
    year, month, day = date_of(days)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}.{part:09d}Z"


def days_of(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar (H. Hinnant, days_from_civil)."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970-01-01.

    >>> date_of(days_of(2024, 2, 29)), date_of(0)
    ((2024, 2, 29), (1970, 1, 1))
    """
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    day, month = of_year - (153 * shifted + 2) // 5 + 1, shifted + (3 if shifted < 10 else -9)
    return era * 400 + year + (month <= 2), month, day
