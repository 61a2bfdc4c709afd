"""The open segment of a writer: its frames, its syncs, and the segment after it. Knows no queue.

A write and a sync may overlap, in two threads; two writes may not, and neither may two syncs: of two at
once, the system reports a failure to one of them alone. So each has its turn.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from journal.disk import Disk
from journal.frames import encode_frame
from journal.record import Record
from journal.segments import open_name

SYNC_TIMES_MAX = 10_000  # that the reader has not removed
PACE_TIMES = 16
SLOW_SHARE = 8  # one of so many may have been slow


class FrameOutput:
    """The segment that grows, from its creation to the end of the session."""

    def __init__(self, disk: Disk, *, segment_bytes: int, segment_age_s: float, syncs: bool) -> None:
        """Prepare the output; `begin` creates the first segment. `syncs` False is for benchmarks only."""
        self.written_seq = -1  # the last seq handed to the kernel
        self.durable_seq = -1  # the last seq on stable storage
        self.sync_due_s = math.inf  # when the unsynced records must be synced at the latest
        self.sync_times_ns: deque[int] = deque(maxlen=SYNC_TIMES_MAX)  # newest last; a reader removes what it read
        self.turns = self.write_turn, self.sync_turn = threading.Lock(), threading.Lock()  # one holder each
        self.frames = self.bytes = 0
        self.first_seq = 0  # of the open segment
        self._disk = disk
        self._syncs = syncs
        self._segment_bytes, self._segment_age_s = segment_bytes, segment_age_s
        self._size = 0
        self._since_s = time.monotonic()

    def begin(self) -> None:
        """Create the first segment."""
        self._disk.create(open_name(0))
        self._disk.sync_folder()

    @property
    def is_segment_over(self) -> bool:
        """Return True if the next frame belongs into a new segment."""
        return bool(self._size) and (
            self._size >= self._segment_bytes or time.monotonic() >= self._since_s + self._segment_age_s
        )

    def write(self, records: Sequence[Record], sync_due_s: float) -> None:
        """Append records as one frame, which must be synced by `sync_due_s`."""
        frame = encode_frame(records, self.durable_seq)
        self._disk.write(open_name(self.first_seq), frame)
        self.written_seq = records[-1].seq
        self.sync_due_s = min(self.sync_due_s, sync_due_s)
        self._size += len(frame)
        self.bytes += len(frame)
        self.frames += 1

    def hasten_sync(self) -> None:
        """Make the sync of unsynced records due at once."""
        if self.sync_due_s < math.inf:
            self.sync_due_s = 0.0

    def sync(self) -> None:
        """Bring what is written to stable storage."""
        self.sync_due_s = math.inf  # first: a record written after this line is synced, or waits again
        seq = self.written_seq
        if self._syncs:
            began_ns = time.monotonic_ns()
            self._disk.sync(open_name(self.first_seq))
            self.sync_times_ns.append(time.monotonic_ns() - began_ns)
        self.durable_seq = seq

    def roll(self, first_seq: int, on_finished: Callable[[int], None]) -> None:
        """Begin a new segment. The old one is synced already: its successor's name proves its records durable."""
        assert self.durable_seq >= self.written_seq, "sync comes first"
        self._disk.close(open_name(self.first_seq))
        self._disk.create(open_name(first_seq))
        self._disk.sync_folder()
        on_finished(self.first_seq)
        self.first_seq, self._size, self._since_s = first_seq, 0, time.monotonic()

    def close(self) -> None:
        """Close the last segment."""
        self._disk.close(open_name(self.first_seq))


class DiskPace:
    """The times that the last commits took, which decide whether a caller may wait for the next one."""

    def __init__(self, ns_max: int) -> None:
        self._ns_max = ns_max
        self._were_slow: deque[bool] = deque(maxlen=PACE_TIMES)

    def note(self, took_ns: int) -> None:
        """Note the time of a caller's write, with its sync where that is waited for."""
        self._were_slow.append(took_ns > self._ns_max)

    def note_slow(self) -> None:
        """Note that a turn did not come in time."""
        self._were_slow.append(True)

    def note_write(self, took_ns: int) -> None:
        """Note the time of a caller's write without a sync. A short one proves nothing: a sync may be slow."""
        if took_ns > self._ns_max:
            self.note_slow()

    def note_in_thread(self, took_ns: int) -> None:
        """Note a time of the writer's thread. A long one proves nothing: the thread may have waited for the caller."""
        if took_ns <= self._ns_max:
            self._were_slow.append(False)

    @property
    def is_fast(self) -> bool:
        """Return True if at most an eighth of the last times were slow. Before the first one, nothing is known."""
        count = len(self._were_slow)
        return count > 0 and SLOW_SHARE * sum(self._were_slow) <= count
