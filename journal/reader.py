"""A journal as its readers see it: one sequence of records, sealed or not, also while it is being written.

Readers need no lock. A `Journal` is the view at the moment it was opened; `follow` has what comes after. Opening looks at
names, at the last segment and at what is not sealed yet: a sealed segment is opened when something of it is asked for, and
its seam to the next is checked when it is crossed. Nothing here changes a file.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from journal.arrow_codec import SCHEMA, to_records
from journal.checksums import CHECKSUMS, read_checksums
from journal.content_hash import CHAIN_START
from journal.disk import FileReading
from journal.errors import DamagedJournalError, NotAJournalError
from journal.frames import Tail, Walk
from journal.record import Kind, Record
from journal.segments import ALL_ROWS, Rows, Sealed, first_line, first_seqs, open_name, sealed_name

_AT_ONCE_ROWS = 1_024  # of a row group become Python objects: what fits the processor's cache reads a fifth faster
_NEVER_NS = 2**63 - 1


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
            raise DamagedJournalError(path, where) from error
        self.tail: Tail = walk.tail()
        self.last_seq = walk.next_seq - 1
        self.begins_ns = self._batches[0].column(1)[0].as_py() if self._batches else None

    def batches(self, rows: Rows = ALL_ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        seq = self.first_seq
        for batch in self._batches:
            if wanted := rows.within(seq, batch.num_rows):
                part = rows.chosen(batch.slice(*wanted))
                yield part if columns is None else part.select(list(columns))
            seq += batch.num_rows

    def seq_at(self, time_ns: int) -> int:
        times = [batch.column(1).to_numpy() for batch in self._batches]
        return self.first_seq - 1 + int(np.searchsorted(np.concatenate(times), time_ns, side="right"))


class Journal:
    """A session's journal, as it was when opened. NotAJournalError where the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise NotAJournalError(f"{folder} is no folder. What to do: name the folder of a session.")
        listed = _listed(folder)  # before the folder is looked at: what is sealed meanwhile is then no missing one
        opened, self._sealed_seqs = _look(folder)
        try:
            parts = [_OpenPart(folder / open_name(seq), seq, reading) for seq, reading in opened.items()]
        finally:
            for reading in opened.values():
                reading.close()
        self._begins: dict[int, int] = {}  # session time at which a segment begins, where it was asked for
        self._open = {part.first_seq: part for part in parts}
        if missing := [seq for seq in listed if seq not in opened and seq not in self._sealed_seqs]:
            raise DamagedJournalError(folder, f"{CHECKSUMS} names {sealed_name(missing[0])}, which is missing")
        self._seqs = sorted([*opened, *self._sealed_seqs])  # at which the segments begin
        if not self._seqs:
            raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
        self.first_seq = self._seqs[0]
        self.last_seq, self.closed = self._end()
        self._refuse_damage()

    @classmethod
    def open(cls, folder: Path) -> "Journal":
        return cls(folder)

    def _end(self) -> tuple[int, bool]:
        """The last record, and whether the session came to its proper end."""
        for first_seq in reversed(self._seqs):
            if (part := self._part(first_seq)) is not None:
                return part.last_seq, isinstance(part, Sealed) and part.footer.final
        raise DamagedJournalError(self.folder, "its segments went away while it was opened")

    def _refuse_damage(self) -> None:
        if self.first_seq:
            raise DamagedJournalError(self.folder, f"records 0 to {self.first_seq - 1} are missing")
        for part in self._open.values():
            if part.tail.next_seq <= part.tail.durable_seq:
                raise DamagedJournalError(
                    part.path,
                    f"record {part.tail.next_seq} was durable, but the frame at byte {part.tail.offset} is not whole",
                )

    def _part_of(self, seq: int) -> "_OpenPart | Sealed":
        """The segment that holds record `seq`. Each caller gets a sealed one of its own: they are read in threads."""
        at = bisect_right(self._seqs, seq)
        for first_seq in reversed(self._seqs[:at]):
            if (part := self._part(first_seq)) is None:
                continue
            if part.last_seq >= seq:
                return part
            next_seq = self._seqs[at] if at < len(self._seqs) else self.last_seq + 1
            if (later := self._part(next_seq)) is not None and _left_out(later) == next_seq - part.last_seq - 1:
                return later
            raise DamagedJournalError(self.folder, f"records {part.last_seq + 1} to {next_seq - 1} are missing")
        raise DamagedJournalError(self.folder, f"the segment that held record {seq} is gone")

    def _part(self, first_seq: int) -> "_OpenPart | Sealed | None":
        """None where it became part of the segment before it since: journal/merge.py."""
        if part := self._open.get(first_seq):
            return part
        try:
            return Sealed(self.folder / sealed_name(first_seq))
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
        """Record batches in order from `from_seq` up to and with `to_seq`, of these kinds and sources alone.

        `kind` and `source` of sealed parts come dictionary-encoded. Where a row group holds none that is wanted, nothing
        else of it is read.
        """
        last_seq = self.last_seq if to_seq is None else min(to_seq, self.last_seq)
        seq, chain = max(from_seq, 0), ""
        while seq <= last_seq:
            part = self._part_of(seq)
            if isinstance(part, Sealed):
                begins = max(seq, part.footer.first_seq)  # a bundled slice says what it leaves out
                # a segment of another session may have as many records
                if chain not in ("", part.footer.chain_before(begins)):
                    raise DamagedJournalError(part.path, "its chain does not continue the segment before it")
                chain = part.footer.chain
            yield from part.batches(Rows(seq, last_seq, kinds, sources), columns)
            seq = part.last_seq + 1

    def records(
        self,
        from_seq: int = 0,
        to_seq: int | None = None,
        *,
        kinds: Collection[Kind] | None = None,
        sources: Collection[str] | None = None,
    ) -> Iterator[Record]:
        """Records from `from_seq` up to and with `to_seq`, of these kinds and sources alone."""
        for batch in _ahead(self.batches(from_seq, to_seq=to_seq, kinds=kinds, sources=sources)):
            try:
                for at in range(0, batch.num_rows, _AT_ONCE_ROWS):
                    yield from to_records(batch.slice(at, _AT_ONCE_ROWS))
            except ValueError as error:
                raise DamagedJournalError(self.folder, str(error), "read it with the version that wrote it") from error

    def seq_at(self, time_ns: int) -> int:
        """The last record at or before this session time; -1 where there is none."""
        begun = bisect_right(self._seqs, time_ns, key=self._begins_ns)
        return self._part_of(self._seqs[begun - 1]).seq_at(time_ns) if begun else -1

    def _begins_ns(self, first_seq: int) -> int:
        """Session time never falls, so segments are in its order too. The last may have no record."""
        if first_seq not in self._begins:
            time_ns = None if first_seq > self.last_seq else self._part_of(first_seq).begins_ns
            self._begins[first_seq] = _NEVER_NS if time_ns is None else time_ns
        return self._begins[first_seq]

    def reaches(self, seq: int) -> bool:
        """Whether record `seq` is there, or will be: a journal that grows (journal/live_journal.py) waits for it."""
        return seq <= self.last_seq

    @property
    def left_out(self) -> range:
        """The records that a slice of a session has not: it has the SESSION record, and goes on behind them."""
        second = self._part(self._seqs[1]) if len(self._seqs) > 1 else None
        return range(self._seqs[1] - _left_out(second), self._seqs[1]) if second is not None else range(0)

    @property
    def bundled_from(self) -> str:
        """Of a slice: the chain value of the journal it was cut from; "" where this is no slice."""
        part = self._part(self._seqs[-1])
        return part.footer.bundled_from if isinstance(part, Sealed) else ""

    @property
    def chain(self) -> str:
        """The session root, as far as it is sealed."""
        for seq in reversed(self._seqs):
            if isinstance(part := self._part(seq), Sealed):
                return part.footer.chain
        return CHAIN_START

    def check_seams(self) -> None:
        """Open every segment, so that none is missing: for readers who do not come past each seam themselves."""
        for _ in self._parts():
            pass

    def part_at(self, seq: int) -> tuple[int, int, Sealed | None]:
        """The part that holds a record: its first and last seq, and the sealed file; None where it is still open."""
        part = self._part_of(seq)
        if isinstance(part, Sealed):
            return part.footer.first_seq, part.last_seq, part
        return seq, part.last_seq, None

    def _parts(self) -> "Iterator[_OpenPart | Sealed]":
        """Those that one comes past in reading all."""
        seq = self.first_seq
        while seq <= self.last_seq:
            part = self._part_of(seq)
            yield part
            seq = part.last_seq + 1

    def tail(self) -> pa.Table:
        """The open part alone: what no sealed file holds yet."""
        return pa.Table.from_batches([batch for part in self._open.values() for batch in part.batches()], SCHEMA)

    @property
    def torn_bytes(self) -> int:
        """What lies after the last whole frame: of a writer at work, or of a crash."""
        return sum(part.tail.torn_bytes for part in self._open.values())

    def sealed_paths(self) -> list[Path]:
        """The sealed files that hold the journal, none of whose records another holds too (of a merge that was cut off)."""
        return [part.path for part in self._parts() if isinstance(part, Sealed)]

    def session_record(self) -> Record:
        """The record of seq 0, which says all that the session needs to be repeated."""
        for record in self.records(0, 0):
            return record
        raise NotAJournalError(f"{self.folder} has no record yet. What to do: wait for the session to begin.")


def arriving(
    journal: Journal, from_seq: int, to_seq: int, *, kinds: Collection[Kind] | None = None
) -> Iterator[Iterator[Record]]:
    """Its records by what is there at once: all of them, or, where the journal grows, those that came since the last were taken."""
    while from_seq <= to_seq and journal.reaches(from_seq):
        until = min(to_seq, journal.last_seq)
        yield journal.records(from_seq, until, kinds=kinds)
        from_seq = until + 1


def _left_out(part: "_OpenPart | Sealed") -> int:
    return part.footer.left_out if isinstance(part, Sealed) else 0


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """From the second on, each batch is decoded in another thread while the one before is used: Arrow needs no GIL."""
    if (batch := next(batches, None)) is not None:
        yield batch
        with ThreadPoolExecutor(1, "journal-reader") as pool:
            coming = pool.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = pool.submit(next, batches, None)
                yield batch


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
