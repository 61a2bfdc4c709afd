"""The single writer of a journal. It collects whole steps in memory, and its thread brings them to stable storage.

    append_step ──► memory ──► frame ──► write ──► fdatasync ──► on_durable
     (caller)                 (the writer's thread; another thread seals)

Frames and segments are cut only between steps. The first failed write or sync is final.
Uses the disk through its protocol, and knows nothing of the meaning of records.
"""

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from journal.disk import Disk, RealDisk
from journal.errors import JournalBehindError, JournalFailedError
from journal.frames import encode_frame
from journal.record import Record
from journal.sealer import Sealer
from journal.segments import open_name

if TYPE_CHECKING:
    from journal.signing import Signer

WAITING_BYTES_MAX = 64 * 1024 * 1024  # 14 s of 15,000 messages a second: a disk that stalls longer has failed
SYNC_TIMES_MAX = 10_000  # that the reader has not removed
ROW_BYTES = 100  # approximate size of a record without its payload or body
_KEY = object()


class Durable:
    """Proof that a record, and everything before it, is on stable storage. Only a JournalWriter makes one."""

    __slots__ = ("seq",)

    def __init__(self, seq: int, *, _key: object = None) -> None:
        assert _key is _KEY, "only a JournalWriter knows what is durable"
        self.seq = seq


class _Options(NamedTuple):
    """Options of a writer, described at JournalWriter.create."""

    group_delay_s: float
    group_rows: int
    sync_delay_s: float
    segment_bytes: int
    segment_age_s: float
    free_bytes_min: int
    on_durable: Callable[[int], None] | None
    on_failure: Callable[[BaseException], None] | None
    on_low_space: Callable[[int], None] | None
    signer: "Signer | None"
    sync: bool


class ClosedSummary(msgspec.Struct, frozen=True):
    """The totals of a closed journal."""

    folder: Path
    last_seq: int
    segments: int
    frames: int
    open_bytes: int  # as frames, before sealing
    chain: str
    final: bool


class JournalWriter:
    """The writer of one journal. Any thread may call its methods, but only one thread at a time may append."""

    def __init__(self, disk: Disk, options: _Options) -> None:
        self.folder = disk.folder
        self._disk = disk
        self._options = options
        # shared between the caller's thread and the writer's, under one lock
        self._lock = threading.Lock()
        self._work_arrived = threading.Condition(self._lock)
        self._synced = threading.Condition(self._lock)
        self._groups: list[list[Record]] = []  # groups of whole steps, one per frame; the last may still grow
        self.pending_bytes = 0  # approximate size of the records that wait in memory
        self._pending_since_s = 0.0
        self._next_seq = 0
        self._durable_seq = -1
        self._urgent = self._closing = self._abandoned = False
        self._asleep = False  # the writer's thread waits for a record, because no group is pending
        self.failed: BaseException | None = None  # the error that ended the writer
        self.sync_times_ns: deque[int] = deque(maxlen=SYNC_TIMES_MAX)  # newest last; a reader removes what it read
        # used by the writer's thread only
        self._written_seq = -1
        self._unsynced_since_s: float | None = None
        self._low_space_reported = False
        self._segment_first_seq = 0
        self._segment_size = 0
        self._segment_since_s = time.monotonic()
        self._frames = self._open_bytes = 0
        self._final = True
        self._writer_thread = threading.Thread(target=self._write_all, name="journal-writer", daemon=True)
        self._sealer = Sealer(
            disk, options.signer, is_over=lambda: self._abandoned or self.failed is not None, on_failure=self._fail
        )

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        group_delay_s: float = 0.050,
        group_rows: int = 256,
        sync_delay_s: float = 0.250,
        segment_bytes: int = 64 * 1024 * 1024,
        segment_age_s: float = 900,
        free_bytes_min: int = 1 << 30,
        on_durable: Callable[[int], None] | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
        on_low_space: Callable[[int], None] | None = None,
        signer: "Signer | None" = None,
        sync: bool = True,
        disk: Disk | None = None,
    ) -> Self:
        """Create a journal in a new folder, or in the folder of `disk`, and start its threads.

        The callbacks run in the writer's threads and must not raise.

        Args:
            folder: The session's folder, which must not exist.
            group_delay_s: The longest time that a record waits for its frame.
            group_rows: A frame is written earlier if this many records wait.
            sync_delay_s: The longest time that a written record waits for stable storage.
            segment_bytes: Size at which a segment ends.
            segment_age_s: Age at which a segment ends.
            free_bytes_min: `on_low_space` is called below this much free space.
            on_durable: Receives the last durable seq after each sync.
            on_failure: Receives the error that ends the writer.
            on_low_space: Receives the free bytes, once.
            signer: Signs sealed segments.
            sync: False is for benchmarks only: no record is then durable, although it is reported as durable.
            disk: The disk to use. None: the real one.

        Raises:
            JournalFailedError: The folder or the first segment cannot be created.
        """
        disk = RealDisk.create_folder(folder) if disk is None else disk
        options = _Options(
            group_delay_s=group_delay_s,
            group_rows=group_rows,
            sync_delay_s=sync_delay_s,
            segment_bytes=segment_bytes,
            segment_age_s=segment_age_s,
            free_bytes_min=free_bytes_min,
            on_durable=on_durable,
            on_failure=on_failure,
            on_low_space=on_low_space,
            signer=signer,
            sync=sync,
        )
        writer = cls(disk, options)
        try:
            disk.create(open_name(0))
            disk.sync_folder()
        except OSError as error:
            disk.release()
            raise JournalFailedError(f"{folder}: the first segment cannot be created: {error}.") from error
        writer._writer_thread.start()
        writer._sealer.start()
        # a sealer inside Arrow must not outlive the interpreter: it would abort or hang
        atexit.register(writer.abandon)
        return writer

    def append_step(self, records: Sequence[Record], *, urgent: bool = False) -> None:
        """Append one whole step in memory, without waiting for the disk.

        Args:
            records: The records of the step, in sequence.
            urgent: True closes the group at once and requests a sync.

        Raises:
            JournalFailedError: An earlier write failed.
            JournalBehindError: Too many bytes wait for the disk.
        """
        seq, step_bytes = self._next_seq, ROW_BYTES * len(records)
        for record in records:
            payload, body = record.payload, record.body
            assert record.seq == seq, (record.seq, seq)
            assert (payload is None) != (body is None), record
            step_bytes += len(payload or body or "")
            seq += 1
        with self._lock:
            if self.failed is not None:
                raise self._failed_error()
            assert not self._closing, "append after close"
            waiting = bool(self._groups)
            if waiting and self.pending_bytes + step_bytes > WAITING_BYTES_MAX:
                raise JournalBehindError(
                    f"{self.folder}: more than {WAITING_BYTES_MAX} bytes wait for the disk, which is too slow for this "
                    "session. What to do: end the session, then find the cause of the slow disk."
                )
            if not waiting:
                self._pending_since_s = time.monotonic()
            if not waiting or len(self._groups[-1]) >= self._options.group_rows:
                self._groups.append([])
            group = self._groups[-1]
            group.extend(records)
            self.pending_bytes += step_bytes
            self._next_seq = seq
            self._urgent |= urgent
            if urgent or self._asleep or len(group) >= self._options.group_rows:
                self._work_arrived.notify()

    def wait_for_room(self) -> None:
        """Block while more than half of the limit waits, for callers that can produce faster than the disk writes."""
        with self._synced:
            self._synced.wait_for(lambda: self.pending_bytes <= WAITING_BYTES_MAX // 2 or self.failed is not None)

    @property
    def durable_seq(self) -> int:
        """The last seq on stable storage; -1 at first."""
        return self._durable_seq

    @property
    def written_seq(self) -> int:
        """The last seq handed to the kernel. It survives the end of this process, but not of the machine."""
        return self._written_seq

    def durable_token(self, seq: int) -> Durable | None:
        """Return the token that permits a request to leave, or None if its record is not on stable storage yet."""
        return Durable(seq, _key=_KEY) if seq <= self._durable_seq else None

    def wait_durable(self, seq: int, timeout_s: float) -> Durable:
        """Block until a record is on stable storage, and return its token. Raise TimeoutError after `timeout_s`."""
        with self._synced:
            self._synced.wait_for(lambda: self._durable_seq >= seq or self.failed is not None, timeout_s)
        if token := self.durable_token(seq):
            return token
        if self.failed is not None:
            raise self._failed_error()
        raise TimeoutError(f"record {seq} was not durable within {timeout_s} s")

    def close(self, *, final: bool = True) -> ClosedSummary:
        """Bring all records to stable storage, seal them and release the lock. `final` marks the session as ended."""
        self._final = final
        self._stop_threads()
        if self.failed is not None:
            raise self._failed_error()
        return ClosedSummary(
            folder=self.folder,
            last_seq=self._durable_seq,
            segments=self._sealer.segments,
            frames=self._frames,
            open_bytes=self._open_bytes,
            chain=self._sealer.chain,
            final=final,
        )

    def abandon(self) -> None:
        """End as a crash would: records in memory are lost, nothing is sealed, and the lock is released."""
        with self._work_arrived:
            self._abandoned = True
        self._stop_threads()

    def _stop_threads(self) -> None:
        with self._work_arrived:
            self._closing = True
            self._work_arrived.notify_all()
        self._writer_thread.join()
        self._sealer.finish()
        self._disk.release()
        atexit.unregister(self.abandon)

    def _failed_error(self) -> JournalFailedError:
        error = JournalFailedError(
            f"{self.folder}: {'the disk failed' if isinstance(self.failed, OSError) else 'writing failed'} "
            f"({self.failed}), so nothing more is written. "
            f"Durable up to record {self._durable_seq}. What to do: repair the disk, then recover this session."
        )
        error.__cause__ = self.failed
        return error

    # ---- the writer's thread ---------------------------------------------------------------------------

    def _write_all(self) -> None:
        try:
            groups: list[list[Record]] = []
            closing = False
            while not closing:
                groups, sync, closing = self._next_groups(more_expected=bool(groups))
                if self._abandoned:
                    return
                for group in groups:
                    self._write(group)
                if self._unsynced_since_s is not None and (
                    sync or time.monotonic() >= self._unsynced_since_s + self._options.sync_delay_s
                ):
                    self._make_durable()
            self._disk.close(open_name(self._segment_first_seq))
            self._sealer.put(self._segment_first_seq, final=self._final)
        except BaseException as error:  # noqa: BLE001 - after any error nothing can be written
            self._fail(error)

    def _next_groups(self, *, more_expected: bool) -> tuple[list[list[Record]], bool, bool]:
        """Wait until a group or a sync is due.

        If `more_expected`, the thread checks for records after the delay of a group instead of being notified, so a
        busy market costs one change of thread per group and not two.

        Returns:
            The groups, True if a sync is requested, and True if they are the last.
        """
        with self._work_arrived:
            check_s = time.monotonic() + self._options.group_delay_s if more_expected else None
            while not (self._closing or self._urgent or self._is_full() or self.failed):
                if self._groups:
                    due_s = self._pending_since_s + self._options.group_delay_s
                    check_s = due_s if check_s is None else min(check_s, due_s)
                rest_s = self._seconds_until_due(check_s)
                if rest_s is not None and rest_s <= 0:
                    break
                self._asleep = check_s is None
                self._work_arrived.wait(rest_s)
            self._asleep = False
            if self.failed is not None:
                raise self.failed  # the sealer's error ends the writer too
            groups, sync = self._groups, self._urgent or self._closing
            if groups and self._unsynced_since_s is None:
                self._unsynced_since_s = self._pending_since_s
            self._groups, self.pending_bytes, self._urgent = [], 0, False
            self._synced.notify_all()
            return groups, sync, self._closing

    def _is_full(self) -> bool:
        return bool(self._groups) and len(self._groups[0]) >= self._options.group_rows

    def _seconds_until_due(self, check_s: float | None) -> float | None:
        """Return the seconds until the next check or the next sync, or None if neither is due."""
        sync_s = None if self._unsynced_since_s is None else self._unsynced_since_s + self._options.sync_delay_s
        due_s = min((due for due in (check_s, sync_s) if due is not None), default=None)
        return None if due_s is None else due_s - time.monotonic()

    def _write(self, records: list[Record]) -> None:
        if self._segment_size and (
            self._segment_size >= self._options.segment_bytes
            or time.monotonic() >= self._segment_since_s + self._options.segment_age_s
        ):
            self._roll(records[0].seq)
        frame = encode_frame(records, self._durable_seq)
        self._disk.write(open_name(self._segment_first_seq), frame)
        self._written_seq = records[-1].seq
        self._segment_size += len(frame)
        self._open_bytes += len(frame)
        self._frames += 1

    def _make_durable(self) -> None:
        if self._options.sync:
            began_ns = time.monotonic_ns()
            self._disk.sync(open_name(self._segment_first_seq))
            self.sync_times_ns.append(time.monotonic_ns() - began_ns)
        self._unsynced_since_s = None
        with self._synced:
            self._durable_seq = self._written_seq
            self._synced.notify_all()
        if self._options.on_durable is not None:
            self._options.on_durable(self._durable_seq)
        self._watch_space()

    def _watch_space(self) -> None:
        """Call `on_low_space` once if the disk is nearly full. Runs after each sync, so before the disk fails."""
        if self._options.on_low_space is None or self._low_space_reported:
            return
        free_bytes = self._disk.free_bytes()
        if free_bytes < self._options.free_bytes_min:
            self._low_space_reported = True
            self._options.on_low_space(free_bytes)

    def _roll(self, first_seq: int) -> None:
        """Begin a new segment. The old one is synced first: its successor's name proves its records durable."""
        if self._durable_seq != self._written_seq:
            since_s = self._unsynced_since_s
            self._make_durable()
            self._unsynced_since_s = since_s  # the current group still waits
        self._disk.close(open_name(self._segment_first_seq))
        self._disk.create(open_name(first_seq))
        self._disk.sync_folder()
        self._sealer.put(self._segment_first_seq, final=False)
        self._segment_first_seq, self._segment_size, self._segment_since_s = first_seq, 0, time.monotonic()

    def _fail(self, error: BaseException) -> None:
        with self._work_arrived:
            first = self.failed is None
            if first:
                self.failed = error
            self._work_arrived.notify_all()
            self._synced.notify_all()
        if first and self._options.on_failure is not None:
            self._options.on_failure(error)
