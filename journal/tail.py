"""New records of a journal as they come, across rolls and seals, from any process and without a lock.

Whole frames only. They are written but may not be durable yet: a follower shows, it must not promise. Where what comes next
can never come, since it was damaged or is missing, it says so instead of waiting for ever.
"""

from pathlib import Path

from journal.arrow_codec import to_records
from journal.checksums import CHECKSUMS, read_checksums
from journal.disk import FileReading
from journal.errors import DamagedJournalError, NotAJournalError
from journal.frames import Walk
from journal.record import Record
from journal.segments import Rows, Sealed, first_seqs, open_name, sealed_name

POLL_ROWS = (
    8_192  # a poll that has so many ends: who follows a long journal from its begin holds a part of it at a time
)


class Follower:
    """Records from `from_seq` on; each `poll` gives those that came since the last."""

    def __init__(self, folder: Path, from_seq: int = 0) -> None:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        begun = [seq for seq in first_seqs(names, "open") + first_seqs(names, "parquet") if seq <= from_seq]
        if not begun:
            raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
        self.folder = folder
        self.next_seq = max(begun)  # the next to be read; those before from_seq are passed over
        self._from_seq = from_seq
        self._first_seq = self.next_seq  # of the segment we are in
        self._reading: FileReading | None = None
        self._offset = 0
        self._chain = (-1, "")  # what the segment that begins at this seq must continue, where that is known

    def poll(self) -> list[Record]:
        """What has come since, in order, up to some POLL_ROWS; an empty list where nothing has. DamagedJournalError."""
        found: list[Record] = []
        try:
            while len(found) < POLL_ROWS and self._read_some(found):
                pass
        except (DamagedJournalError, OSError) as error:
            if not found:  # else it is told by the next poll: damage never costs a record that came before it
                if isinstance(error, OSError):
                    raise DamagedJournalError(self.folder, f"record {self.next_seq} cannot be read: {error}") from error
                raise
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
        stuck = walk.next_seq == self.next_seq
        self.next_seq, self._offset = walk.next_seq, walk.offset
        if self.next_seq == self._first_seq or not self._begun(self.next_seq):
            if stuck:
                self._refuse_damage(walk)
            return False
        self.close()  # the next segment bears the very seq we have come to, so this one was read to its end
        return True

    def _read_sealed(self, found: list[Record]) -> bool:
        names = self._names()
        sealed = self._holding(self.next_seq)
        if sealed is None:
            later = self._later(names)
            if (later is not None or self._listed(names)) and names == self._names():  # no merge was at work meanwhile
                if later is not None and self._left_out(later):
                    self.next_seq = later
                    return True
                raise DamagedJournalError(self.folder, f"record {self.next_seq} and those behind it are missing")
            return False
        begins, chain = self._chain
        if begins == self.next_seq and sealed.footer.chain_before(begins) != chain:
            sealed.close()
            raise DamagedJournalError(sealed.path, "its chain does not continue the segment before it")
        before, self._first_seq = self.next_seq, sealed.footer.first_seq
        try:
            for batch in sealed.batches(Rows(max(self.next_seq, self._from_seq))):
                found += to_records(batch)
                if batch.num_rows:
                    self.next_seq = found[-1].seq + 1
                if len(found) >= POLL_ROWS:
                    return True
        finally:
            sealed.close()
        self.next_seq = sealed.footer.last_seq + 1
        if self.next_seq > before:  # the last may have no row, and is looked at again
            self._chain = self.next_seq, sealed.footer.chain
        return self.next_seq > before

    def _holding(self, seq: int) -> Sealed | None:
        """The sealed segment with this record. It bears another's name where it was merged since."""
        names = self._names()
        for first_seq in reversed([each for each in first_seqs(names, "parquet") if each <= seq]):
            try:
                sealed = Sealed(self.folder / sealed_name(first_seq))
            except FileNotFoundError:
                continue
            if sealed.footer.last_seq >= seq or first_seq == seq:
                return sealed
            sealed.close()
        return None

    def _refuse_damage(self, walk: Walk) -> None:
        """Bytes that are no frame may be one that is being written; not where a later frame or name says it was durable."""
        later = self._later(self._names())
        durable_seq = max(walk.tail().durable_seq, -1 if later is None else later - 1)
        if walk.next_seq > durable_seq:
            return
        if walk.next_seq != self._first_seq and self._begun(walk.next_seq):  # between our look and theirs
            return
        assert self._reading is not None, "its caller reads"
        again = Walk(
            self._reading, walk.next_seq, offset=walk.offset
        )  # what came between our look and theirs is there now
        if next(iter(again), None) is None:
            raise DamagedJournalError(
                self._reading.path,
                f"record {walk.next_seq} was durable (records up to {durable_seq} were), but the frame at byte {walk.offset} is not whole",
            )

    def _left_out(self, seq: int) -> bool:
        """Whether what is missing before a segment was left out of a slice on purpose."""
        try:
            sealed = Sealed(self.folder / sealed_name(seq))
        except FileNotFoundError:
            return False
        sealed.close()
        return sealed.footer.left_out == seq - self.next_seq

    def _listed(self, names: list[str]) -> bool:
        """Whether SHA256SUMS knows the segment that is to come, and it is not there."""
        try:
            known = read_checksums((self.folder / CHECKSUMS).read_text()) if CHECKSUMS in names else {}
        except ValueError:
            return False
        return sealed_name(self.next_seq) in known

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def _later(self, names: list[str]) -> int | None:
        """The first segment that begins behind the record which is to come next."""
        begun = [seq for seq in first_seqs(names, "open") + first_seqs(names, "parquet") if seq > self.next_seq]
        return min(begun, default=None)

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
