"""The order of Alpaca's fills, and their identity.

The stream and the list of activities give one fill different ids. Both state the order and the quantity that it had
traded after the fill, which no two fills share.
"""

from decimal import Decimal

from engine.events import Fill
from journal.record import plain

DIGITS = 20


def fill_id(order_id: str, traded: Decimal) -> str:
    """Return the id of the fill after which an order had traded so much."""
    return f"{order_id}:{plain(traded)}"


class TimedFills:
    """An engine.state.fill_cursor.FillCursor: time, then id."""

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


def time_of(cursor: str) -> int:
    """Return the time of a cursor; 0 of the start."""
    return int(cursor[:DIGITS] or 0)
