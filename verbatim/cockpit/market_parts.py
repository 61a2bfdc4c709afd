"""The market series of a session from its journal: a part for each sealed segment, and one for the records after them.

A part's blocks and its ticks (single quotes and trades) are made once for a sealed segment and cached. They come from
the projection of the segment (replay/projections.py), which other readers share; only a finished session gets one
beside its segments.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from engine.market.rows import COLUMNS, Rows
from engine.session_context import SessionContext
from journal import caches
from journal.arrow_codec import from_message, to_message
from journal.reader import Journal
from journal.record import Kind, Record
from journal.segments import SealedSegment
from replay.projections import CODEC, build_projection, decode_frames, load_projection
from replay.snapshots import code_digest
from verbatim.cockpit.series import BLOCK, Ints, MarketPart, PartSummary, Series, Ticks, clock_of, summarize, ticks_of

FORMAT_VERSION = 2  # of the cache
HELD_PARTS = 8  # whose ticks stay in memory, some 7 MB each
_decode = msgspec.msgpack.Decoder(PartSummary).decode
_decode_ticks = msgspec.msgpack.Decoder(Ticks).decode
_LENGTH = 8  # bytes of the size before compressed ticks


def _pack(ticks: Ticks) -> bytes:
    data = msgspec.msgpack.encode(ticks)
    packed: bytes = pa.compress(data, codec=CODEC, asbytes=True)
    return len(data).to_bytes(_LENGTH, "little") + packed


def _unpack(cached: memoryview) -> Ticks:
    size = int.from_bytes(cached[:_LENGTH], "little")
    return _decode_ticks(pa.decompress(cached[_LENGTH:], size, codec=CODEC, asbytes=True))


class MarketParts:
    """Builds and extends the series of one session."""

    def __init__(self, journal: Journal, context: SessionContext | None, cache: Path, *, is_shared: bool) -> None:
        """Prepare; nothing is read yet.

        Args:
            journal: The session as it is now.
            context: Its venues and instruments; None: its market data cannot be decoded.
            cache: The folder of our caches.
            is_shared: True if projections may be written beside the segments, because the session has no writer.
        """
        self._journal = journal
        self._context = context
        self._cache = cache
        self._is_shared = is_shared
        self._held: OrderedDict[int, Ticks] = OrderedDict()
        self._tail: list[Rows] = []
        self._tail_clock: list[int] = []
        self._tail_count = 0
        self.series = Series(0 if context is None else len(context.body.instruments))

    def load(self, on_progress: Callable[[int], None] = lambda _: None) -> None:
        """Read all segments; `on_progress` gets the last record that was read."""
        seq = self._journal.first_seq
        while seq <= self._journal.last_seq:
            first_seq, last_seq, sealed = self._journal.segment_at(seq)
            if last_seq >= first_seq:
                self.series.parts.append(self._sealed_part(sealed) if sealed else self._plain_part(first_seq, last_seq))
            on_progress(last_seq)
            seq = last_seq + 1

    # ---- parts of files

    def _sealed_part(self, sealed: SealedSegment) -> MarketPart:
        first_seq, last_seq = sealed.footer.first_seq, sealed.last_seq
        instruments = b"" if self._context is None else msgspec.json.encode(self._context.body.instruments)
        made_from = f"{FORMAT_VERSION} {code_digest()} {sealed.footer.chain} {instruments.decode()}"

        def make_ticks() -> Ticks:
            name = f"ticks-{first_seq:012d}"
            if (cached := caches.load(self._cache, name, made_from)) is not None:
                return _unpack(cached)
            ticks = ticks_of(self._segment_rows(sealed), self.series.instruments)
            caches.save(self._cache, name, made_from, _pack(ticks))
            return ticks

        def load_ticks() -> Ticks:
            return self._ticks(first_seq, make_ticks)

        name = f"series-{first_seq:012d}"
        cached = caches.load(self._cache, name, made_from)
        summary = None if cached is None else _decode(cached)
        if summary is None:
            summary = self._summary(first_seq, last_seq, load_ticks())
            caches.save(self._cache, name, made_from, msgspec.msgpack.encode(summary))
        return MarketPart(summary, load_ticks)

    def _plain_part(self, first_seq: int, last_seq: int) -> MarketPart:
        def load_ticks() -> Ticks:
            return self._ticks(
                first_seq, lambda: ticks_of(self._range_rows(first_seq, last_seq), self.series.instruments)
            )

        return MarketPart(self._summary(first_seq, last_seq, load_ticks()), load_ticks)

    def _summary(self, first_seq: int, last_seq: int, ticks: Ticks) -> PartSummary:
        batches = self._journal.batches(first_seq, ["time_ns"], to_seq=last_seq)
        clock, first_ns, last_ns, _ = clock_of(batch.column(0).to_numpy() for batch in batches)
        return summarize(ticks, clock, first_seq=first_seq, last_seq=last_seq, first_ns=first_ns, last_ns=last_ns)

    def _ticks(self, first_seq: int, make: Callable[[], Ticks]) -> Ticks:
        ticks = self._held.pop(first_seq, None)
        if ticks is None:
            ticks = make()
        self._held[first_seq] = ticks
        while len(self._held) > HELD_PARTS:
            self._held.popitem(last=False)
        return ticks

    def _segment_rows(self, sealed: SealedSegment) -> Rows:
        if self._context is None:
            return np.empty((0, COLUMNS), np.int64)
        if not self._is_shared:
            return self._range_rows(sealed.footer.first_seq, sealed.last_seq)
        found = load_projection(sealed, self._context)
        blocks = [rows for rows, _ in found.rows(0, len(found.ends))]
        return np.concatenate(blocks) if blocks else np.empty((0, COLUMNS), np.int64)

    def _range_rows(self, first_seq: int, last_seq: int) -> Rows:
        if self._context is None:
            return np.empty((0, COLUMNS), np.int64)
        found = build_projection(
            lambda kinds, columns: self._journal.batches(first_seq, columns, to_seq=last_seq, kinds=kinds),
            self._context,
        )
        blocks = [rows for rows, _ in found.rows(0, len(found.ends))]
        return np.concatenate(blocks) if blocks else np.empty((0, COLUMNS), np.int64)

    # ---- what comes later

    def extend(self, records: Sequence[Record]) -> None:
        """Add records that came after the last ones, of a running session."""
        if not records:
            return
        frames = [record for record in records if record.kind is Kind.FEED and record.meta is None]
        if frames and self._context is not None:
            self._tail.append(decode_frames([from_message(to_message(frames))], self._context))
        for record in records:
            if self._tail_count % BLOCK == 0:
                self._tail_clock.append(record.time_ns)
            self._tail_count += 1
        part = self.series.parts[-1] if self.series.parts and self.series.parts[-1].is_tail else None
        first_seq = records[0].seq if part is None else part.first_seq
        first_ns = records[0].time_ns if part is None else part.first_ns
        rows = np.concatenate(self._tail) if self._tail else np.empty((0, COLUMNS), np.int64)
        self._tail = [rows]
        clock: Ints = np.array(self._tail_clock, np.int64)
        ticks = ticks_of(rows, self.series.instruments)
        summary = summarize(
            ticks,
            clock,
            first_seq=first_seq,
            last_seq=records[-1].seq,
            first_ns=first_ns,
            last_ns=records[-1].time_ns,
        )
        tail = MarketPart(summary, lambda: ticks, is_tail=True)
        if part is None:
            self.series.parts.append(tail)
        else:
            self.series.parts[-1] = tail
        if self._tail_count >= TAIL_RECORDS_MAX:
            tail.is_tail = False
            self._tail, self._tail_clock, self._tail_count = [], [], 0


TAIL_RECORDS_MAX = 65_536  # then the next tail begins, so that adding to one stays cheap
