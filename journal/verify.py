"""Is a journal what was written? Page checksums, row hashes, the chain, the sequence, the frames of the open part.

Damaged bytes are what this module is for: they end as a problem in the report, never as a traceback. It changes nothing
and decides nothing; `recover` repairs what a crash left.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from journal.batches import SCHEMA
from journal.disk import FileReading, whole
from journal.errors import DamagedJournal, NotAJournal
from journal.frames import Walk
from journal.record import Kind
from journal.recover import has_segments
from journal.seal import read_checksums
from journal.segments import (
    CHAIN_START,
    CHECKSUMS,
    UNREADABLE,
    ContentHash,
    Sealed,
    blocks,
    first_line,
    first_seqs,
    link,
    open_name,
    plain_batch,
    sealed_name,
)

_REQUIRED = ("seq", "time_ns", "kind", "source")
_KINDS = pa.array([kind.value for kind in Kind])


class VerifyReport(msgspec.Struct):
    """`problems` are damage; a torn tail of a session that was not closed is none, it is counted."""

    folder: Path
    segments: int = 0
    records: int = 0
    chain: str = CHAIN_START
    closed: bool = False
    torn_bytes: int = 0
    problems: list[str] = []  # msgspec copies the empty list for each report
    notes: list[str] = []

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(folder: Path) -> VerifyReport:
    """NotAJournal where the folder holds none; whatever else is wrong is in the report."""
    if not folder.is_dir() or not (has_segments(folder) or (folder / CHECKSUMS).exists()):
        raise NotAJournal(f"{folder} holds no journal. What to do: name the folder of a session.")
    return _Check(folder).run()


class _Check:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = VerifyReport(folder)
        self._next_seq = 0
        self._time_ns: int | None = None
        self._chain: str | None = CHAIN_START  # None where the segment before could not be read

    def run(self) -> VerifyReport:
        names = [path.name for path in self.folder.iterdir()]
        opened, sealed = first_seqs(names, "open"), first_seqs(names, "parquet")
        checksums = self._checksums(names)
        seqs = sorted(set(opened) | set(sealed))
        for at, seq in enumerate(seqs):
            later = seqs[at + 1] if at + 1 < len(seqs) else None
            if (self.folder / sealed_name(seq)).exists():  # asked anew: a writer at work may have sealed it since
                self._guard(sealed_name(seq), partial(self._sealed, seq, checksums, last=later is None))
            else:
                self._guard(open_name(seq), partial(self._opened, seq, later))
            self.report.segments += 1
        self.report.chain = self._chain or ""
        return self.report

    def _guard(self, name: str, check: Callable[[], None]) -> None:
        try:
            check()
        except DamagedJournal as error:
            self._problem(name, error.where)
            self._chain = None
        except UNREADABLE as error:
            self._problem(name, f"cannot be read ({first_line(error)})")
            self._chain = None

    def _problem(self, name: str, what: str) -> None:
        self.report.problems.append(f"{name}: {what}")

    def _checksums(self, names: list[str]) -> dict[str, str]:
        if CHECKSUMS not in names:
            if first_seqs(names, "parquet"):
                self.report.notes.append(f"{CHECKSUMS} is missing: footers were checked by their own contents only")
            return {}
        try:
            known = read_checksums(whole(FileReading(self.folder / CHECKSUMS)).decode())
        except ValueError as error:
            self._problem(CHECKSUMS, f"damaged ({first_line(error)})")
            return {}
        for name in known:
            if not (self.folder / name).exists() and name.replace(".parquet", ".open") not in names:
                self._problem(CHECKSUMS, f"names {name}, which is missing")
        return known

    def _sealed(self, first_seq: int, checksums: dict[str, str], *, last: bool) -> None:
        name = sealed_name(first_seq)
        data = whole(FileReading(self.folder / name))
        if name not in checksums:
            self.report.notes.append(f"{name} has no line in {CHECKSUMS}")
        elif checksums[name] != hashlib.sha256(data).hexdigest():
            self._problem(name, f"its bytes have not the checksum in {CHECKSUMS}")
        segment = Sealed(self.folder / name, data)
        footer, digest = segment.footer, ContentHash()
        self._follows(name, first_seq)
        for block in blocks(self._row_groups(name, segment)):
            digest.add(block)
        if digest.hexdigest() != footer.content:
            self._problem(name, "the rows have not the hash that the footer states")
        if self._next_seq != footer.last_seq + 1:
            self._problem(name, f"ends at record {self._next_seq - 1}, the footer says {footer.last_seq}")
        if self._chain is not None and footer.prev_chain != self._chain:
            self._problem(name, "its chain does not continue the segment before it")
        if footer.chain != link(footer.prev_chain, footer.content):
            self._problem(name, "its chain value does not follow from its content")
        if footer.final and not last:
            self._problem(name, "closes the session, but segments follow it")
        self._chain = footer.chain
        self.report.closed = footer.final
        self.report.torn_bytes += footer.dropped_bytes

    def _row_groups(self, name: str, segment: Sealed) -> Iterator[pa.RecordBatch]:
        for group, batch in enumerate(segment.batches()):
            plain = plain_batch(batch)
            self._rows(f"{name}: row group {group}", plain)
            yield plain

    def _opened(self, first_seq: int, later: int | None) -> None:
        name = open_name(first_seq)
        try:
            reading = FileReading(self.folder / name)
        except FileNotFoundError:  # sealed just now
            self._sealed(first_seq, {}, last=later is None)
            return
        with reading:
            self._follows(name, first_seq)
            walk = Walk(reading, first_seq)
            at = 0
            for frame in walk:
                self._rows(f"{name}: frame at byte {at}", frame.batch())
                at = frame.end
            tail = walk.tail()
        durable_seq = max(tail.durable_seq, -1 if later is None else later - 1)
        if tail.next_seq <= durable_seq:
            self._problem(
                name,
                f"record {tail.next_seq} was durable (records up to {durable_seq} were), "
                f"but the frame at byte {tail.offset} is not whole",
            )
        elif tail.torn_bytes:
            self.report.notes.append(
                f"{name}: torn after record {tail.next_seq - 1}: {tail.torn_bytes} bytes of a frame that is not whole"
            )
        self.report.torn_bytes += tail.torn_bytes
        self._chain = None
        self.report.closed = False

    def _follows(self, name: str, first_seq: int) -> None:
        if first_seq != self._next_seq:
            self._problem(name, f"begins at record {first_seq}, but record {self._next_seq} was to come")
        self._next_seq = first_seq

    def _rows(self, where: str, batch: pa.RecordBatch) -> None:
        """The rules that every row must meet, whoever wrote it."""
        if not batch.num_rows:
            return
        column = dict(zip(SCHEMA.names, batch.columns, strict=True))
        if missing := [name for name in _REQUIRED if column[name].null_count]:
            self._problem(where, f"{', '.join(missing)} missing in some rows")
            return
        seqs: Any = column["seq"].to_numpy()
        if not np.array_equal(seqs, np.arange(self._next_seq, self._next_seq + len(seqs))):
            self._problem(where, f"the sequence is broken after record {self._next_seq - 1}")
        times: Any = column["time_ns"].to_numpy()
        if (np.diff(times) < 0).any() or (self._time_ns is not None and times[0] < self._time_ns):
            self._problem(where, "session time falls")
        if not _xor(column["payload"], column["body"]):
            self._problem(where, "a row has not exactly one of payload and body")
        if not pc.all(pc.is_in(column["kind"], value_set=_KINDS)).as_py():
            self._problem(where, "a row is of a kind that this version does not know")
        self._next_seq += len(seqs)
        self._time_ns = int(times[-1])
        self.report.records += len(seqs)


def _xor(payload: pa.Array, body: pa.Array) -> bool:
    one: Any = payload.is_valid().to_numpy(zero_copy_only=False) ^ body.is_valid().to_numpy(zero_copy_only=False)
    return bool(one.all())
