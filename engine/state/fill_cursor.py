"""The order of an account's fills: cursors are opaque strings, and each venue says which comes after which.

The engine confirms fills up to a cursor and queries those after it. Identity is the fill id and never the cursor: a
stream and a trade list may stamp one fill differently.
"""

from typing import Any, Protocol

from engine.events import Fill

TIME_DIGITS = 20  # of a time in a cursor
DIGITS_MAX = 18  # a longer number stays text in a record: JSON readers keep 64 bits at most


class FillCursor(Protocol):
    """The order in which one venue numbers its fills."""

    start: str  # before every fill

    def cursor(self, fill: Fill) -> str:
        """Return the cursor of a fill. Raises ValueError if the fill cannot be ordered."""
        ...

    def cursor_by_id(self, fill_id: str) -> str | None:
        """Return the cursor of a fill known by its id alone, or None if the id does not order fills."""
        ...

    def key(self, cursor: str) -> Any:
        """Return a value that sorts as the cursors do."""
        ...

    def before(self, cursor: str) -> str:
        """Return a cursor directly before this one: a query after it returns the fill at `cursor` again."""
        ...


class NumberedFills:
    """A FillCursor for venues that number the fills of an instrument: the id is the cursor."""

    start = "-1"

    def cursor(self, fill: Fill) -> str:
        """Return the fill's id. Raises ValueError if it is no number."""
        if not (fill.fill_id.isascii() and fill.fill_id.isdigit()):
            raise ValueError(f"fill id {fill.fill_id!r} is no number")
        return fill.fill_id

    def cursor_by_id(self, fill_id: str) -> str | None:
        """Return the id itself."""
        return fill_id

    def key(self, cursor: str) -> int:
        """Return the number."""
        return int(cursor)

    def before(self, cursor: str) -> str:
        """Return the number before this one."""
        return str(int(cursor) - 1)


NUMBERED_FILLS = NumberedFills()


class TimedFills:
    """A FillCursor for venues whose fill ids have no order: the time and, within it, the id."""

    start = ""

    def cursor(self, fill: Fill) -> str:
        """Return time and id. Raises ValueError for a fill without time."""
        if fill.venue_ns <= 0:
            raise ValueError(f"fill {fill.fill_id} has no time")
        return f"{fill.venue_ns:0{TIME_DIGITS}d} {fill.fill_id}"

    def cursor_by_id(self, fill_id: str) -> str | None:
        """Return None: ids have no order."""
        del fill_id
        return None

    def key(self, cursor: str) -> str:
        """Return the cursor: its time has a fixed width, so it sorts as text."""
        return cursor

    def before(self, cursor: str) -> str:
        """Return the time alone, which sorts before every fill of that time."""
        return cursor[:TIME_DIGITS]

    def time_ns(self, cursor: str) -> int:
        """Return the time of a cursor; 0 of the start."""
        return int(cursor[:TIME_DIGITS] or "0")


TIMED_FILLS = TimedFills()


def recorded_cursor(cursor: str) -> int | str:
    """Return a cursor as records hold it: a plain number as a JSON number, all else as text.

    >>> [recorded_cursor(cursor) for cursor in ("-1", "42", "042", "1723161250.5 TX1")]
    [-1, 42, '042', '1723161250.5 TX1']
    """
    digits = cursor.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX and str(int(cursor)) == cursor:
        return int(cursor)
    return cursor
