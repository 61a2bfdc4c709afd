"""The market rows of a sealed segment, decoded once and cached beside it. Resimulations fold them instead of payloads.

A cache (journal/caches.py), keyed by the decoders' code, the segment's content and the instruments with their scales.
Holds the plain stream messages and the answers of polled streams, without depth snapshots that a book needed.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

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
from journal.arrow_codec import to_records
from journal.record import Kind
from journal.segments import RowFilter, SealedSegment
from replay.code_digest import code_digest
from replay.row_blocks import FACTS, Projection, UnpackedRows, decode, encode, facts_of

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
FORMAT_VERSION = 9  # of the cache
OTHERS_STORED_MAX = 50  # records without rows that a cache has, so that no row group is read for them
BLOCK_ROWS = 8192  # 0.7 MB: a block and what it is folded into fit the processor's cache


def _block_ends(ends: Rows) -> Rows:
    """Return for each block one past its last record. A block has BLOCK_ROWS rows, rounded up to whole records."""
    begins = np.concatenate([[0], ends[:-1]])
    return np.append(np.flatnonzero(np.diff(begins // BLOCK_ROWS)) + 1, len(ends))


def load_projection(sealed: SealedSegment, context: SessionContext) -> Projection:
    """Return the projection of a whole sealed segment, from the cache if it is there.

    Raises:
        DamagedJournalError: The segment cannot be read.
    """
    name = f"rows-{sealed.footer.first_seq:012d}"
    instruments = msgspec.json.encode(context.body.instruments).decode()
    made_from = f"{FORMAT_VERSION} {code_digest()} {sealed.footer.chain} {instruments}"

    def build() -> Projection:
        built = build_projection(lambda kinds, columns: sealed.batches(RowFilter(kinds=kinds), columns), context)
        if len(built.other_seqs) <= OTHERS_STORED_MAX:
            chosen = chain.from_iterable(sealed.batches(RowFilter(seq, seq)) for seq in built.other_seqs.tolist())
            built.stored_others = list(chain.from_iterable(map(to_records, chosen)))
        index, blocks = encode(built)
        caches.save(sealed.path.parent, name, made_from, index, blocks)
        return built

    cached = caches.load_blocks(sealed.path.parent, name, made_from)
    return build() if cached is None else decode(*cached, build)


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
    seqs, others = rows[ends - 1, SEQ], np.concatenate(parts)
    cuts = np.append(0, _block_ends(ends)) if len(ends) else np.zeros(1, np.int64)
    row_cuts = np.append(0, ends)[cuts].tolist()
    facts = [
        [record, int(seqs[record]), *facts_of(rows[begin:end])]
        for record, begin, end in zip(cuts.tolist(), row_cuts, row_cuts[1:], strict=False)
    ]

    def read_block(block: int) -> UnpackedRows:
        begin = row_cuts[block]
        return rows[begin : row_cuts[block + 1]], ends[cuts[block] : cuts[block + 1]] - begin

    places = np.column_stack([others, np.searchsorted(seqs, others)])
    return Projection(np.array(facts, np.int64).reshape(-1, len(FACTS)), len(ends), places, read_block)


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
    seqs, times_ns = seqs.copy(), times_ns.copy()  # writable as a live session's: code is compiled for one of both
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
