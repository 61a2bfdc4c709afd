"""Times of venues as text, against the standard library."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from engine.venues.timestamps import date_of, days_of, nanoseconds, time_text


def test_every_day_of_two_centuries_is_that_of_the_calendar() -> None:
    first = date(1999, 12, 31)
    for number in range(366 * 201):
        day = first + timedelta(days=number)
        days = (day - date(1970, 1, 1)).days
        assert (days_of(day.year, day.month, day.day), date_of(days)) == (days, (day.year, day.month, day.day))


def test_times_survive_their_text() -> None:
    random = Random(1)
    for _ in range(2_000):
        time_ns = random.randrange(946_684_800 * 10**9, 7_258_118_400 * 10**9)
        text = time_text(time_ns)
        assert nanoseconds(text) == time_ns
        moment = datetime.fromtimestamp(time_ns // 10**9, UTC)
        assert text == f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"


@pytest.mark.parametrize(
    "text",
    ["", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "1969-01-01T00:00:00Z",
     "2026-00-10T00:00:00Z", "2026-01-01T00:60:00Z", "x2026-01-01T00:00:00Z", "٢٠٢٦-01-01T00:00:00Z"],
)  # fmt: skip
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="no time"):
        nanoseconds(text)


def test_offsets_and_short_or_long_fractions() -> None:
    assert nanoseconds("2026-09-18T09:31:00.5-04:00") == nanoseconds("2026-09-18T13:31:00.500Z")
    assert nanoseconds("2026-09-18 13:31:00.1234567899Z") == nanoseconds("2026-09-18T13:31:00.123456789Z")
