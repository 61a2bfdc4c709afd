"""The order of Hyperliquid's fills: by time alone, since their ids are hashes. A page keeps the order of one time."""

from engine.events import Fill
from engine.venues.hyperliquid.values import MILLISECOND_NS


class MillisecondFills:
    """An engine.state.fill_cursor.FillCursor: a cursor is a millisecond, and a query from it lists that one again."""

    start = "-1"

    def cursor(self, fill: Fill) -> str:
        """Return the fill's millisecond. Raises ValueError if it has no time."""
        if fill.venue_ns <= 0:
            raise ValueError(f"fill {fill.fill_id} has no time")
        return str(fill.venue_ns // MILLISECOND_NS)

    def cursor_by_id(self, fill_id: str) -> str | None:
        """Return None: a fill's id does not order it."""
        return None

    def key(self, cursor: str) -> int:
        """Return the millisecond."""
        return int(cursor)

    def before(self, cursor: str) -> str:
        """Return the millisecond before this one."""
        return str(int(cursor) - 1)
