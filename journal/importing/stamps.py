"""Conversion of other tools' times to nanoseconds: integer arithmetic on the text, never floats.

A text that is not a time of the unit raises ValueError, whose message says what is wrong.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
UNIT_OF_DIGITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}  # for times from September 2001 to November 2286
LATEST_NS = 2**63 - 1  # the largest time of a journal, in the year 2262
_NUMBER = re.compile(rb"(\d{1,19})(?:\.(\d+))?")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?(?:(Z)|([+-])(\d\d):?(\d\d))?", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_number(text: bytes, unit: str) -> int:
    """Convert whole or decimal units since 1970. Fractions of a nanosecond are dropped.

    >>> from_number(b"1618678132.368463", "s"), from_number(b"1680652700423575", "us")
    (1618678132368463000, 1680652700423575000)
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{_quote(text)} is not a time in {unit}")
    whole, fraction = match.groups()
    ns = int(whole) * UNIT_NS[unit]
    if fraction:
        ns += int(fraction[:9].ljust(9, b"0")) * UNIT_NS[unit] // 1_000_000_000
    return ns


def from_iso(text: bytes) -> int:
    """Convert an ISO 8601 time with its zone.

    >>> from_iso(b"2026-10-06T11:17:07.092334Z"), from_iso(b"1970-01-01 01:00:00.000000001+01:00")
    (1791285427092334000, 1)
    """
    match = _ISO.fullmatch(text.decode("utf-8", "replace"))
    if match is None:
        raise ValueError(f"{_quote(text)} is not an ISO time")
    day, clock, fraction, zulu, sign, hours, minutes = match.groups()
    if not (zulu or sign):
        raise ValueError(f"{_quote(text)} states no time zone")
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-ahead if sign == "-" else ahead)
    since = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))


def _quote(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))
