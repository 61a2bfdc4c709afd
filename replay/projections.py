"""The market rows of a sealed segment, decoded once and cached beside it. Resimulations fold them instead of payloads.

A cache (journal/caches.py), keyed by the decoders' code, the segment's content and the instruments with their scales.
Holds the plain stream messages and the answers of polled streams, without depth snapshots that a book needed.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from struct import Struct

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.market.rows import COLUMNS, LAST, SEQ, Rows
from engine.session_context import SessionContext
from engine.venues.polling import decode_polled
from engine.venues.venue import RowsAndEvents, Venue
from journal import caches
from journal.arrow_arrays import flags, numbers, texts
from journal.record import Kind
from journal.segments import RowFilter, SealedSegment
from replay.code_digest import code_digest

# columns of a record from which rows are decoded
_DECODED_COLUMNS = (
    "seq",
    "time_ns",
    "kind",
    "source",
    "key",
    "meta",
    "payload",
)
OUTSIDE_KINDS = (Kind.FEED, Kind.LINK, Kind.COMMAND)
FORMAT_VERSION = 5  # of the cache
_HEAD = Struct("<qqqq")  # records, other records, blocks, bytes of the index
BLOCK_ROWS = 32_768  # 2.9 MB
# twice the bytes of zstd, unpacked in a third of the time; unpacking is most of the cost of a fold without decisions
CODEC = "lz4_raw"
BLOCKS_CACHED = 4  # the engine and the venue seldom read more than two at a time


class Projection:
    """The market's rows in one part of a journal, and the seqs of all other records from outside.

    The rows are stored in compressed blocks of whole records, which are unpacked on demand: a block fits the
    processor's cache, and memory that is used again needs no new pages, which would cost more than the unpacking.
    """

    def __init__(self, seqs: Rows, ends: Rows, other_seqs: Rows, blocks: Sequence[memoryview | Rows]) -> None:
        self.seqs = seqs  # of the market records
        self.ends = ends  # for each record, one past its last row
        self.other_seqs = other_seqs  # seqs of the records from outside that have no rows
        self.blocks = blocks  # compressed, or plain rows
        self._firsts = _block_starts(ends)  # the first record of each block
        self._cached_blocks: dict[int, Rows] = {}

    def rows(self, first: int, last: int) -> Iterator[tuple[Rows, Rows]]:
        """Yield the rows of records `first` to `last - 1`, block by block.

        With each block's rows come the ends of its records: for each record, one past its last row.
        """
        while first < last:
            block = int(np.searchsorted(self._firsts, first, side="right")) - 1
            until = last if block + 1 == len(self._firsts) else min(last, int(self._firsts[block + 1]))
            base, begin = self._first_row(int(self._firsts[block])), self._first_row(first)
            yield self._block(block)[begin - base : self._first_row(until) - base], self.ends[first:until] - begin
            first = until

    def _first_row(self, record: int) -> int:
        return int(self.ends[record - 1]) if record else 0

    def _block(self, block: int) -> Rows:
        packed = self.blocks[block]
        if isinstance(packed, np.ndarray):
            return packed
        rows_at_hand = self._cached_blocks.get(block)
        if rows_at_hand is None:
            end = len(self.ends) if block + 1 == len(self._firsts) else int(self._firsts[block + 1])
            rows = self._first_row(end) - self._first_row(int(self._firsts[block]))
            rows_at_hand = _decompress(packed, rows * COLUMNS * 8).reshape(rows, COLUMNS)
            while len(self._cached_blocks) >= BLOCKS_CACHED:
                del self._cached_blocks[next(iter(self._cached_blocks))]
            self._cached_blocks[block] = rows_at_hand
        return rows_at_hand


def _block_starts(ends: Rows) -> Rows:
    """Return the first record of each block. A block has BLOCK_ROWS rows, rounded up to whole records."""
    if not len(ends):
        return np.empty(0, np.int64)
    begins = np.concatenate([[0], ends[:-1]])
    return np.flatnonzero(np.diff(begins // BLOCK_ROWS, prepend=-1))


def load_projection(sealed: SealedSegment, context: SessionContext) -> Projection:
    """Return the projection of a whole sealed segment, from the cache if it is there.

    Raises:
        DamagedJournalError: The segment cannot be read.
    """
    name = f"rows-{sealed.footer.first_seq:012d}"
    instruments = msgspec.json.encode(context.body.instruments).decode()
    made_from = f"{FORMAT_VERSION} {code_digest()} {sealed.footer.chain} {instruments}"
    cached = caches.load(sealed.path.parent, name, made_from)
    if cached is not None:
        return _decode(cached)
    projection = build_projection(lambda kinds, columns: sealed.batches(RowFilter(kinds=kinds), columns), context)
    caches.save(sealed.path.parent, name, made_from, _encode(projection))
    return projection


Batches = Callable[[Collection[Kind], Sequence[str]], Iterable[pa.RecordBatch]]


def build_projection(batches: Batches, context: SessionContext) -> Projection:
    """Decode records that `batches` reads into a projection."""
    rows = decode_frames(batches((Kind.FEED,), _DECODED_COLUMNS), context)
    plain = rows[:, SEQ]
    parts = [np.empty(0, np.int64)]
    for batch in batches(OUTSIDE_KINDS, ("seq",)):
        seqs = numbers(batch.column("seq"))
        index = np.minimum(np.searchsorted(plain, seqs), max(len(plain) - 1, 0))
        parts.append(seqs[plain[index] != seqs] if len(plain) else seqs)
    ends = np.flatnonzero(rows[:, LAST]) + 1
    cuts = ends[_block_starts(ends)[1:] - 1]
    return Projection(rows[ends - 1, SEQ], ends, np.concatenate(parts), np.split(rows, cuts) if len(rows) else [])


def decode_frames(batches: Iterable[pa.RecordBatch], context: SessionContext) -> Rows:
    """Decode FEED records into the rows of their plain stream messages."""
    parts: list[Rows] = [np.empty((0, COLUMNS), np.int64)]
    for batch in batches:
        seqs, times = numbers(batch.column("seq")), numbers(batch.column("time_ns"))
        plain = flags(batch.column("meta").is_null())
        sources, payloads = batch.column("source"), batch.column("payload").to_pylist()
        messages = _decode_runs(context, sources=sources, payloads=payloads, seqs=seqs, times_ns=times, are_plain=plain)
        if context.polled.streams:  # the key of an answer names its stream
            keys = zip(batch.column("key").to_pylist(), sources.to_pylist(), strict=True)
            polls = [(at, key, source) for at, (key, source) in enumerate(keys) if key is not None and not plain[at]]
            decoded = (
                (
                    at,
                    decode_polled(
                        venue_for_source(context, source), key, payloads[at] or b"", int(seqs[at]), int(times[at])
                    ),
                )
                for at, key, source in polls
            )
            messages = iter(sorted([*messages, *decoded], key=itemgetter(0)))
        parts += [rows for _, rows in messages]
    return np.concatenate(parts)


def decode_messages(
    context: SessionContext,
    *,
    sources: pa.Array | Sequence[str],
    payloads: Sequence[bytes],
    seqs: Rows,
    times_ns: Rows,
    are_plain: NDArray[np.bool_],
) -> Iterator[Rows]:
    """Yield the rows of messages, given as columns of FEED records. Those that are not plain have no rows."""
    runs = _decode_runs(context, sources=sources, payloads=payloads, seqs=seqs, times_ns=times_ns, are_plain=are_plain)
    return (rows for _, rows in runs)


def _decode_runs(
    context: SessionContext,
    *,
    sources: pa.Array | Sequence[str],
    payloads: Sequence[bytes],
    seqs: Rows,
    times_ns: Rows,
    are_plain: NDArray[np.bool_],
) -> Iterator[tuple[int, Rows]]:
    """Yield the rows of messages in a row, each with the place of its first message."""
    names = sources if isinstance(sources, pa.Array) else texts(sources)
    for venue, begin, end in _venue_runs(names, are_plain, context):
        at = begin
        while at < end:
            decoded = venue.market.decode_many(payloads[at:end], seqs[at:end], times_ns[at:end])
            if decoded is None:
                single = venue.market.decode(payloads[at], names[at].as_py(), int(seqs[at]), int(times_ns[at]))
                rows = single.rows if isinstance(single, RowsAndEvents) else single
                if isinstance(rows, np.ndarray):  # such as a frame that its link alone explains
                    yield at, rows
                at += 1
                continue
            rows, ends = decoded
            yield at, rows
            at += len(ends)


def _venue_runs(
    sources: pa.Array, are_plain: NDArray[np.bool_], context: SessionContext
) -> Iterator[tuple[Venue, int, int]]:
    """Yield each run of plain records in a row whose sources use one venue: its first record, and one past its last."""
    coded = sources if pa.types.is_dictionary(sources.type) else sources.dictionary_encode()
    codes = numbers(coded.indices)
    venues: list[Venue] = []
    place_of = np.full(len(coded.dictionary) + 1, -1, np.int64)
    for code in np.unique(codes).tolist():  # a filtered batch keeps the names that it does not use
        venue = venue_for_source(context, coded.dictionary[code].as_py())
        if venue not in venues:
            venues.append(venue)
        place_of[code] = venues.index(venue)
    places = np.where(are_plain, place_of[codes], -1)
    firsts = np.flatnonzero(np.diff(places, prepend=-2))
    ends = np.append(firsts[1:], len(places))[: len(firsts)]
    for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
        if places[first] >= 0:
            yield venues[places[first]], first, end


def venue_for_source(context: SessionContext, source: str) -> Venue:
    """Return the venue whose dialect a source uses.

    A capture has other source names, so a session with one venue uses that venue for all of them.
    """
    if source.partition(".")[0] in context.venues or len(context.venues) != 1:
        return context.venue_of(source)
    return next(iter(context.venues.values()))


def _encode(projection: Projection) -> bytes:
    index = pa.compress(
        np.concatenate([projection.seqs, projection.ends, projection.other_seqs]).tobytes(), codec=CODEC, asbytes=True
    )
    packed = [pa.compress(block.tobytes(), codec=CODEC, asbytes=True) for block in map(np.asarray, projection.blocks)]
    head = _HEAD.pack(len(projection.seqs), len(projection.other_seqs), len(packed), len(index))
    return b"".join((head, np.array([len(block) for block in packed], np.int64).tobytes(), index, *packed))


def _decode(cached: memoryview) -> Projection:
    records, other_seqs, count, length = _HEAD.unpack_from(cached)
    lengths = np.frombuffer(cached, np.int64, count, _HEAD.size)
    begin = _HEAD.size + lengths.nbytes + length
    index = _decompress(cached[begin - length : begin], 8 * (2 * records + other_seqs))
    ends = begin + np.cumsum(lengths)
    blocks = [cached[end - size : end] for end, size in zip(ends.tolist(), lengths.tolist(), strict=True)]
    return Projection(index[:records], index[records : 2 * records], index[2 * records :], blocks)


def _decompress(packed: memoryview, size: int) -> Rows:
    return np.frombuffer(pa.decompress(packed, size, codec=CODEC) if size else b"", np.int64)
