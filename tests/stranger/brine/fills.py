"""The order of Brine's fills: ids are words without order, so a place is the time and, within it, the id."""

from engine.events import Fill

DIGITS = 20


class TimedFills:
    """An engine.state.fill_cursor.FillCursor."""

    start = ""

    def cursor(self, fill: Fill) -> str:
        """Return time and id. Raises ValueError for a fill without time."""
        if fill.venue_ns <= 0:
            raise ValueError(f"fill {fill.fill_id} has no time")
        return f"{fill.venue_ns:0{DIGITS}d} {fill.fill_id}"

    def cursor_by_id(self, fill_id: str) -> str | None:
        """Return None: ids have no order."""
        return None

    def key(self, cursor: str) -> str:
        """Return the cursor: its time has a fixed width, so it sorts as text."""
        return cursor

    def before(self, cursor: str) -> str:
        """Return the time alone, which sorts before every fill of that time."""
        return cursor[:DIGITS]
