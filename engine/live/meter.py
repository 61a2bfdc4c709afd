"""Writes the meter of a live session: its figures every few seconds, a line in a bounded file (engine/meter_line.py).

The meter must never cost a record or delay one. A thread writes; a full disk or any other failure ends the meter alone
and is logged once; below METER_FREE_BYTES_MIN the meter leaves the rest of the disk to the journal.
"""

import errno
import os
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec
import structlog
import trio

from engine.live.clock import SessionClock, wall_ns
from engine.live.gateway import Gateway
from engine.live.ingress import Ingress
from engine.live.input_loop import InputLoop
from engine.live.log_task import LogTask
from engine.meter_line import (
    BOUNDS_NS,
    METER_BYTES_MAX,
    METER_FILE,
    OLDER_METER_FILE,
    Durations,
    MeterLine,
    SendDurations,
)
from engine.sequencer import Sequencer
from journal.private_files import FILE_MODE
from journal.writer import JournalWriter

METER_SECONDS = 5.0  # real time between two lines
METER_FREE_BYTES_MIN = 64 * 1024 * 1024  # the meter ends below this much free space

log = structlog.get_logger()
T = TypeVar("T")


class DurationCounter:
    """Counts durations since the session's start, and describes those that came since it was last read."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_NS) + 1)
        self._sum_ns = 0
        self._newest: list[int] = []

    def add(self, duration_ns: int) -> None:
        """Count one."""
        self._newest.append(duration_ns)

    def read(self) -> Durations:
        """Return the counts, and forget the single durations."""
        newest, self._newest = sorted(self._newest), []
        for duration_ns in newest:
            self._counts[bisect_left(BOUNDS_NS, duration_ns)] += 1
        self._sum_ns += sum(newest)
        count = len(newest)
        return Durations(
            counts=tuple(self._counts),
            sum_ns=self._sum_ns,
            newest=count,
            p50_ns=newest[(count - 1) // 2] if count else 0,
            p99_ns=newest[(99 * count + 99) // 100 - 1] if count else 0,  # the nearest rank
            max_ns=newest[-1] if count else 0,
        )


class _OnError:
    """Passes an exception to a function and ends it there: no failure of the meter may end the session."""

    def __init__(self, function: Callable[[Exception], None]) -> None:
        self._function = function

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._function(error)
        return True


class Meter:
    """The meter of one session. `run` writes lines until cancelled, `finish` the last one."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: SessionClock,
        sequencer: Sequencer,
        ingress: Ingress,
        loop: InputLoop,
        writer: JournalWriter,
        gateway: Gateway,
        log_task: LogTask | None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._sequencer = sequencer
        self._ingress = ingress
        self._loop = loop
        self._writer = writer
        self._gateway = gateway
        self._log_task = log_task
        self._syncs = DurationCounter()
        self._sends: dict[tuple[str, str], DurationCounter] = {}
        self._has_ended = False

    async def run(self) -> None:
        """Write a line every METER_SECONDS until cancelled, or until one fails."""
        while not self._has_ended:
            await trio.sleep(METER_SECONDS)
            with _OnError(self._end):
                line = self._measure()
                await trio.to_thread.run_sync(write_line, self._folder, line, abandon_on_cancel=True)

    def finish(self) -> None:
        """Write the last line. Blocks; called when the session's tasks have ended and its journal has not."""
        if self._has_ended or not self._sequencer.has_begun:
            return
        with _OnError(self._end):
            write_line(self._folder, self._measure())

    def _end(self, error: Exception) -> None:
        self._has_ended = True
        log.warning("the meter of this session ended; the session continues", reason=f"{type(error).__name__}: {error}")

    def _measure(self) -> MeterLine:
        for duration_ns in _drain(self._writer.sync_times_ns):
            self._syncs.add(duration_ns)
        for sent in _drain(self._gateway.sends):
            counter = self._sends.setdefault((str(sent.purpose), str(sent.transport)), DurationCounter())
            counter.add(sent.after_ns // self._clock.speed)
        state, log_task = self._sequencer.state, self._log_task
        return MeterLine(
            wall_ns=wall_ns(),
            time_ns=state.time_ns,
            seq=state.seq,
            waiting=self._ingress.waiting,
            waiting_peak=self._ingress.pop_recent_peak(),
            lag_ns=self._loop.lag_ns,
            lag_peak_ns=self._loop.pop_lag_peak_ns(),
            unsynced=state.seq - self._writer.durable_seq,
            unwritten_bytes=self._writer.pending_bytes,
            sync=self._syncs.read(),
            sends=tuple(
                SendDurations(purpose=purpose, transport=transport, **msgspec.structs.asdict(counter.read()))
                for (purpose, transport), counter in self._sends.items()
            ),
            log_waiting=0 if log_task is None else log_task.waiting,
            log_dropped=0 if log_task is None else log_task.dropped,
            resident_bytes=resident_bytes(),
            cpu_ns=time.process_time_ns(),
            free_bytes=0,
        )


def write_line(folder: Path, line: MeterLine) -> None:
    """Append a line with the free space of its disk. Runs in a thread: a disk that hangs delays nothing.

    Raises:
        OSError: The disk refused, or what is left of it belongs to the journal.
    """
    status = os.statvfs(folder)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < METER_FREE_BYTES_MIN:
        raise OSError(errno.ENOSPC, f"{free_bytes / 2**20:,.0f} MiB are left, which the journal needs")
    append_line(folder, msgspec.json.encode(msgspec.structs.replace(line, free_bytes=free_bytes)))


def append_line(folder: Path, line: bytes) -> None:
    """Append a line to the meter of a session; a full file becomes the older one and replaces that.

    Raises:
        OSError: The disk refused, or wrote only a part.
    """
    path, data = folder / METER_FILE, line + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        if os.fstat(fd).st_size + len(data) > METER_BYTES_MAX:
            path.rename(folder / OLDER_METER_FILE)
            os.close(fd)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, "only a part of the line was written", str(path))
    finally:
        os.close(fd)


def _drain(queue: deque[T]) -> list[T]:
    """Remove and return what another task or thread appended."""
    return [queue.popleft() for _ in range(len(queue))]


def resident_bytes() -> int:
    """Return the memory of this process in RAM, or 0 where the system has no /proc."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
