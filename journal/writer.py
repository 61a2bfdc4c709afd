"""The single writer of a journal. It collects whole steps in memory, and its thread brings them to stable storage.

    append_step ──► memory ──► frame ──► write ──► fdatasync ──► on_durable
     (caller)                 (the writer's thread; another thread seals)

`commit` does the same in the caller's thread, while the disk is fast: an order then waits for no change of thread.
Frames and segments are cut only between steps. The first failed write or sync is final.
Uses the disk through its protocol, and knows nothing of the meaning of records.
"""

import atexit
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from journal.disk import Disk, RealDisk
from journal.durable import Durable, make_token
from journal.errors import JournalBehindError, JournalFailedError
from journal.final_errors import FinalErrors, HeldTurn, exclusive_turn
from journal.frame_output import DiskPace, FrameOutput
from journal.record import Record
from journal.sealer import Sealer
from journal.space_watch import SpaceWatch
from journal.writer_options import ClosedSummary, Release, WriterOptions

if TYPE_CHECKING:
    from journal.signing import Signer

WAITING_BYTES_MAX = 64 * 1024 * 1024  # 14 s of 15,000 messages a second: a disk that stalls longer has failed
COMMIT_BYTES_MAX = 256 * 1024  # that a caller writes itself
COMMIT_NS_MAX = 2_000_000  # a caller waits for the disk only while it was faster than this
TURN_S_MAX = 0.002  # that a caller waits for the writer's thread
URGENT_SYNC_S = 0.005  # until an urgent record that a caller wrote is synced; an order's commit syncs it earlier
ROW_BYTES = 100  # approximate size of a record without its payload or body


class JournalWriter:
    """The writer of one journal. Any thread may call its methods, but only one thread at a time may append."""

    def __init__(
        self, disk: Disk, output: FrameOutput, space: SpaceWatch, options: WriterOptions, signer: "Signer | None"
    ) -> None:
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
        self._taken_since_s = 0.0  # of the groups that are being written
        self._next_seq = 0
        self._urgent = self._closing = self._abandoned = False
        self.has_deferred = False  # a step waits for `commit` or `wake`
        self._asleep = False  # the writer's thread waits for a record, because no group is pending
        self._wakes_s = math.inf  # when the waiting thread continues by itself
        self._waiters = 0  # callers that wait on `_synced`
        self.failed: BaseException | None = None  # the error that ended the writer
        self._final = True
        self._waits_for_sync = options.release is Release.DURABLE
        self._output = output
        self._write_turn, self._sync_turn = [HeldTurn(turn, self._fail) for turn in output.turns]
        self._pace = DiskPace(options.commit_ns_max)
        self.sync_times_ns = output.sync_times_ns  # newest last; a reader removes what it read
        self._space = space
        self._writer_thread = threading.Thread(target=self._write_all, name="journal-writer", daemon=True)
        self._sealer = Sealer(
            disk, signer, is_over=lambda: self._abandoned or self.failed is not None, on_failure=self._fail
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
        defers: bool = False,
        release: Release = Release.DURABLE,
        commit_ns_max: int = COMMIT_NS_MAX,
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
            on_durable: Receives the last durable seq after each sync of the writer's thread.
            on_failure: Receives the error that ends the writer.
            on_low_space: Receives the free bytes, once.
            signer: Signs sealed segments.
            sync: False is for benchmarks only: no record is then durable, although it is reported as durable.
            defers: The caller calls `commit` or `wake` after urgent steps, before it waits for anything.
            release: What a record must be before `durable_token` returns its token.
            commit_ns_max: `commit` leaves the disk to the writer's thread if one of the last commits took longer.
            disk: The disk to use. None: the real one.

        Raises:
            JournalFailedError: The folder or the first segment cannot be created.
        """
        disk = RealDisk.create_folder(folder) if disk is None else disk
        options = WriterOptions(
            group_delay_s=group_delay_s,
            group_rows=group_rows,
            sync_delay_s=sync_delay_s,
            commit_ns_max=commit_ns_max,
            defers=defers,
            release=release,
            on_durable=on_durable,
            on_failure=on_failure,
        )
        output = FrameOutput(disk, segment_bytes=segment_bytes, segment_age_s=segment_age_s, syncs=sync)
        writer = cls(disk, output, SpaceWatch(disk, free_bytes_min, on_low_space), options, signer)
        try:
            output.begin()
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
            urgent: True closes the group at once and requests a sync; a writer that `defers` only notes that.

        Raises:
            JournalFailedError: An earlier write failed.
            JournalBehindError: Too many bytes wait for the disk.
        """
        seq, step_bytes = self._next_seq, ROW_BYTES * len(records)
        for record in records:
            assert record.seq == seq, (record.seq, seq)
            assert (record.payload is None) != (record.body is None), record
            step_bytes += len(record.payload or record.body or "")
            seq += 1
        with self._lock:
            if self.failed is not None:
                raise JournalFailedError.after(self.failed, self.folder, self.durable_seq)
            assert not self._closing, "append after close"
            waiting = bool(self._groups)
            if waiting and self.pending_bytes + step_bytes > WAITING_BYTES_MAX:
                raise JournalBehindError(self.folder, WAITING_BYTES_MAX)
            if not waiting:
                self._pending_since_s = time.monotonic()
            if not waiting or len(self._groups[-1]) >= self._options.group_rows:
                self._groups.append([])
            group = self._groups[-1]
            group.extend(records)
            self.pending_bytes += step_bytes
            self._next_seq = seq
            self._urgent |= urgent
            if urgent and self._options.defers:
                self.has_deferred = True
            elif urgent or self._asleep or len(group) >= self._options.group_rows:
                self._work_arrived.notify()

    def wake(self) -> None:
        """Let the writer's thread write urgent steps that were deferred, and sync what is written."""
        with self._lock:
            self._urgent, self.has_deferred = True, False
            self._output.hasten_sync()  # also if a caller takes the groups and `_urgent` before the thread runs
            self._work_arrived.notify()

    def write_deferred(self) -> None:
        """Write urgent steps that no request waits for, in the caller's thread. The writer's thread syncs them soon.

        Not at once: an order that comes next would wait for that sync and for its own.
        """
        began_ns = time.monotonic_ns()
        if self._write_now(URGENT_SYNC_S):
            self._pace.note_write(time.monotonic_ns() - began_ns)
            with self._lock:
                if self._output.sync_due_s < self._wakes_s:
                    self._work_arrived.notify()

    def commit(self) -> bool:
        """Write what waits, and sync it if requests wait for that, in the caller's thread.

        Return False if the writer's thread does it: it is at work, a segment ends, much waits, or the disk was slow.
        """
        began_ns = time.monotonic_ns()
        if not self._write_now(self._options.sync_delay_s):
            return False
        if not self._waits_for_sync:
            self.has_deferred = True  # the caller wakes the writer's thread once the requests have left
        elif self._sync_turn.begin(TURN_S_MAX):
            with self._sync_turn:
                self._make_durable(reports=False)
        else:
            return self._leave_to_thread(is_slow=True)
        self._pace.note(time.monotonic_ns() - began_ns)
        return self.failed is None

    def _leave_to_thread(self, *, is_slow: bool) -> bool:
        """Wake the writer's thread and return False. `is_slow`: a turn did not come in time."""
        if is_slow:
            self._pace.note_slow()
        self.wake()
        return False

    def _write_now(self, sync_within_s: float) -> bool:
        """Write what waits in the caller's thread. If that must not be, wake the writer's thread and return False."""
        is_due = self.pending_bytes <= COMMIT_BYTES_MAX and not self._output.is_segment_over and self._pace.is_fast
        if not (is_due and self._write_turn.begin(TURN_S_MAX)):
            return self._leave_to_thread(is_slow=is_due)
        with self._write_turn:
            self.has_deferred = False
            sync_due_s = time.monotonic() + sync_within_s
            for group in self._next_groups()[0]:
                self._output.write(group, sync_due_s)
        return self.failed is None

    def wait_for_room(self) -> None:
        """Block while more than half of the limit waits, for callers that can produce faster than the disk writes."""
        self._wait_for(lambda: self.pending_bytes <= WAITING_BYTES_MAX // 2 or self.failed is not None)

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Block until a condition holds that a sync or a removed group may change."""
        with self._synced:
            self._waiters += 1  # first: a thread that finds no waiter has changed what the condition reads
            self._synced.wait_for(condition, timeout_s)
            self._waiters -= 1

    @property
    def durable_seq(self) -> int:
        """The last seq on stable storage; -1 at first."""
        return self._output.durable_seq

    @property
    def written_seq(self) -> int:
        """The last seq handed to the kernel. It survives the end of this process, but not of the machine."""
        return self._output.written_seq

    def durable_token(self, seq: int) -> Durable | None:
        """Return the token that permits a request to leave; None before `release` permits it, and after a failure."""
        if self.failed is not None:
            return None
        released_seq = self.durable_seq if self._waits_for_sync else self.written_seq
        return make_token(seq) if seq <= released_seq else None

    def wait_durable(self, seq: int, timeout_s: float) -> Durable:
        """Block until a record is on stable storage, and return its token. Raise TimeoutError after `timeout_s`."""
        with self._work_arrived:
            self._work_arrived.notify()  # the record may have been deferred
        self._wait_for(lambda: self.durable_seq >= seq or self.failed is not None, timeout_s)
        if seq <= self.durable_seq:
            return make_token(seq)
        if self.failed is not None:
            raise JournalFailedError.after(self.failed, self.folder, self.durable_seq)
        raise TimeoutError(f"record {seq} was not durable within {timeout_s} s")

    def close(self, *, final: bool = True) -> ClosedSummary:
        """Bring all records to stable storage, seal them and release the lock. `final` marks the session as ended."""
        self._final = final
        self._stop_threads()
        if self.failed is not None:
            raise JournalFailedError.after(self.failed, self.folder, self.durable_seq)
        return ClosedSummary(
            folder=self.folder,
            last_seq=self.durable_seq,
            segments=self._sealer.segments,
            frames=self._output.frames,
            open_bytes=self._output.bytes,
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

    # ---- the writer's thread ---------------------------------------------------------------------------

    def _write_all(self) -> None:
        with FinalErrors(self._fail):
            had_groups = closing = False
            while not closing:
                self._wait_until_due(more_expected=had_groups)
                with exclusive_turn(self._output.write_turn, self._fail):
                    groups, sync, closing = self._next_groups()
                    if self._abandoned:
                        return
                    for group in groups:
                        self._write(group)
                had_groups, due_s = bool(groups), self._output.sync_due_s
                if due_s < math.inf and (sync or time.monotonic() >= due_s):
                    with exclusive_turn(self._output.sync_turn, self._fail):
                        if self._output.sync_due_s < math.inf:  # else a caller has synced it meanwhile
                            self._make_durable()
            self._output.close()
            self._sealer.put(self._output.first_seq, final=self._final)

    def _wait_until_due(self, *, more_expected: bool) -> None:
        """Wait until a group or a sync is due.

        If `more_expected`, the thread checks for records after the delay of a group instead of being notified, so a
        busy market costs one change of thread per group and not two.
        """
        with self._work_arrived:
            check_s = time.monotonic() + self._options.group_delay_s if more_expected else math.inf
            while not (self._closing or self._urgent or self._is_full() or self.failed):
                if self._groups:
                    check_s = min(check_s, self._pending_since_s + self._options.group_delay_s)
                self._wakes_s = min(check_s, self._output.sync_due_s)
                if (rest_s := self._wakes_s - time.monotonic()) <= 0:
                    break
                self._asleep = check_s == math.inf
                self._work_arrived.wait(None if rest_s == math.inf else rest_s)
            self._asleep = False

    def _next_groups(self) -> tuple[list[list[Record]], bool, bool]:
        """Remove and return the groups that wait, True if a sync is requested, and True if they are the last."""
        with self._lock:
            if self.failed is not None:
                raise self.failed  # an error of the sealer or of the caller ends the writer too
            groups, sync = self._groups, self._urgent or self._closing
            self._taken_since_s = self._pending_since_s
            self._groups, self.pending_bytes, self._urgent = [], 0, False
            if self._waiters:
                self._synced.notify_all()
            return groups, sync, self._closing

    def _is_full(self) -> bool:
        return bool(self._groups) and len(self._groups[0]) >= self._options.group_rows

    # ---- in the thread that holds the turn -------------------------------------------------------------

    def _write(self, records: list[Record]) -> None:
        if self._output.is_segment_over:
            with exclusive_turn(self._output.sync_turn, self._fail):
                if self.durable_seq != self.written_seq:
                    self._make_durable()
                self._output.roll(records[0].seq, lambda first_seq: self._sealer.put(first_seq, final=False))
        began_ns = time.monotonic_ns()
        self._output.write(records, self._taken_since_s + self._options.sync_delay_s)
        if not self._waits_for_sync:
            self._pace.note_in_thread(time.monotonic_ns() - began_ns)

    def _make_durable(self, *, reports: bool = True) -> None:
        """Sync what is written. A caller that commits reads the result itself, so it `reports` nothing."""
        if self.failed is not None:
            raise self.failed  # after a failed sync the next one may succeed without the data
        began_ns = time.monotonic_ns()
        self._output.sync()
        if self._waiters:
            with self._synced:
                self._synced.notify_all()
        if reports and self._waits_for_sync:
            self._pace.note_in_thread(time.monotonic_ns() - began_ns)
        if reports and self._options.on_durable is not None:
            self._options.on_durable(self.durable_seq)
        self._space.check(at_once=reports)

    def _fail(self, error: BaseException) -> None:
        with self._work_arrived:
            first, self.failed = self.failed is None, self.failed or error
            self._work_arrived.notify_all()
            self._synced.notify_all()
        if first and self._options.on_failure is not None:
            self._options.on_failure(error)
