"""The records of a session as they are written, until it ends: the live counterpart of `analysis/session.py`.

Reads the files of the session from another process and without a lock, so it cannot slow the session down. Memory holds
one poll of records.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from analysis.choices import chosen_kinds, chosen_sources
from journal.disk import is_locked
from journal.record import Kind, Record
from journal.tail import Follower

if TYPE_CHECKING:
    from analysis.state_at import StateAt
    from engine.kernel import Kernel
    from engine.state.session_state import State

POLL_S = 0.05
LOCK_CHECK_S = 1.0  # between two checks for a writer, while no record arrives


class RecordStream(Iterator[Record], AsyncIterator[Record]):
    """Yields the records of a session from `from_seq` on, in a `for` or, in trio, an `async for` loop.

    It ends with the session: closed, or its process ended. `ending` says how.
    """

    def __init__(
        self,
        folder: Path,
        *,
        from_seq: int = 0,
        kinds: Kind | str | Collection[Kind | str] = (),
        sources: str | Collection[str] = (),
        durable: bool = True,
        timeout_s: float | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        """Begin to follow a session.

        Args:
            folder: The session.
            from_seq: The first record to yield.
            kinds: Kinds of records. Default: all.
            sources: Sources of records. Default: all.
            durable: Yield a record once it is on stable storage. False: once it is written, 0.1 s earlier; a power
                cut may still lose it.
            timeout_s: End if no record comes for this time.
            poll_s: The pause between two reads of the files.

        Raises:
            NotAJournalError: The folder contains no journal.
            ValueError: A kind is unknown, or the time is negative.
        """
        self.folder = folder
        self.ending = ""  # "closed", "stopped" (its process ended), "timeout" or "left" once the stream has ended
        self._kinds, self._sources = chosen_kinds(kinds), chosen_sources(sources)
        if timeout_s is not None and timeout_s < 0:
            raise ValueError(f"timeout_s is {timeout_s!r}. What to do: give seconds from 0 on, or None.")
        self._durable, self._timeout_s, self._poll_s = durable, timeout_s, poll_s
        self._follower = Follower(folder, from_seq)
        self._lock = Lock()  # against `close` in another thread
        self._waiting: deque[Record] = deque()  # read, and not yielded yet
        self._last_seq = from_seq - 1  # the last record that was yielded or left out
        self._folded: tuple[Kernel, State, Record] | None = None
        self._idle_since_s = time.monotonic()
        self._checked_s = -LOCK_CHECK_S  # of the monotonic clock
        self._has_writer = True

    # ---- loops

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Record:
        while (record := self._next()) is None:
            if self._read():
                continue
            if self.ending:
                raise StopIteration
            time.sleep(self._poll_s)
        return record

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        import trio  # most sessions that are opened are not followed in trio

        await trio.lowlevel.checkpoint()
        while (record := self._next()) is None:
            if await trio.to_thread.run_sync(self._read):
                continue
            if self.ending:
                raise StopAsyncIteration
            await trio.sleep(self._poll_s)
        return record

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and close its file, also while another thread waits for a record."""
        with self._lock:
            self._follower.close()
            self._waiting.clear()
            self.ending = self.ending or "left"

    # ---- state

    def state(self) -> "StateAt":
        """Return the engine's state after the last record of the stream, also if that was filtered out.

        The first call rebuilds it; from then on each record is folded when it is read from the stream.

        Raises:
            CoreError: A record cannot be folded.
        """
        from analysis.state_at import StateAt
        from replay.rebuild import rebuild

        if self._folded is None:
            self._folded = rebuild(self.folder, until=max(self._last_seq, 0))
        return StateAt(*self._folded)

    # ---- parts

    def _next(self) -> Record | None:
        """Return the next record that may be yielded and is selected."""
        while (record := self._pop()) is not None:
            self._last_seq = record.seq
            if self._folded is not None and record.seq > self._folded[1].seq:
                kernel, state, _ = self._folded
                kernel.rebuild(state, record)
                self._folded = kernel, state, record
            if (not self._kinds or record.kind in self._kinds) and (
                not self._sources or record.source in self._sources
            ):
                return record
        return None

    def _pop(self) -> Record | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting and self._is_released(self._waiting[0]) else None

    def _is_released(self, record: Record) -> bool:
        # at the end all records are in files, and a recovery keeps them
        return not self._durable or record.seq <= self._follower.durable_seq or self.ending in ("closed", "stopped")

    def _read(self) -> bool:
        """Read new records. Return True if some came, or if the end released those that waited."""
        with self._lock:
            if self.ending:
                return False
            if records := self._follower.poll():
                self._waiting += records
                self._idle_since_s = time.monotonic()
                return True
            self.ending = self._find_ending()
            if self.ending:
                self._follower.close()
            return bool(self.ending) and bool(self._waiting)

    def _find_ending(self) -> str:
        """Return why the stream ends, or "". Called when a poll found no record."""
        if self._follower.ended:
            return "closed"
        if not self._has_writer:  # and no record has come since
            return "stopped"
        now_s = time.monotonic()
        if self._timeout_s is not None and now_s - self._idle_since_s >= self._timeout_s:
            return "timeout"
        if now_s - self._checked_s >= LOCK_CHECK_S:
            self._checked_s = now_s
            self._has_writer = is_locked(self.folder)
        return ""
