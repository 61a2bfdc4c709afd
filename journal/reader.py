"""Readers' view of a journal: one sequence of records, sealed or not, even while it is being written.

Readers need no lock. A `Journal` is the view at the moment it was opened, and `Follower` (journal/tail.py) reads later
records. Opening reads the names, the last segment and the unsealed rows. A sealed segment is opened when a reader needs
it, and its seam to the next is checked when a reader crosses it. Nothing here changes a file.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from journal.arrow_arrays import numbers
from journal.arrow_codec import SCHEMA, to_records
from journal.checksums import CHECKSUMS, read_checksums
from journal.content_hash import CHAIN_START
from journal.disk import FileReader
from journal.errors import DamagedJournalError, NotAJournalError, no_journal
from journal.frames import FrameWalk, TornTail
from journal.record import Kind, Record
from journal.record_columns import RecordColumns
from journal.segments import ALL_ROWS, RowFilter, SealedSegment, first_line, first_seqs, open_name, sealed_name

_CONVERT_ROWS = 1_024  # rows converted to Python at once: fitting the processor's cache reads a fifth faster
_NEVER_NS = 2**63 - 1


class _OpenSegment:
    """The whole frames of an open segment, in memory.

    Its size is bounded, and the file may have been unlinked since.
    """

    def __init__(self, path: Path, first_seq: int, reader: FileReader) -> None:
        self.path = path
        self.first_seq = first_seq
        walk = FrameWalk(reader, first_seq)
        try:
            self._batches = [frame.batch() for frame in walk]
        except pa.ArrowException as error:
            where = f"the frame before byte {walk.offset} is unreadable ({first_line(error)})"
            raise DamagedJournalError(path, where) from error
        self.tail: TornTail = walk.tail()
        self.last_seq = walk.next_seq - 1
        self.begins_ns = self._batches[0].column(1)[0].as_py() if self._batches else None

    def batches(self, rows: RowFilter = ALL_ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the selected rows of each frame."""
        seq = self.first_seq
        for batch in self._batches:
            if bounds := rows.slice_of(seq, batch.num_rows):
                segment = rows.select_rows(batch.slice(*bounds))
                yield segment if columns is None else segment.select(list(columns))
            seq += batch.num_rows

    def seq_at(self, time_ns: int) -> int:
        """Return the last record at or before this session time, or first_seq - 1."""
        times = [numbers(batch.column(1)) for batch in self._batches]
        return self.first_seq - 1 + int(np.searchsorted(np.concatenate(times), time_ns, side="right"))


class Journal:
    """A session's journal at the moment it was opened.

    Raises:
        NotAJournalError: The folder contains no journal.
        DamagedJournalError: Durable records are missing or damaged.
    """

    _session_record: Record | None = None  # once it is read

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise NotAJournalError(f"{folder} is not a folder. What to do: name the folder of a session.")
        listed = _read_listed(folder)  # before the folder is listed, so a segment sealed meanwhile is not missed
        opened, self._sealed_seqs = _list_segments(folder)
        try:
            segments = [_OpenSegment(folder / open_name(seq), seq, reader) for seq, reader in opened.items()]
        finally:
            for reader in opened.values():
                reader.close()
        self._begins: dict[int, int] = {}  # session time at which a segment begins, once it was needed
        self._open = {segment.first_seq: segment for segment in segments}
        if missing := [seq for seq in listed if seq not in opened and seq not in self._sealed_seqs]:
            raise DamagedJournalError(folder, f"{CHECKSUMS} names {sealed_name(missing[0])}, which is missing")
        self._seqs = sorted([*opened, *self._sealed_seqs])  # first seqs of all segments
        if not self._seqs:
            raise no_journal(folder)
        self.first_seq = self._seqs[0]
        self.last_seq, self.closed = self._end()
        self._refuse_damage()

    @classmethod
    def open(cls, folder: Path) -> "Journal":
        """Open the journal in a session's folder."""
        return cls(folder)

    def _end(self) -> tuple[int, bool]:
        """Return the last record's seq, and True if the session was closed."""
        for first_seq in reversed(self._seqs):
            if (segment := self._segment_from(first_seq)) is not None:
                return segment.last_seq, isinstance(segment, SealedSegment) and segment.footer.final
        raise DamagedJournalError(self.folder, "its segments were removed while it was opened")

    def _refuse_damage(self) -> None:
        if self.first_seq:
            raise DamagedJournalError(self.folder, f"records 0 to {self.first_seq - 1} are missing")
        for segment in self._open.values():
            if segment.tail.next_seq <= segment.tail.durable_seq:
                raise DamagedJournalError(
                    segment.path,
                    f"record {segment.tail.next_seq} was durable, but the frame at byte {segment.tail.offset} is not "
                    f"whole",
                )

    def _segment_with(self, seq: int) -> "_OpenSegment | SealedSegment":
        """Return the segment that contains record `seq`.

        Each call opens a sealed one again, so threads do not share a file.
        """
        at = bisect_right(self._seqs, seq)
        for first_seq in reversed(self._seqs[:at]):
            if (segment := self._segment_from(first_seq)) is None:
                continue
            if segment.last_seq >= seq:
                return segment
            next_seq = self._seqs[at] if at < len(self._seqs) else self.last_seq + 1
            if (later := self._segment_from(next_seq)) is not None and _left_out(
                later
            ) == next_seq - segment.last_seq - 1:
                return later
            raise DamagedJournalError(self.folder, f"records {segment.last_seq + 1} to {next_seq - 1} are missing")
        raise DamagedJournalError(self.folder, f"the segment with record {seq} was removed")

    def _segment_from(self, first_seq: int) -> "_OpenSegment | SealedSegment | None":
        """Return the segment that begins at `first_seq`, or None if a merge has put it into the segment before it."""
        if segment := self._open.get(first_seq):
            return segment
        try:
            return SealedSegment(self.folder / sealed_name(first_seq))
        except FileNotFoundError:
            return None

    def batches(
        self,
        from_seq: int = 0,
        columns: Sequence[str] | None = None,
        *,
        to_seq: int | None = None,
        kinds: Collection[Kind] | None = None,
        sources: Collection[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches in order from `from_seq` up to and including `to_seq`.

        `kind` and `source` of sealed segments are dictionary-encoded. If a row group has no selected row, only its
        columns `kind` and `source` are read.

        Args:
            from_seq: The first record.
            columns: Names of columns. None: all.
            to_seq: The last record. None: the end of the journal.
            kinds: Kinds to select. None: all.
            sources: Sources to select. None: all.

        Raises:
            DamagedJournalError: A segment is missing, damaged or does not continue the one before it.
        """
        last_seq = self.last_seq if to_seq is None else min(to_seq, self.last_seq)
        seq, chain = max(from_seq, 0), ""
        while seq <= last_seq:
            segment = self._segment_with(seq)
            if isinstance(segment, SealedSegment):
                begins = max(seq, segment.footer.first_seq)  # a slice begins after the records that it omits
                # a foreign segment may have the same range of records, so compare the chain
                if chain not in ("", segment.footer.chain_before(begins)):
                    raise DamagedJournalError(segment.path, "its chain does not continue the segment before it")
                chain = segment.footer.chain
            yield from segment.batches(RowFilter(seq, last_seq, kinds, sources), columns)
            seq = segment.last_seq + 1

    def records(
        self,
        from_seq: int = 0,
        to_seq: int | None = None,
        *,
        kinds: Collection[Kind] | None = None,
        sources: Collection[str] | None = None,
    ) -> Iterator[Record]:
        """Yield records from `from_seq` up to and including `to_seq`, of the selected kinds and sources."""
        return self._converted(_decode_ahead(self.batches(from_seq, to_seq=to_seq, kinds=kinds, sources=sources)))

    def _converted(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Record]:
        for batch in batches:
            try:
                for at in range(0, batch.num_rows, _CONVERT_ROWS):
                    yield from to_records(batch.slice(at, _CONVERT_ROWS))
            except ValueError as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: ValueError) -> DamagedJournalError:
        return DamagedJournalError(self.folder, str(error), "read it with the version that wrote it")

    def columns(self, from_seq: int, to_seq: int, *, count_max: int) -> Iterator[RecordColumns]:
        """Yield the records from `from_seq` up to and including `to_seq` as columns, so many at once at most."""
        for batch in _decode_ahead(self.batches(from_seq, to_seq=to_seq)):
            for at in range(0, batch.num_rows, count_max):
                try:
                    yield RecordColumns(batch.slice(at, count_max))
                except ValueError as error:
                    raise self._unreadable(error) from error

    def seq_at(self, time_ns: int) -> int:
        """Return the last record at or before this session time, or -1."""
        count = bisect_right(self._seqs, time_ns, key=self._begins_ns)
        return self._segment_with(self._seqs[count - 1]).seq_at(time_ns) if count else -1

    def _begins_ns(self, first_seq: int) -> int:
        """Return the session time at which a segment begins. Session time never falls, so segments are sorted by it."""
        if first_seq not in self._begins:
            time_ns = None if first_seq > self.last_seq else self._segment_with(first_seq).begins_ns
            self._begins[first_seq] = _NEVER_NS if time_ns is None else time_ns
        return self._begins[first_seq]

    def wait_for(self, seq: int) -> bool:
        """Return True if record `seq` exists. A live journal (journal/live_journal.py) waits for it."""
        return seq <= self.last_seq

    @property
    def left_out(self) -> range:
        """The records that a slice of a session omits between the SESSION record and the rest."""
        second = self._segment_from(self._seqs[1]) if len(self._seqs) > 1 else None
        return range(self._seqs[1] - _left_out(second), self._seqs[1]) if second is not None else range(0)

    @property
    def bundled_from(self) -> str:
        """The chain value of the journal that a slice was cut from; "" if this is not a slice."""
        segment = self._segment_from(self._seqs[-1])
        return segment.footer.bundled_from if isinstance(segment, SealedSegment) else ""

    @property
    def chain(self) -> str:
        """The session root over all sealed segments."""
        for seq in reversed(self._seqs):
            if isinstance(segment := self._segment_from(seq), SealedSegment):
                return segment.footer.chain
        return CHAIN_START

    def check_seams(self) -> None:
        """Open every segment and refuse a gap, for readers that do not cross each seam themselves."""
        for _ in self._segments_in_order():
            pass

    def segment_at(self, seq: int) -> tuple[int, int, SealedSegment | None]:
        """Return first and last seq of the segment with a record, and its sealed file.

        The file is None if the segment is open.
        """
        segment = self._segment_with(seq)
        if isinstance(segment, SealedSegment):
            return segment.footer.first_seq, segment.last_seq, segment
        return segment.first_seq, segment.last_seq, None

    def _segments_in_order(self) -> "Iterator[_OpenSegment | SealedSegment]":
        """Yield the segments that a reader of all records opens."""
        seq = self.first_seq
        while seq <= self.last_seq:
            segment = self._segment_with(seq)
            yield segment
            seq = segment.last_seq + 1

    def unsealed_rows(self) -> pa.Table:
        """Return the rows that no sealed file contains yet."""
        return pa.Table.from_batches([batch for segment in self._open.values() for batch in segment.batches()], SCHEMA)

    @property
    def torn_bytes(self) -> int:
        """The number of bytes after the last whole frame, of a writer at work or of a crash."""
        return sum(segment.tail.torn_bytes for segment in self._open.values())

    def sealed_paths(self) -> list[Path]:
        """Return the sealed files, without those that an unfinished merge superseded."""
        return [segment.path for segment in self._segments_in_order() if isinstance(segment, SealedSegment)]

    def session_record(self) -> Record:
        """Return record 0, which contains everything needed to repeat the session.

        Raises:
            NotAJournalError: The session has no record yet.
        """
        if self._session_record is None:  # it has no payload, and those of the records behind it are not read
            columns = [name for name in SCHEMA.names if name != "payload"]
            self._session_record = next(self._converted(self.batches(0, columns, to_seq=0)), None)
        if self._session_record is not None:
            return self._session_record
        raise NotAJournalError(f"{self.folder} has no record yet. What to do: wait for the session to begin.")


def available_records(
    journal: Journal, from_seq: int, to_seq: int, *, kinds: Collection[Kind] | None = None
) -> Iterator[Iterator[Record]]:
    """Yield runs of records as they become available: a single run, or for a live journal one run per arrival."""
    while from_seq <= to_seq and journal.wait_for(from_seq):
        until = min(to_seq, journal.last_seq)
        yield journal.records(from_seq, until, kinds=kinds)
        from_seq = until + 1


def _left_out(segment: "_OpenSegment | SealedSegment") -> int:
    return segment.footer.left_out if isinstance(segment, SealedSegment) else 0


def _decode_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Decode each batch after the first in another thread while the caller uses the one before.

    Arrow releases the GIL.
    """
    if (batch := next(batches, None)) is not None:
        yield batch
        with ThreadPoolExecutor(1, "journal-reader") as pool:
            upcoming = pool.submit(next, batches, None)
            while (batch := upcoming.result()) is not None:
                upcoming = pool.submit(next, batches, None)
                yield batch


def _read_listed(folder: Path) -> list[int]:
    """Return the first seqs of the segments in SHA256SUMS, or none if it is unreadable, which `verify` reports."""
    try:
        return first_seqs(read_checksums((folder / CHECKSUMS).read_text()), "parquet")
    except (FileNotFoundError, ValueError):
        return []


def _list_segments(folder: Path) -> tuple[dict[int, FileReader], list[int]]:
    """Return open readers of the open segments, and the first seqs of the sealed ones.

    Open segments are listed first, so a segment that is sealed meanwhile appears in both lists and is never missed.
    """
    while True:
        opened: dict[int, FileReader] = {}
        try:
            for seq in first_seqs((path.name for path in folder.iterdir()), "open"):
                opened[seq] = FileReader(folder / open_name(seq))
        except FileNotFoundError:  # sealed between the listing and the opening
            for reader in opened.values():
                reader.close()
            continue
        names = [path.name for path in folder.iterdir()]
        sealed = first_seqs(names, "parquet")
        known = opened.keys() | set(sealed)
        if known >= set(first_seqs(names, "open")):
            for seq in opened.keys() & set(sealed):
                opened.pop(seq).close()
            return opened, sealed
        for reader in opened.values():
            reader.close()
