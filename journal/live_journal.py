"""A journal that is being written, read as a `Journal` whose end moves: who asks for what is not there yet waits for it.

One follower reads each record once and hands it on. The newest are held in memory, so that those who take them a moment later need
no file; what lies further back is read from the files as of any journal. It only reads: what it makes of them lies in no file.
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
from journal.segments import Sealed
from journal.tail import Follower

POLL_S = 0.05
LOCK_LOOKS = 20  # idle polls between two looks whether it still has a writer
HELD_ROWS = 16_384  # seconds of a busy market: who takes a record comes seldom later than that
PART_ROWS = 65_536  # of what lies further back, at once


class LiveJournal(Journal):
    """From its first record on; `last_seq` is how far it was read, and moves in `reaches` alone. DamagedJournalError, NotAJournalError."""

    def __init__(
        self, folder: Path, *, is_over: Callable[[], bool], on_records: Callable[[Sequence[Record]], None]
    ) -> None:
        """`is_over` is asked at each poll: its reader wants no more. `on_records` gets all records, each once and before anybody else."""
        super().__init__(folder)
        self.closed = False  # it came to its proper end, which was read
        self.has_writer = True
        self._there = Journal(folder)  # as it was when something further back was asked for
        self._follower = Follower(folder)
        self._is_over = is_over
        self._on_records = on_records
        self._held: list[Record] = []  # the newest, without a gap
        self._ended = False
        self._idle = 0
        self.last_seq = -1
        self._take(self._follower.poll())

    def reaches(self, seq: int) -> bool:
        while self.last_seq < seq and not self._ended:
            found = self._follower.poll()
            if self._is_over():
                self._ended = True
                found = list(takewhile(lambda record: record.kind not in INPUTS, found))  # of the step that was begun
            if found:
                self._take(found)
            elif not self._ended:
                self._wait()
        return self.last_seq >= seq

    def _take(self, found: list[Record]) -> None:
        if not found:
            return
        self._idle = 0
        if len(self._held) > 2 * HELD_ROWS:
            del self._held[:-HELD_ROWS]
        self._held += found
        self.last_seq = found[-1].seq
        self._on_records(found)

    def _wait(self) -> None:
        if self._follower.ended:
            self.closed = self._ended = True
        elif not self.has_writer:  # and nothing came since that was seen
            self._ended = True
        elif self._idle % LOCK_LOOKS == 0 and not is_locked(self.folder):
            self.has_writer = False
        else:
            self._idle += 1
            time.sleep(POLL_S)

    # ---- as a journal

    def part_at(self, seq: int) -> tuple[int, int, Sealed | None]:
        """Never a sealed file: what is made of those is kept beside them, and this folder is another's."""
        return seq, min(self.last_seq, seq + PART_ROWS - 1), None

    def records(
        self,
        from_seq: int = 0,
        to_seq: int | None = None,
        *,
        kinds: Collection[Kind] | None = None,
        sources: Collection[str] | None = None,
    ) -> Iterator[Record]:
        held = self._held_from(from_seq, to_seq)
        if held is None:
            yield from super().records(from_seq, to_seq, kinds=kinds, sources=sources)
            return
        for record in held:
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
        last_seq = self.last_seq if to_seq is None else min(to_seq, self.last_seq)
        if self._held_from(from_seq, last_seq) is None:
            if last_seq > self._there.last_seq:
                self._there = Journal(self.folder)
            yield from self._there.batches(from_seq, columns, to_seq=last_seq, kinds=kinds, sources=sources)
        elif chosen := list(self.records(from_seq, last_seq, kinds=kinds, sources=sources)):
            batch = from_message(to_message(chosen))
            yield batch if columns is None else batch.select(list(columns))

    def _held_from(self, from_seq: int, to_seq: int | None) -> list[Record] | None:
        """None where one of them is not held any more."""
        first_seq = self._held[0].seq if self._held else 0
        if from_seq < first_seq:
            return None
        return self._held[from_seq - first_seq : None if to_seq is None else max(to_seq + 1 - first_seq, 0)]
