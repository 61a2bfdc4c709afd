"""The watch over the free space of a journal's disk, which reports once, before the disk fails."""

from collections.abc import Callable

from journal.disk import Disk


class SpaceWatch:
    """Calls `on_low_space` with the free bytes at the first check that finds too few."""

    def __init__(self, disk: Disk, free_bytes_min: int, on_low_space: Callable[[int], None] | None) -> None:
        self._disk = disk
        self._free_bytes_min = free_bytes_min
        self._on_low_space = on_low_space

    def check(self) -> None:
        """Report low space. A writer checks after each sync."""
        if self._on_low_space is None:
            return
        free_bytes = self._disk.free_bytes()
        if free_bytes < self._free_bytes_min:
            report, self._on_low_space = self._on_low_space, None
            report(free_bytes)
