"""A journal as its readers see it: one sequence of records, sealed or not, also while it is being written.

Readers need no lock. A `Journal` is the view at the moment it was opened; `follow` has what comes after.
Nothing here changes a file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from journal.batches import SCHEMA, to_records
from journal.disk import FileReading
from journal.errors import DamagedJournal, NotAJournal
from journal.frames import Tail, Walk
from journal.record import Record
from journal.seal import read_checksums
from journal.segments import CHECKSUMS, Sealed, first_line, first_seqs, open_name, sealed_name

_AT_ONCE_ROWS = 1_024  # of a row group become Python objects: what fits the processor's cache reads a fifth faster


class Segment(msgspec.Struct, frozen=True):
    path: Path
    first_seq: int
    last_seq: int  # first_seq - 1 where it has no records
    sealed: bool
    file_bytes: int


class _OpenPart:
    """The whole frames of an open segment, held in memory: at most one segment's size, and it may be unlinked since."""

    def __init__(self, path: Path, first_seq: int, reading: FileReading) -> None:
        self.path = path
        self.first_seq = first_seq
        walk = Walk(reading, first_seq)
        try:
            self._batches = [frame.batch() for frame in walk]
        except pa.ArrowException as error:
            where = f"the frame before byte {walk.offset} is unreadable ({first_line(error)})"
            raise DamagedJournal(path, where) from error
        self.tail: Tail = walk.tail()
        self.last_seq = walk.next_seq - 1
        self.file_bytes = walk.size

    def batches(self, from_seq: int = 0, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        seq = self.first_seq
        for batch in self._batches:
            if seq + batch.num_rows > from_seq:
                part = batch.slice(max(0, from_seq - seq))
                yield part if columns is None else part.select(list(columns))
            seq += batch.num_rows


class Journal:
    """A session's journal, as it was when opened. NotAJournal where the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise NotAJournal(f"{folder} is no folder. What to do: name the folder of a session.")
        listed = _listed(folder)  # before the folder is looked at: what is sealed meanwhile is then no missing one
        opened, sealed = _look(folder)
        try:
            self._open = [_OpenPart(folder / open_name(seq), seq, reading) for seq, reading in opened.items()]
        finally:
            for reading in opened.values():
                reading.close()
        if missing := [seq for seq in listed if seq not in opened and seq not in sealed]:
            raise DamagedJournal(folder, f"{CHECKSUMS} names {sealed_name(missing[0])}, which is missing")
        if not sealed and not self._open:
            raise NotAJournal(f"{folder} holds no journal. What to do: name the folder of a session.")
        self.segments = self._segments(sealed)
        self.first_seq = self.segments[0].first_seq
        self.last_seq = self.segments[-1].last_seq
        self._refuse_damage()

    @classmethod
    def open(cls, folder: Path) -> "Journal":
        return cls(folder)

    def _segments(self, sealed: Sequence[int]) -> list[Segment]:
        self.closed = False  # whether the session came to its proper end
        found = [Segment(part.path, part.first_seq, part.last_seq, False, part.file_bytes) for part in self._open]
        for seq in sealed:
            path = self.folder / sealed_name(seq)
            segment = Sealed(path)
            self.closed |= segment.footer.final
            found.append(Segment(path, seq, segment.footer.last_seq, True, path.stat().st_size))
            segment.close()
        return sorted(found, key=lambda segment: segment.first_seq)

    def _refuse_damage(self) -> None:
        next_seq = 0
        for segment in self.segments:
            if segment.first_seq != next_seq:
                raise DamagedJournal(self.folder, f"records {next_seq} to {segment.first_seq - 1} are missing")
            next_seq = segment.last_seq + 1
        for part in self._open:
            if part.tail.next_seq <= part.tail.durable_seq:
                raise DamagedJournal(
                    part.path,
                    f"record {part.tail.next_seq} was durable, but the frame at byte {part.tail.offset} is not whole",
                )

    def batches(self, from_seq: int = 0, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Record batches in order from `from_seq` on; `kind` and `source` of sealed parts come dictionary-encoded."""
        parts = {part.first_seq: part for part in self._open}
        for segment in self.segments:
            if segment.last_seq < from_seq:
                continue
            if part := parts.get(segment.first_seq):
                yield from part.batches(from_seq, columns)
                continue
            sealed = Sealed(segment.path)
            try:
                yield from sealed.batches(from_seq, columns)
            finally:
                sealed.close()

    def records(self, from_seq: int = 0, to_seq: int | None = None) -> Iterator[Record]:
        """Records from `from_seq` up to and with `to_seq`."""
        for batch in self.batches(from_seq):
            first_seq = batch.column(0)[0].as_py() if batch.num_rows else 0
            wanted = batch if to_seq is None else batch.slice(0, max(0, to_seq - first_seq + 1))
            try:
                for at in range(0, wanted.num_rows, _AT_ONCE_ROWS):
                    yield from to_records(wanted.slice(at, _AT_ONCE_ROWS))
            except ValueError as error:
                raise DamagedJournal(self.folder, str(error), "read it with the version that wrote it") from error
            if wanted.num_rows < batch.num_rows:
                return

    def tail(self) -> pa.Table:
        """The open part alone: what no sealed file holds yet."""
        return pa.Table.from_batches([batch for part in self._open for batch in part.batches()], SCHEMA)

    @property
    def torn_bytes(self) -> int:
        """What lies after the last whole frame: of a writer at work, or of a crash."""
        return sum(part.tail.torn_bytes for part in self._open)

    def sealed_paths(self) -> list[Path]:
        return [segment.path for segment in self.segments if segment.sealed]

    def session_record(self) -> Record:
        """The record of seq 0, which says all that the session needs to be repeated."""
        for record in self.records(0, 0):
            return record
        raise NotAJournal(f"{self.folder} has no record yet. What to do: wait for the session to begin.")


def _listed(folder: Path) -> list[int]:
    """The sealed segments that were here once; a list that cannot be read says nothing, and `verify` says so."""
    try:
        return first_seqs(read_checksums((folder / CHECKSUMS).read_text()), "parquet")
    except (FileNotFoundError, ValueError):
        return []


def _look(folder: Path) -> tuple[dict[int, FileReading], list[int]]:
    """Open segments first, then the list of sealed ones: one that is sealed meanwhile is then in both, never in none."""
    while True:
        opened: dict[int, FileReading] = {}
        try:
            for seq in first_seqs((path.name for path in folder.iterdir()), "open"):
                opened[seq] = FileReading(folder / open_name(seq))
        except FileNotFoundError:  # sealed between the listing and the opening
            for reading in opened.values():
                reading.close()
            continue
        names = [path.name for path in folder.iterdir()]
        sealed = first_seqs(names, "parquet")
        known = opened.keys() | set(sealed)
        if known >= set(first_seqs(names, "open")):
            for seq in opened.keys() & set(sealed):
                opened.pop(seq).close()
            return opened, sealed
        for reading in opened.values():
            reading.close()
