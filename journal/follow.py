"""New records of a journal as they come, across rolls and seals, from any process and without a lock.

Whole frames only. They are written but may not be durable yet: a follower shows, it must not promise.
"""

from pathlib import Path

from journal.batches import to_records
from journal.disk import FileReading
from journal.errors import NotAJournal
from journal.frames import Walk
from journal.record import Record
from journal.segments import Rows, Sealed, first_seqs, open_name, sealed_name

POLL_ROWS = 8_192  # a poll that has so many ends: who follows a long journal from its begin holds a part of it at a time


class Follower:
    """Records from `from_seq` on; each `poll` gives those that came since the last."""

    def __init__(self, folder: Path, from_seq: int = 0) -> None:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        begun = [seq for seq in first_seqs(names, "open") + first_seqs(names, "parquet") if seq <= from_seq]
        if not begun:
            raise NotAJournal(f"{folder} holds no journal. What to do: name the folder of a session.")
        self.folder = folder
        self.next_seq = max(begun)  # the next to be read; those before from_seq are passed over
        self._from_seq = from_seq
        self._first_seq = self.next_seq  # of the segment we are in
        self._reading: FileReading | None = None
        self._offset = 0

    def poll(self) -> list[Record]:
        """What has come since, in order, up to some POLL_ROWS; an empty list where nothing has."""
        found: list[Record] = []
        while len(found) < POLL_ROWS and self._read_some(found):
            pass
        return found

    def _read_some(self, found: list[Record]) -> bool:
        """Read what the segment has. Whether there may be more in the next."""
        if self._reading is None:
            try:
                self._reading = FileReading(self.folder / open_name(self.next_seq))
            except FileNotFoundError:
                return self._read_sealed(found)
            self._first_seq, self._offset = self.next_seq, 0
        walk = Walk(self._reading, self.next_seq, offset=self._offset)
        for frame in walk:
            found += [record for record in to_records(frame.batch()) if record.seq >= self._from_seq]
            if len(found) >= POLL_ROWS:
                break
        self.next_seq, self._offset = walk.next_seq, walk.offset
        if self.next_seq == self._first_seq or not self._begun(self.next_seq):
            return False
        self.close()  # the next segment bears the very seq we have come to, so this one was read to its end
        return True

    def _read_sealed(self, found: list[Record]) -> bool:
        sealed = self._holding(self.next_seq)
        if sealed is None:
            return False
        before, self._first_seq = self.next_seq, sealed.footer.first_seq
        try:
            for batch in sealed.batches(Rows(max(self.next_seq, self._from_seq))):
                found += to_records(batch)
                if len(found) >= POLL_ROWS:
                    self.next_seq = found[-1].seq + 1
                    return True
        finally:
            sealed.close()
        self.next_seq = sealed.footer.last_seq + 1
        return self.next_seq > before

    def _holding(self, seq: int) -> Sealed | None:
        """The sealed segment with this record. It bears another's name where it was merged since."""
        names = [path.name for path in self.folder.iterdir()]
        for first_seq in reversed([each for each in first_seqs(names, "parquet") if each <= seq]):
            try:
                sealed = Sealed(self.folder / sealed_name(first_seq))
            except FileNotFoundError:
                continue
            if sealed.footer.last_seq >= seq or first_seq == seq:
                return sealed
            sealed.close()
        return None

    def _begun(self, seq: int) -> bool:
        if (self.folder / open_name(seq)).exists() or (self.folder / sealed_name(seq)).exists():
            return True
        if (self.folder / open_name(self._first_seq)).exists():
            return False
        held = self._holding(seq)  # ours was sealed, and perhaps merged since: the next bears no name of its own then
        return held is not None and held.footer.last_seq >= seq

    @property
    def ended(self) -> bool:
        """Whether the session was closed and all of it was polled."""
        held = self._holding(max(self.next_seq - 1, 0))
        return held is not None and held.footer.final and self.next_seq > held.footer.last_seq

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None
