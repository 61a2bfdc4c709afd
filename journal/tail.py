"""Follower of a journal: it reads new records across rolls and seals, from any process and without a lock.

It reads whole frames, which are written but may not be durable yet; `durable_seq` is the last record that is. If
the next record is damaged or missing, polling raises an error instead of waiting forever.
"""

from pathlib import Path

from journal.arrow_codec import to_records
from journal.checksums import CHECKSUMS, read_checksums
from journal.disk import FileReader
from journal.errors import DamagedJournalError, no_journal
from journal.frames import FrameWalk
from journal.record import Record
from journal.segments import RowFilter, SealedSegment, first_seqs, open_name, sealed_name

POLL_ROWS = 8_192  # bounds the memory of a follower that starts at the beginning of a long journal


class Follower:
    """Reader of the records from `from_seq` on. Each `poll` returns the records since the last one."""

    def __init__(self, folder: Path, from_seq: int = 0) -> None:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        starts = [seq for seq in first_seqs(names, "open") + first_seqs(names, "parquet") if seq <= from_seq]
        if not starts:
            raise no_journal(folder)
        self.folder = folder
        self.next_seq = max(starts)  # the next record to read; records before from_seq are skipped
        self.durable_seq = -1  # the last record that the files read so far prove to be on stable storage
        self._from_seq = from_seq
        self._first_seq = self.next_seq  # of the current segment
        self._reader: FileReader | None = None
        self._offset = 0
        self._chain = (-1, "")  # (seq, the chain value that the segment which begins there must continue)

    def poll(self) -> list[Record]:
        """Return the new records in order, about POLL_ROWS at most. The list is empty if nothing is new.

        Raises:
            DamagedJournalError: The next record is damaged, missing or unreadable.
        """
        records: list[Record] = []
        try:
            while len(records) < POLL_ROWS and self._read_some(records):
                pass
        except (DamagedJournalError, OSError) as error:
            if not records:  # otherwise the next poll raises it, after the records before the damage were returned
                if isinstance(error, OSError):
                    raise DamagedJournalError(self.folder, f"record {self.next_seq} cannot be read: {error}") from error
                raise
        return records

    def _read_some(self, records: list[Record]) -> bool:
        """Read more of the current segment, and return True if the next one may have records too."""
        if self._reader is None:
            try:
                self._reader = FileReader(self.folder / open_name(self.next_seq))
            except FileNotFoundError:
                return self._read_sealed(records)
            self._first_seq, self._offset = self.next_seq, 0
        walk = FrameWalk(self._reader, self.next_seq, offset=self._offset)
        for frame in walk:
            self.durable_seq = max(self.durable_seq, frame.durable_seq)
            records += [record for record in to_records(frame.batch()) if record.seq >= self._from_seq]
            if len(records) >= POLL_ROWS:
                break
        stuck = walk.next_seq == self.next_seq
        self.next_seq, self._offset = walk.next_seq, walk.offset
        if self.next_seq == self._first_seq or not self._has_begun(self.next_seq):
            if stuck:
                self._refuse_damage(walk)
            return False
        self.close()  # the next segment's name is the next record's seq, so this segment was read to its end
        self.durable_seq = max(self.durable_seq, self.next_seq - 1)  # the writer syncs it before the next begins
        return True

    def _read_sealed(self, records: list[Record]) -> bool:
        names = self._names()
        sealed = self._sealed_with(self.next_seq)
        if sealed is None:
            later = self._next_begin(names)
            is_missing = later is not None or self._is_listed(names)
            if is_missing and names == self._names():  # no merge changed the names meanwhile
                if later is not None and self._is_omitted(later):
                    self.next_seq = later
                    return True
                raise DamagedJournalError(self.folder, f"record {self.next_seq} and later records are missing")
            return False
        begins, chain = self._chain
        if begins == self.next_seq and sealed.footer.chain_before(begins) != chain:
            sealed.close()
            raise DamagedJournalError(sealed.path, "its chain does not continue the segment before it")
        before, self._first_seq = self.next_seq, sealed.footer.first_seq
        try:
            for batch in sealed.batches(RowFilter(max(self.next_seq, self._from_seq))):
                records += to_records(batch)
                if batch.num_rows:
                    self.next_seq = records[-1].seq + 1
                    self.durable_seq = records[-1].seq
                if len(records) >= POLL_ROWS:
                    return True
        finally:
            sealed.close()
        self.next_seq = sealed.footer.last_seq + 1
        if self.next_seq > before:  # the last segment may have no rows, and is then read again by the next poll
            self._chain = self.next_seq, sealed.footer.chain
        return self.next_seq > before

    def _sealed_with(self, seq: int) -> SealedSegment | None:
        """Return the sealed segment with this record, or None. After a merge its name is that of an earlier segment."""
        names = self._names()
        for first_seq in reversed([known for known in first_seqs(names, "parquet") if known <= seq]):
            try:
                sealed = SealedSegment(self.folder / sealed_name(first_seq))
            except FileNotFoundError:
                continue
            if sealed.footer.last_seq >= seq or first_seq == seq:
                return sealed
            sealed.close()
        return None

    def _refuse_damage(self, walk: FrameWalk) -> None:
        """Refuse bytes that are not a frame if a later frame or name proves that they were durable.

        Otherwise the writer may be in the middle of a frame.
        """
        later = self._next_begin(self._names())
        durable_seq = max(walk.tail().durable_seq, -1 if later is None else later - 1)
        if walk.next_seq > durable_seq:
            return
        if walk.next_seq != self._first_seq and self._has_begun(walk.next_seq):  # it began after this poll listed names
            return
        assert self._reader is not None, "the caller opened it"
        # the frame may have been written between the first walk and the listing of names
        again = FrameWalk(self._reader, walk.next_seq, offset=walk.offset)
        if next(iter(again), None) is None:
            raise DamagedJournalError(
                self._reader.path,
                f"record {walk.next_seq} was durable (records up to {durable_seq} were), but the frame at byte "
                f"{walk.offset} is not whole",
            )

    def _is_omitted(self, seq: int) -> bool:
        """Return True if a slice omits the records before a segment on purpose."""
        try:
            sealed = SealedSegment(self.folder / sealed_name(seq))
        except FileNotFoundError:
            return False
        sealed.close()
        return sealed.footer.left_out == seq - self.next_seq

    def _is_listed(self, names: list[str]) -> bool:
        """Return True if SHA256SUMS names the next segment, which is missing."""
        try:
            known = read_checksums((self.folder / CHECKSUMS).read_text()) if CHECKSUMS in names else {}
        except ValueError:
            return False
        return sealed_name(self.next_seq) in known

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def _next_begin(self, names: list[str]) -> int | None:
        """Return the first segment that begins after the next record, or None."""
        starts = [seq for seq in first_seqs(names, "open") + first_seqs(names, "parquet") if seq > self.next_seq]
        return min(starts, default=None)

    def _has_begun(self, seq: int) -> bool:
        """Return True if a segment with record `seq` exists after the current one."""
        if (self.folder / open_name(seq)).exists() or (self.folder / sealed_name(seq)).exists():
            return True
        if (self.folder / open_name(self._first_seq)).exists():
            return False
        sealed = self._sealed_with(seq)  # the current one was sealed, and perhaps merged with the next
        return sealed is not None and sealed.footer.last_seq >= seq

    @property
    def ended(self) -> bool:
        """True if the session was closed and all of its records were returned."""
        sealed = self._sealed_with(max(self.next_seq - 1, 0))
        return sealed is not None and sealed.footer.final and self.next_seq > sealed.footer.last_seq

    def close(self) -> None:
        """Close the open file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
