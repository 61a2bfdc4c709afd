"""The hours in which stocks trade, as windows of the venue's time. Crypto trades always."""

from bisect import bisect_right

from engine.session_record import SECOND_NS

DAY_NS = 86_400 * SECOND_NS


class MarketHours:
    """Windows that rise. Without any, stocks trade always."""

    def __init__(self, windows: tuple[tuple[int, int], ...] = ()) -> None:
        self.windows = windows

    def is_open(self, now_ns: int) -> bool:
        """Return True if stocks trade."""
        found = bisect_right(self.windows, (now_ns, 1 << 62)) - 1
        return not self.windows or (found >= 0 and now_ns < self.windows[found][1])

    def next_open_ns(self, now_ns: int) -> int | None:
        """Return when stocks begin to trade next; None if never."""
        return next((begin for begin, _ in self.windows if begin > now_ns), None)

    def next_close_ns(self, now_ns: int) -> int | None:
        """Return when they stop next; None if never."""
        return next((end for _, end in self.windows if end > now_ns), None)
