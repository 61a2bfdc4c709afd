"""The market rows of a sealed segment, decoded once and kept beside it: what a resimulation folds instead of payloads.

A cache (journal/caches.py), keyed by the decoders' code, by the segment's content and by the instruments with their scales.
Holds the plain stream messages; what is decoded with a request in hand (snapshots) or is no market message is not in it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from engine.market.rows import COLUMNS, LAST, SEQ, Rows
from engine.program import Program
from engine.venues.venue import Venue
from journal import caches
from journal.record import Kind
from journal.segments import Rows as Wanted
from journal.segments import Sealed
from replay.snapshots import code_digest

_DECODED = ("seq", "time_ns", "kind", "source", "meta", "payload")  # columns of a record that rows are made of
OUTSIDE = (Kind.FEED, Kind.LINK, Kind.COMMAND)
FORMAT = 3  # of the cache
_HEAD = Struct("<qqq")  # rows, their records, other records


class Projection(NamedTuple):
    """What came to a session from outside, in a part of its journal."""

    rows: Rows  # of its market, in the order of their records, (n, COLUMNS)
    ends: Rows  # of each record, the row behind its last
    others: Rows  # seqs of the records from outside that no row stands for


def projection(sealed: Sealed, program: Program) -> Projection:
    """Of a whole sealed segment. DamagedJournal where it cannot be read."""
    name = f"rows-{sealed.footer.first_seq:012d}"
    instruments = msgspec.json.encode(program.session.instruments).decode()
    made_from = f"{FORMAT} {code_digest()} {sealed.footer.chain} {instruments}"
    kept = caches.find(sealed.path.parent, name, made_from)
    if kept is not None:
        return _read(kept)
    made = projected(lambda kinds, columns: sealed.batches(Wanted(kinds=kinds), columns), program)
    caches.keep(sealed.path.parent, name, made_from, _written(made))
    return made


Batches = Callable[[Collection[Kind], Sequence[str]], Iterable[pa.RecordBatch]]


def projected(batches: Batches, program: Program) -> Projection:
    """Of records that are read anew."""
    rows = decoded(batches((Kind.FEED,), _DECODED), program)
    plain = rows[:, SEQ]
    found = [np.empty(0, np.int64)]
    for batch in batches(OUTSIDE, ("seq",)):
        seqs = batch.column("seq").to_numpy()
        at = np.minimum(np.searchsorted(plain, seqs), max(len(plain) - 1, 0))
        found.append(seqs[plain[at] != seqs] if len(plain) else seqs)
    return Projection(rows, np.flatnonzero(rows[:, LAST]) + 1, np.concatenate(found))


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


def _written(made: Projection) -> bytes:
    """Rows as they lie in memory: nothing is to be put together where they are read."""
    packed = pa.compress(made.rows.tobytes(), codec="zstd", asbytes=True)
    written: bytes = _HEAD.pack(*map(len, made)) + made.ends.tobytes() + made.others.tobytes() + packed
    return written


def _read(kept: bytes) -> Projection:
    rows, records, others = _HEAD.unpack_from(kept)
    numbers = np.frombuffer(kept, np.int64, records + others, _HEAD.size)
    packed = pa.BufferReader(pa.py_buffer(kept).slice(_HEAD.size + numbers.nbytes))
    table: Rows = np.empty((rows, COLUMNS), np.int64)  # NumPy's memory comes in large pages, Arrow's does not: half the time
    filled = pa.CompressedInputStream(packed, "zstd").readinto(table.data.cast("B")) if rows else 0
    assert filled == table.nbytes, (filled, table.nbytes)
    return Projection(table, numbers[:records], numbers[records:])
