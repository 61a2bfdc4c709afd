"""The order of Coinbase's fills: their ids are words without order, so a cursor is the time and, within it, the id."""

from engine.events import Fill

DIGITS = 20


def since_of(cursor: str) -> int:
    """Return the time from which a query returns the fills after a cursor, in nanoseconds; 0: from the first."""
    digits = cursor[:DIGITS]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


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
        del fill_id
        return None

    def key(self, cursor: str) -> str:
        """Return the cursor: its time has a fixed width, so it sorts as text."""
        return cursor

    def before(self, cursor: str) -> str:
        """Return the time alone, which sorts before every fill of that time."""
        return cursor[:DIGITS]
