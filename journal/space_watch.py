"""The watch over the free space of a journal's disk, which reports once, before the disk fails."""

import time
from collections.abc import Callable

from journal.disk import Disk

SELDOM_S = 1.0  # between two checks of a caller that an order waits for


class SpaceWatch:
    """Calls `on_low_space` with the free bytes at the first check that finds too few."""

    def __init__(self, disk: Disk, free_bytes_min: int, on_low_space: Callable[[int], None] | None) -> None:
        self._disk = disk
        self._free_bytes_min = free_bytes_min
        self._on_low_space = on_low_space
        self._checked_s = 0.0

    def check(self, *, at_once: bool) -> None:
        """Report low space. A writer checks after each sync: `at_once`, or if the last check is SELDOM_S ago."""
        now_s = time.monotonic()
        if self._on_low_space is None or (not at_once and now_s < self._checked_s + SELDOM_S):
            return
        self._checked_s = now_s
        free_bytes = self._disk.free_bytes()
        if free_bytes < self._free_bytes_min:
            report, self._on_low_space = self._on_low_space, None
            report(free_bytes)
