"""Trading hours: resolved when a session starts, recorded as windows, kept by a rule that reads no calendar."""

import sys
from datetime import UTC, date, datetime

import pytest
from by_hand import START_NS
from msgspec.structs import replace
from risk_limit_cases import scope

from engine.live.calendars import resolved, with_windows
from engine.risk_settings import HoursSettings
from engine.session_record import SECOND_NS, RiskSettings


def texts(hours: HoursSettings, count: int) -> list[str]:
    stamps = (tuple(datetime.fromtimestamp(at, UTC) for at in window) for window in hours.windows[:count])
    return [f"{begin:%a %d %H:%M}-{end:%d %H:%M}" for begin, end in stamps]


def test_hours_of_the_week_follow_their_zone() -> None:
    """In Berlin summer time begins on Sunday 31 March 2024."""
    hours = HoursSettings(zone="Europe/Berlin", open=("mon-fri 09:00-17:30", "sun 22:00-24:00"))
    assert texts(with_windows(hours, date(2024, 3, 29)), 4) == [
        "Fri 29 08:00-29 16:30",
        "Sun 31 20:00-31 22:00",
        "Mon 01 07:00-01 15:30",
        "Tue 02 07:00-02 15:30",
    ]
    around = HoursSettings(open=("sat-mon 10:00-11:00",))
    assert texts(with_windows(around, date(2024, 3, 28)), 3) == [
        "Sat 30 10:00-30 11:00", "Sun 31 10:00-31 11:00", "Mon 01 10:00-01 11:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["mon 9-17", "mon 10:00-09:00", "mon 09:00-24:01", "day 09:00-10:00", "mon 24:00-24:00"]
)
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        with_windows(HoursSettings(open=(text,)), date(2024, 1, 1))


def test_a_calendar_without_its_package_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(ValueError, match=r"install verbatim-trading\[calendars\]"):
        with_windows(HoursSettings(calendar="XNYS"), date(2024, 1, 1))


@pytest.mark.filterwarnings("ignore")  # the package uses what pandas deprecates
def test_a_calendar_knows_holidays_and_pauses() -> None:
    pytest.importorskip("exchange_calendars")
    york = with_windows(HoursSettings(calendar="XNYS"), date(2024, 7, 3))
    assert texts(york, 2) == ["Wed 03 13:30-03 17:00", "Fri 05 13:30-05 20:00"], "a short day, then a holiday"
    assert texts(with_windows(HoursSettings(calendar="XHKG"), date(2024, 7, 3)), 2) == [
        "Wed 03 01:30-03 04:00", "Wed 03 05:00-03 08:00",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="calendar 'MARS' cannot be used"):
        with_windows(HoursSettings(calendar="MARS"), date(2024, 7, 3))


def test_a_session_resolves_every_table() -> None:
    hours = HoursSettings(open=("mon-sun 00:00-24:00",))
    risk = RiskSettings(hours=hours, instrument={"BTCUSDT": replace(scope(), hours=hours)})
    found = resolved(risk, START_NS)
    for each in (found.hours, found.instrument["BTCUSDT"].hours):
        assert each.windows[0][0] <= START_NS // SECOND_NS < each.windows[2][1]
        assert len(each.windows) > 360
