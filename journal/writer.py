"""The one writer of a journal: takes whole steps into memory, and a thread of its own brings them to stable storage.

    append_step ──► memory ──► frame ──► write ──► fdatasync ──► on_durable
     (caller)                 (the writer's thread; seals in another)

Frames and segments are cut only between steps. The first failed write or sync is final.
Knows the disk by its protocol, and nothing of what records mean.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from journal.content_hash import CHAIN_START
from journal.disk import Disk, RealDisk
from journal.errors import JournalBehindError, JournalFailedError
from journal.frames import encode
from journal.record import Record
from journal.seal import seal
from journal.segments import open_name

if TYPE_CHECKING:
    from journal.signing import Signer

WAITING_BYTES_MAX = 64 * 1024 * 1024  # 14 s of 15,000 messages a second: a disk that stalls longer has failed us
ROW_BYTES = 100  # what a record takes beside its payload or body, roughly
SEALER_NICE = 5  # on Linux a thread has its own
_KEY = object()


class Durable:
    """Proof that a record, and everything before it, is on stable storage. Only a JournalWriter makes one."""

    __slots__ = ("seq",)

    def __init__(self, seq: int, *, _key: object = None) -> None:
        assert _key is _KEY, "only a JournalWriter knows what is durable"
        self.seq = seq

    def __repr__(self) -> str:
        return f"Durable(seq={self.seq})"


class _Options(NamedTuple):
    """See JournalWriter.create."""

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
    folder: Path
    last_seq: int
    segments: int
    frames: int
    open_bytes: int  # as frames, before sealing
    chain: str
    final: bool


class JournalWriter:
    """See `create`. Its methods may be called from any thread, but steps must come from one at a time."""

    def __init__(self, disk: Disk, options: _Options) -> None:
        self.folder = disk.folder
        self._disk = disk
        self._options = options
        # shared between the caller's thread and ours, under one lock
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._synced = threading.Condition(self._lock)
        self._groups: list[list[Record]] = []  # of whole steps, each to be one frame; the last may still grow
        self._pending_bytes = 0
        self._pending_since_s = 0.0
        self._next_seq = 0
        self._durable_seq = -1
        self._urgent = self._closing = self._abandoned = False
        self._asleep = False  # the writer's thread waits for a record, and for no group's time
        self._failed: BaseException | None = None
        # the writer's thread alone
        self._written_seq = -1
        self._unsynced_since_s: float | None = None
        self._space_told = False
        self._segment_first_seq = 0
        self._segment_size = 0
        self._segment_since_s = time.monotonic()
        self._frames = self._open_bytes = 0
        # the sealer's thread alone, until it has ended
        self._to_seal: SimpleQueue[tuple[int, bool] | None] = SimpleQueue()
        self._chain = CHAIN_START
        self._segments = 0
        self._final = True
        self._writer_thread = threading.Thread(target=self._write_all, name="journal-writer", daemon=True)
        self._sealer_thread = threading.Thread(target=self._seal_all, name="journal-sealer", daemon=True)

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
        """A new journal in a folder that must not exist (given `disk`, in that disk's folder).

        A record waits at most `group_delay_s` for its frame, less where `group_rows` wait; a written one at most
        `sync_delay_s` for stable storage. A segment ends at `segment_bytes` or `segment_age_s`. `on_durable` gets the last
        durable seq; `on_low_space`, once, the free bytes where they are fewer than `free_bytes_min`. The callbacks run in
        the writer's threads and must not raise. `signer` signs what is sealed. `sync=False` is for benchmarks: nothing is then durable, whatever is said.
        JournalFailedError where the folder cannot be made.
        """
        disk = RealDisk.make(folder) if disk is None else disk
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
            raise JournalFailedError(f"{folder}: the first segment cannot be made: {error}.") from error
        writer._writer_thread.start()
        writer._sealer_thread.start()
        atexit.register(
            writer.abandon
        )  # a sealer inside Arrow must not outlive the interpreter: it aborts, or waits for ever
        return writer

    # ---- the caller's side -----------------------------------------------------------------------------

    def append_step(self, records: Sequence[Record], *, urgent: bool = False) -> None:
        """Take one whole step. Memory only; `urgent` closes the group at once and asks for a sync."""
        seq, step_bytes = self._next_seq, ROW_BYTES * len(records)
        for record in records:
            payload, body = record.payload, record.body
            assert record.seq == seq, (record.seq, seq)
            assert (payload is None) != (body is None), record
            step_bytes += len(payload or body or "")
            seq += 1
        with self._lock:
            if self._failed is not None:
                raise self._failure()
            assert not self._closing, "append after close"
            waiting = bool(self._groups)
            if waiting and self._pending_bytes + step_bytes > WAITING_BYTES_MAX:
                raise JournalBehindError(
                    f"{self.folder}: more than {WAITING_BYTES_MAX} bytes wait for the disk, which is too slow for this "
                    "session. What to do: end the session, then find what holds up the disk."
                )
            if not waiting:
                self._pending_since_s = time.monotonic()
            if not waiting or len(self._groups[-1]) >= self._options.group_rows:
                self._groups.append([])
            group = self._groups[-1]
            group.extend(records)
            self._pending_bytes += step_bytes
            self._next_seq = seq
            self._urgent |= urgent
            if urgent or self._asleep or len(group) >= self._options.group_rows:
                self._wake.notify()

    def wait_for_room(self) -> None:
        """Block while more than half of the bound waits: for those who write faster than the disk, and need not keep up."""
        with self._synced:
            self._synced.wait_for(lambda: self._pending_bytes <= WAITING_BYTES_MAX // 2 or self._failed is not None)

    @property
    def durable_seq(self) -> int:
        """The last seq on stable storage; -1 at first."""
        return self._durable_seq

    @property
    def written_seq(self) -> int:
        """The last seq handed to the kernel: it survives our end, not the machine's."""
        return self._written_seq

    @property
    def failed(self) -> BaseException | None:
        return self._failed

    def durable(self, seq: int) -> Durable | None:
        """The token that lets a request leave, once its record is on stable storage."""
        return Durable(seq, _key=_KEY) if seq <= self._durable_seq else None

    def wait_durable(self, seq: int, timeout_s: float) -> Durable:
        """Block until then. JournalFailedError, or TimeoutError."""
        with self._synced:
            self._synced.wait_for(lambda: self._durable_seq >= seq or self._failed is not None, timeout_s)
        if token := self.durable(seq):
            return token
        if self._failed is not None:
            raise self._failure()
        raise TimeoutError(f"record {seq} was not durable within {timeout_s} s")

    def close(self, *, final: bool = True) -> ClosedSummary:
        """Bring everything to stable storage, seal it, release the lock. `final` marks the session as ended."""
        self._final = final
        self._end()
        if self._failed is not None:
            raise self._failure()
        return ClosedSummary(
            folder=self.folder,
            last_seq=self._durable_seq,
            segments=self._segments,
            frames=self._frames,
            open_bytes=self._open_bytes,
            chain=self._chain,
            final=final,
        )

    def abandon(self) -> None:
        """End as a crash would: what waits in memory is lost, nothing is sealed. The lock is released."""
        with self._wake:
            self._abandoned = True
        self._end()

    def _end(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._writer_thread.join()
        self._to_seal.put(None)
        self._sealer_thread.join()
        self._disk.release()
        atexit.unregister(self.abandon)

    def _failure(self) -> JournalFailedError:
        error = JournalFailedError(
            f"{self.folder}: {'the disk failed' if isinstance(self._failed, OSError) else 'writing failed'} ({self._failed}), so nothing more is written. Durable up to record "
            f"{self._durable_seq}. What to do: look after the disk, then recover this session."
        )
        error.__cause__ = self._failed
        return error

    # ---- the writer's thread ---------------------------------------------------------------------------

    def _write_all(self) -> None:
        try:
            taken: list[list[Record]] = []
            closing = False
            while not closing:
                taken, sync, closing = self._take(more_expected=bool(taken))
                if self._abandoned:
                    return
                for group in taken:
                    self._write(group)
                if self._unsynced_since_s is not None and (
                    sync or time.monotonic() >= self._unsynced_since_s + self._options.sync_delay_s
                ):
                    self._make_durable()
            self._disk.close(open_name(self._segment_first_seq))
            self._to_seal.put((self._segment_first_seq, self._final))
        except BaseException as error:  # noqa: BLE001 - whatever it is, nothing can be written any more
            self._fail(error)

    def _take(self, *, more_expected: bool) -> tuple[list[list[Record]], bool, bool]:
        """Wait until a group is due or a sync is; the groups, whether they ask for a sync, whether they are the last.

        Where `more_expected`, what comes is looked for after the delay of a group, and need not wake us: with a market at
        work a group costs one change of thread and not two.
        """
        with self._wake:
            look_s = time.monotonic() + self._options.group_delay_s if more_expected else None
            while not (self._closing or self._urgent or self._full() or self._failed):
                if self._groups:
                    due_s = self._pending_since_s + self._options.group_delay_s
                    look_s = due_s if look_s is None else min(look_s, due_s)
                rest_s = self._rest_s(look_s)
                if rest_s is not None and rest_s <= 0:
                    break
                self._asleep = look_s is None
                self._wake.wait(rest_s)
            self._asleep = False
            if self._failed is not None:
                raise self._failed  # the sealer's: it ends us too
            taken, sync = self._groups, self._urgent or self._closing
            if taken and self._unsynced_since_s is None:
                self._unsynced_since_s = self._pending_since_s
            self._groups, self._pending_bytes, self._urgent = [], 0, False
            self._synced.notify_all()
            return taken, sync, self._closing

    def _full(self) -> bool:
        return bool(self._groups) and len(self._groups[0]) >= self._options.group_rows

    def _rest_s(self, look_s: float | None) -> float | None:
        """Until the look, or until what is written must be synced."""
        sync_s = None if self._unsynced_since_s is None else self._unsynced_since_s + self._options.sync_delay_s
        due_s = min((due for due in (look_s, sync_s) if due is not None), default=None)
        return None if due_s is None else due_s - time.monotonic()

    def _write(self, records: list[Record]) -> None:
        if self._segment_size and (
            self._segment_size >= self._options.segment_bytes
            or time.monotonic() >= self._segment_since_s + self._options.segment_age_s
        ):
            self._roll(records[0].seq)
        frame = encode(records, self._durable_seq)
        self._disk.write(open_name(self._segment_first_seq), frame)
        self._written_seq = records[-1].seq
        self._segment_size += len(frame)
        self._open_bytes += len(frame)
        self._frames += 1

    def _make_durable(self) -> None:
        if self._options.sync:
            self._disk.sync(open_name(self._segment_first_seq))
        self._unsynced_since_s = None
        with self._synced:
            self._durable_seq = self._written_seq
            self._synced.notify_all()
        if self._options.on_durable is not None:
            self._options.on_durable(self._durable_seq)
        self._watch_space()

    def _watch_space(self) -> None:
        """After a sync, so at least every `sync_delay_s` of writing. A disk that is full has failed; this comes before."""
        if self._options.on_low_space is None or self._space_told:
            return
        free_bytes = self._disk.free_bytes()
        if free_bytes < self._options.free_bytes_min:
            self._space_told = True
            self._options.on_low_space(free_bytes)

    def _roll(self, first_seq: int) -> None:
        """A new segment begins only when the old one is wholly durable: so its name vouches for all before it."""
        if self._durable_seq != self._written_seq:
            since_s = self._unsynced_since_s
            self._make_durable()
            self._unsynced_since_s = since_s  # the group in hand still waits
        self._disk.close(open_name(self._segment_first_seq))
        self._disk.create(open_name(first_seq))
        self._disk.sync_folder()
        self._to_seal.put((self._segment_first_seq, False))
        self._segment_first_seq, self._segment_size, self._segment_since_s = first_seq, 0, time.monotonic()

    def _fail(self, error: BaseException) -> None:
        with self._wake:
            first = self._failed is None
            if first:
                self._failed = error
            self._wake.notify_all()
            self._synced.notify_all()
        if first and self._options.on_failure is not None:
            self._options.on_failure(error)

    # ---- the sealer's thread ---------------------------------------------------------------------------

    def _seal_all(self) -> None:
        """In order, since each seal needs the chain value of the one before; gently, since a market may be moving."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SEALER_NICE)
        try:
            while (due := self._to_seal.get()) is not None:
                first_seq, final = due
                if self._abandoned or self._failed is not None:
                    continue
                self._chain = seal(self._disk, first_seq, self._chain, final=final, signer=self._options.signer).chain
                self._segments += 1
        except BaseException as error:  # noqa: BLE001 - a segment that cannot be sealed is a disk that failed
            self._fail(error)
