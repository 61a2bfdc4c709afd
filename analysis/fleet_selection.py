"""The time and the instrument that a question over many sessions is about. Imports little: commands read it."""

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from replay.moments import TIME_NS_MIN, iso_time, nanoseconds

if TYPE_CHECKING:
    from analysis.catalogue_row import CatalogueRow


class Selection(NamedTuple):
    """The subject of a question. Empty: all sessions and records."""

    from_ns: int | None = None
    to_ns: int | None = None  # included
    instrument: str = ""  # a symbol, or venue:symbol

    def needs(self, row: "CatalogueRow") -> bool:
        """Return True if a session may have records that the question is about."""
        return (
            (self.from_ns is None or row.end_ns >= self.from_ns)
            and (self.to_ns is None or row.start_ns <= self.to_ns)
            and (not self.instrument or any(self._is_meant(name) for name in row.instruments))
        )

    def _is_meant(self, instrument: str) -> bool:
        return self.instrument in (instrument, instrument.partition(":")[2])

    @property
    def text(self) -> str:
        """The selection for people."""
        parts = [f"instrument {self.instrument}"] if self.instrument else []
        parts += [f"from {iso_time(self.from_ns)}"] if self.from_ns is not None else []
        parts += [f"to {iso_time(self.to_ns)}"] if self.to_ns is not None else []
        return ", ".join(parts)


ALL = Selection()


def parse_selection(start: str | None, end: str | None, instrument: str = "") -> Selection:
    """Return what texts choose.

    Args:
        start: The first time.
        end: The last time; a date means its end.
        instrument: A symbol, or `venue:symbol`.

    Raises:
        ValueError: A text is no time, or the end is before the start.
    """
    begin_ns = None if start is None else time_ns_of(start)
    end_ns = None if end is None else time_ns_of(end, is_end=True)
    if begin_ns is not None and end_ns is not None and end_ns < begin_ns:
        raise ValueError(f"the end {end!r} is before the start {start!r}")
    return Selection(begin_ns, end_ns, instrument)


def time_ns_of(text: str, *, is_end: bool = False) -> int:
    """Return the time that a text states: ISO, in UTC or with an offset; a date; nanoseconds since 1970.

    Args:
        text: The time.
        is_end: A date means its last nanosecond.

    Raises:
        ValueError: It is another text.
    """
    text = text.strip()
    try:
        if text.isascii() and text.isdigit() and int(text) >= TIME_NS_MIN:
            return int(text)
        if len(text) == len("2026-11-29"):
            day = datetime.combine(date.fromisoformat(text), time(), UTC)
            return nanoseconds(day + timedelta(days=1)) - 1 if is_end else nanoseconds(day)
        when = datetime.fromisoformat(text)
        return nanoseconds(when if when.tzinfo else when.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: write 2026-11-29 or 2026-11-29T13:45:10Z") from None
