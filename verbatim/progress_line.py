"""One line of progress on a terminal: the count, the share, the time left. Nothing is drawn elsewhere.

Every command that may take longer than a second uses it. The line goes to stderr, so a result on stdout stays whole,
and it appears after a second, so a short command draws nothing. A thread draws it: the work only notes two numbers.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO

DELAY_S = 1.0  # before the first line
PERIOD_S = 0.2  # between two lines
ESTIMATE_S = 2.0  # before a time left is stated
CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """The line. `report` is what functions call as `on_progress(done, total)`; without a call it shows the time."""

    def __init__(self, task: str, unit: str = "records", *, stream: TextIO | None = None) -> None:
        """Prepare a line.

        Args:
            task: The work, as "replaying".
            unit: The things that `report` counts.
            stream: Where to draw. Default: stderr.
        """
        self._task = task
        self._unit = unit
        self._stream = stream or sys.stderr
        self._done = self._total = 0
        self._began = self._reported = time.monotonic()
        self._first: tuple[int, float] | None = None  # the first report: the work begins slower than it continues
        self._is_over = Event()
        self.delay_s = DELAY_S
        self._thread: Thread | None = None

    def report(self, done: int, total: int = 0) -> None:
        """Note how much is done. A total of 0 is unknown."""
        self._done, self._total, self._reported = done, total, time.monotonic()
        if self._first is None and done:
            self._first = (done, self._reported)

    def start(self) -> None:
        """Begin to draw if the stream is a terminal."""
        if self._stream.isatty():
            self._thread = Thread(target=self._draw, name="progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Clear the line."""
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()

    def text(self, now: float) -> str:
        """Return the line at a time of the monotonic clock."""
        left_s = None
        if self._first is not None and self._done < self._total and now - self._began >= ESTIMATE_S:
            done, since = self._first if self._done > self._first[0] else (0, self._began)
            rate_s = (self._reported - since) / (self._done - done)
            left_s = max(0.0, rate_s * (self._total - self._done) - (now - self._reported))
        return progress_text(
            self._task, self._unit, self._done, self._total, elapsed_s=now - self._began, left_s=left_s
        )

    def _draw(self) -> None:
        is_drawn = False
        wait_s = self.delay_s
        while not self._is_over.wait(wait_s):
            text = self.text(time.monotonic())
            columns = shutil.get_terminal_size().columns
            self._stream.write(CLEAR_LINE + text[: columns - 1])
            self._stream.flush()
            is_drawn, wait_s = True, PERIOD_S
        if is_drawn:
            self._stream.write(CLEAR_LINE)
            self._stream.flush()


@contextmanager
def progress(task: str, unit: str = "records") -> Iterator[ProgressLine]:
    """Show a line until the block ends."""
    line = ProgressLine(task, unit)
    line.start()
    try:
        yield line
    finally:
        line.stop()


def progress_text(task: str, unit: str, done: int, total: int, *, elapsed_s: float, left_s: float | None = None) -> str:
    """Return the line: count, share and time left as far as they are known, else the time that passed."""
    if not done:
        return f"{task}: {duration(elapsed_s)}"
    if total <= 0:
        return f"{task}: {done:,} {unit}, {duration(elapsed_s)}"
    text = f"{task}: {done:,} of {total:,} {unit}, {100 * min(done, total) // total} %"
    return text if left_s is None else f"{text}, {duration(left_s)} left"


def duration(seconds: float) -> str:
    """Return a time as `5 s`, `3:05 min` or `2:03:05 h`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d} h"
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
