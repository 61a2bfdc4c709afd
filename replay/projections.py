"""The market rows of a sealed segment, decoded once and kept beside it: what a resimulation folds instead of payloads.

A cache (journal/caches.py), keyed by the decoders' code, by the segment's content and by the instruments with their scales.
Holds the plain stream messages; what is decoded with a request in hand (snapshots) or is no market message is not in it.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import pyarrow as pa

from engine.market.rows import COLUMNS, Rows
from engine.program import Program
from engine.venues.venue import Venue
from journal import caches
from journal.record import Kind
from journal.segments import Rows as Wanted
from journal.segments import Sealed
from replay.snapshots import code_digest

_DECODED = ("seq", "time_ns", "kind", "source", "meta", "payload")  # columns of a record that rows are made of
_COLUMNS = [str(number) for number in range(COLUMNS)]
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def projection(sealed: Sealed, program: Program) -> Rows:
    """Rows in the order of their records, (n, COLUMNS). DamagedJournal where the segment cannot be read."""
    name = f"rows-{sealed.footer.first_seq:012d}"
    instruments = msgspec.json.encode(program.session.instruments).decode()
    made_from = f"{code_digest()} {sealed.footer.chain} {instruments}"
    kept = caches.find(sealed.path.parent, name, made_from)
    if kept is not None:
        return _read(kept)
    rows = decoded(sealed.batches(Wanted(kinds=[Kind.FEED]), _DECODED), program)
    caches.keep(sealed.path.parent, name, made_from, _written(rows))
    return rows


def decoded(batches: Iterable[pa.RecordBatch], program: Program) -> Rows:
    """The rows of these FEED records' plain stream messages."""
    found: list[Rows] = [np.empty((0, COLUMNS), np.int64)]
    for batch in batches:
        seqs, times = batch.column("seq").to_numpy(), batch.column("time_ns").to_numpy()
        plain = batch.column("meta").is_null().to_numpy(zero_copy_only=False)
        sources, payloads = batch.column("source").to_pylist(), batch.column("payload").to_pylist()
        at = 0
        while at < len(seqs):
            venue = venue_of(program, sources[at])
            end = at
            while end < len(seqs) and plain[end] and venue_of(program, sources[end]) is venue:
                end += 1
            decoded = venue.market.decode_many(payloads[at:end], seqs[at:end], times[at:end]) if end > at else None
            if decoded is None:
                at += 1
                continue
            rows, ends = decoded
            found.append(rows)
            at += len(ends)
    return np.concatenate(found)


def venue_of(program: Program, source: str) -> Venue:
    """Whose dialect a source speaks; what was captured by others names none of ours, and is the only one's."""
    if source.partition(".")[0] in program.venues or len(program.venues) != 1:
        return program.venue_of(source)
    return next(iter(program.venues.values()))


def _written(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_arrays([pa.array(rows[:, number]) for number in range(COLUMNS)], _COLUMNS)
    with pa.ipc.new_file(sink, batch.schema, options=_OPTIONS) as file:
        file.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _read(kept: bytes) -> Rows:
    batch = pa.ipc.open_file(pa.py_buffer(kept)).get_batch(0)
    return np.column_stack([column.to_numpy() for column in batch.columns])
