"""The market rows of a sealed segment, decoded once and kept beside it: what a resimulation folds instead of payloads.

A cache (journal/caches.py), keyed by the decoders' code, by the segment's content and by the instruments with their scales.
Holds the plain stream messages; what is decoded with a request in hand (snapshots) or is no market message is not in it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from struct import Struct

import msgspec
import numpy as np
import pyarrow as pa

from engine.market.rows import COLUMNS, LAST, SEQ, Rows
from engine.session_context import SessionContext
from engine.venues.venue import Venue
from journal import caches
from journal.record import Kind
from journal.segments import RowFilter as Wanted
from journal.segments import SealedSegment
from replay.snapshots import code_digest

_DECODED = ("seq", "time_ns", "kind", "source", "meta", "payload")  # columns of a record that rows are made of
OUTSIDE = (Kind.FEED, Kind.LINK, Kind.COMMAND)
FORMAT = 5  # of the cache
_HEAD = Struct("<qqqq")  # records, other records, blocks, bytes of the index
BLOCK_ROWS = 32_768  # 2.9 MB
CODEC = "lz4_raw"  # twice the bytes of zstd, unpacked in a third of the time: unpacking is most of what a fold that nobody stops costs
BLOCKS_HELD = 4  # the engine's place and the venue's are seldom in more than two


class Projection:
    """What came to a session from outside, in a part of its journal.

    Its rows lie in blocks of whole records, packed, and are unpacked as they are asked for: a block fits the processor's cache, and
    memory that is used again needs no new pages, which costs more than the unpacking.
    """

    def __init__(self, seqs: Rows, ends: Rows, others: Rows, blocks: Sequence[memoryview | Rows]) -> None:
        self.seqs = seqs  # of the market's records
        self.ends = ends  # of each of them, the row behind its last
        self.others = others  # seqs of the records from outside that no row stands for
        self.blocks = blocks  # packed, or rows as they are
        self._firsts = _firsts(ends)  # the record with which each block begins
        self._held: dict[int, Rows] = {}

    def rows(self, first: int, last: int) -> Iterator[tuple[Rows, Rows]]:
        """Of the records from the first up to before the last, by their places: rows, and for each record the row behind its last. Block by block."""
        while first < last:
            block = int(np.searchsorted(self._firsts, first, side="right")) - 1
            until = last if block + 1 == len(self._firsts) else min(last, int(self._firsts[block + 1]))
            base, begin = self._begin(int(self._firsts[block])), self._begin(first)
            yield self._block(block)[begin - base : self._begin(until) - base], self.ends[first:until] - begin
            first = until

    def _begin(self, record: int) -> int:
        return int(self.ends[record - 1]) if record else 0

    def _block(self, block: int) -> Rows:
        packed = self.blocks[block]
        if isinstance(packed, np.ndarray):
            return packed
        held = self._held.get(block)
        if held is None:
            end = len(self.ends) if block + 1 == len(self._firsts) else int(self._firsts[block + 1])
            rows = self._begin(end) - self._begin(int(self._firsts[block]))
            held = _unpacked(packed, rows * COLUMNS * 8).reshape(rows, COLUMNS)
            while len(self._held) >= BLOCKS_HELD:
                del self._held[next(iter(self._held))]
            self._held[block] = held
        return held


def _firsts(ends: Rows) -> Rows:
    """The first record of each block: those that begin behind BLOCK_ROWS more rows."""
    if not len(ends):
        return np.empty(0, np.int64)
    begins = np.concatenate([[0], ends[:-1]])
    return np.flatnonzero(np.diff(begins // BLOCK_ROWS, prepend=-1))


def projection(sealed: SealedSegment, program: SessionContext) -> Projection:
    """Of a whole sealed segment. DamagedJournalError where it cannot be read."""
    name = f"rows-{sealed.footer.first_seq:012d}"
    instruments = msgspec.json.encode(program.body.instruments).decode()
    made_from = f"{FORMAT} {code_digest()} {sealed.footer.chain} {instruments}"
    kept = caches.load(sealed.path.parent, name, made_from)
    if kept is not None:
        return _read(kept)
    made = projected(lambda kinds, columns: sealed.batches(Wanted(kinds=kinds), columns), program)
    caches.save(sealed.path.parent, name, made_from, _written(made))
    return made


Batches = Callable[[Collection[Kind], Sequence[str]], Iterable[pa.RecordBatch]]


def projected(batches: Batches, program: SessionContext) -> Projection:
    """Of records that are read anew."""
    rows = decoded(batches((Kind.FEED,), _DECODED), program)
    plain = rows[:, SEQ]
    found = [np.empty(0, np.int64)]
    for batch in batches(OUTSIDE, ("seq",)):
        seqs = batch.column("seq").to_numpy()
        at = np.minimum(np.searchsorted(plain, seqs), max(len(plain) - 1, 0))
        found.append(seqs[plain[at] != seqs] if len(plain) else seqs)
    ends = np.flatnonzero(rows[:, LAST]) + 1
    cuts = ends[_firsts(ends)[1:] - 1]
    return Projection(rows[ends - 1, SEQ], ends, np.concatenate(found), np.split(rows, cuts) if len(rows) else [])


def decoded(batches: Iterable[pa.RecordBatch], program: SessionContext) -> Rows:
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


def venue_of(program: SessionContext, source: str) -> Venue:
    """Whose dialect a source speaks; what was captured by others names none of ours, and is the only one's."""
    if source.partition(".")[0] in program.venues or len(program.venues) != 1:
        return program.venue_of(source)
    return next(iter(program.venues.values()))


def _written(made: Projection) -> bytes:
    index = pa.compress(np.concatenate([made.seqs, made.ends, made.others]).tobytes(), codec=CODEC, asbytes=True)
    packed = [pa.compress(block.tobytes(), codec=CODEC, asbytes=True) for block in map(np.asarray, made.blocks)]
    head = _HEAD.pack(len(made.seqs), len(made.others), len(packed), len(index))
    return b"".join((head, np.array([len(block) for block in packed], np.int64).tobytes(), index, *packed))


def _read(kept: memoryview) -> Projection:
    records, others, count, length = _HEAD.unpack_from(kept)
    lengths = np.frombuffer(kept, np.int64, count, _HEAD.size)
    begin = _HEAD.size + lengths.nbytes + length
    index = _unpacked(kept[begin - length : begin], 8 * (2 * records + others))
    ends = begin + np.cumsum(lengths)
    blocks = [kept[end - size : end] for end, size in zip(ends.tolist(), lengths.tolist(), strict=True)]
    return Projection(index[:records], index[records : 2 * records], index[2 * records :], blocks)


def _unpacked(packed: memoryview, size: int) -> Rows:
    return np.frombuffer(pa.decompress(packed, size, codec=CODEC) if size else b"", np.int64)
