"""The order of Kraken's fills: ids are words without order, so a place is the time and, within it, the id."""

from typing import Any, Final

from engine.events import Fill

DIGITS: Final = 20


class TimedFills:
    """An engine.state.fill_cursor.FillCursor."""

    start = ""

    def cursor(self, fill: Fill) -> str:
        """Return time and id. Raises ValueError for a fill without time."""
        if fill.venue_ns <= 0:
            raise ValueError(f"fill {fill.fill_id} has no time")
        return f"{fill.venue_ns:0{DIGITS}d} {fill.fill_id}"

    def cursor_by_id(self, fill_id: str) -> str | None:
        """Return None: an id does not order fills."""
        del fill_id
        return None

    def key(self, cursor: str) -> Any:
        """Return the cursor, which sorts as text."""
        return cursor

    def before(self, cursor: str) -> str:
        """Return the time alone, which sorts before every fill of that time."""
        return cursor[:DIGITS]


def time_of(cursor: str) -> int:
    """Return the time of a cursor in nanoseconds; 0 before every fill."""
    return int(cursor.partition(" ")[0] or 0)
