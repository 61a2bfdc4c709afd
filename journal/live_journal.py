"""Live journal: a journal that is being written, read as a `Journal` whose end moves.

A reader that needs a later record waits for it. One follower reads each record once. The newest records stay in memory
for the readers that use them soon after; older ones are read from the files. Nothing here writes a file.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import pyarrow as pa

from journal.arrow_codec import from_message, to_message
from journal.disk import is_locked
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.segments import SealedSegment
from journal.tail import Follower

POLL_S = 0.05
LOCK_CHECK_POLLS = 20  # idle polls between two checks for a writer
MEMORY_ROWS = 16_384  # seconds of a busy market: readers are seldom further behind
CHUNK_ROWS = 65_536  # size of a range of older records


class LiveJournal(Journal):
    """A journal whose end moves. `last_seq` is the last record read so far, and only `wait_for` advances it."""

    def __init__(
        self, folder: Path, *, is_over: Callable[[], bool], on_records: Callable[[Sequence[Record]], None]
    ) -> None:
        """Read all records that exist now.

        Args:
            folder: The session's folder.
            is_over: Called at each poll. True ends the reading.
            on_records: Receives all records in order, before any other reader of this object.

        Raises:
            DamagedJournalError: The journal is damaged.
            NotAJournalError: The folder contains no journal.
        """
        super().__init__(folder)
        self.closed = False  # the session was closed, and its end was read
        self.has_writer = True
        self._snapshot = Journal(folder)  # the files when an older record was last read
        self._follower = Follower(folder)
        self._is_over = is_over
        self._on_records = on_records
        self._recent: list[Record] = []  # the newest records, without a gap
        self._ended = False
        self._idle = 0
        self.last_seq = -1
        self._accept(self._follower.poll())

    def wait_for(self, seq: int) -> bool:
        """Block until record `seq` is read. Return False if the session ended before it."""
        while self.last_seq < seq and not self._ended:
            records = self._follower.poll()
            if self._is_over():
                self._ended = True
                records = list(takewhile(lambda record: record.kind not in INPUTS, records))  # of the unfinished step
            if records:
                self._accept(records)
            elif not self._ended:
                self._wait()
        return self.last_seq >= seq

    def _accept(self, records: list[Record]) -> None:
        if not records:
            return
        self._idle = 0
        if len(self._recent) > 2 * MEMORY_ROWS:
            del self._recent[:-MEMORY_ROWS]
        self._recent += records
        self.last_seq = records[-1].seq
        self._on_records(records)

    def _wait(self) -> None:
        if self._follower.ended:
            self.closed = self._ended = True
        elif not self.has_writer:  # and no record has arrived since
            self._ended = True
        elif self._idle % LOCK_CHECK_POLLS == 0 and not is_locked(self.folder):
            self.has_writer = False
        else:
            self._idle += 1
            time.sleep(POLL_S)

    # ---- the interface of Journal

    def segment_at(self, seq: int) -> tuple[int, int, SealedSegment | None]:
        """Return the range of the next records, and None as their sealed file.

        Caches belong beside a sealed file, and another process owns this folder, so no sealed file is offered.
        """
        return seq, min(self.last_seq, seq + CHUNK_ROWS - 1), None

    def records(
        self,
        from_seq: int = 0,
        to_seq: int | None = None,
        *,
        kinds: Collection[Kind] | None = None,
        sources: Collection[str] | None = None,
    ) -> Iterator[Record]:
        """Yield records from memory if all of them are there, otherwise from the files."""
        recent = self._recent_from(from_seq, to_seq)
        if recent is None:
            yield from super().records(from_seq, to_seq, kinds=kinds, sources=sources)
            return
        for record in recent:
            if (kinds is None or record.kind in kinds) and (sources is None or record.source in sources):
                yield record

    def batches(
        self,
        from_seq: int = 0,
        columns: Sequence[str] | None = None,
        *,
        to_seq: int | None = None,
        kinds: Collection[Kind] | None = None,
        sources: Collection[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches from memory if all records are there, otherwise from the files."""
        last_seq = self.last_seq if to_seq is None else min(to_seq, self.last_seq)
        if self._recent_from(from_seq, last_seq) is None:
            if last_seq > self._snapshot.last_seq:
                self._snapshot = Journal(self.folder)
            yield from self._snapshot.batches(from_seq, columns, to_seq=last_seq, kinds=kinds, sources=sources)
        elif chosen := list(self.records(from_seq, last_seq, kinds=kinds, sources=sources)):
            batch = from_message(to_message(chosen))
            yield batch if columns is None else batch.select(list(columns))

    def _recent_from(self, from_seq: int, to_seq: int | None) -> list[Record] | None:
        """Return the records in memory from `from_seq` on, or None if the first of them is no longer there."""
        first_seq = self._recent[0].seq if self._recent else 0
        if from_seq < first_seq:
            return None
        return self._recent[from_seq - first_seq : None if to_seq is None else max(to_seq + 1 - first_seq, 0)]
