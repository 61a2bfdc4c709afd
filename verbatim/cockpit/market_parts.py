"""The market series of a session from its journal: a part for each sealed segment, and one for the records after them.

A part's blocks and its ticks (single quotes and trades) are made once for a sealed segment and cached. They come from
the projection of the segment (replay/projections.py), which other readers share; only a finished session gets one
beside its segments.

A session opens before its blocks are made: `open_parts` reads only the times of records, then `build_next` makes the
blocks of one part after the other, those that the page shows first, spread evenly over the range.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from engine.market.rows import COLUMNS, Rows
from engine.session_context import SessionContext
from journal import caches
from journal.arrow_arrays import numbers
from journal.arrow_codec import from_message, to_message
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.segments import SealedSegment
from replay.code_digest import code_digest
from replay.projections import build_projection, decode_frames, load_projection
from replay.row_blocks import CODEC
from verbatim.cockpit.series import BLOCK, Ints, MarketPart, PartSummary, Series, Ticks, clock_of, summarize, ticks_of

FORMAT_VERSION = 2  # of the cache
AT_ONCE_PARTS = 2  # of a range that is answered only when its blocks are made
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


class _UnreadSegment(NamedTuple):
    """A sealed segment whose blocks are not made yet."""

    sealed: SealedSegment
    made_from: str  # of its caches


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
        self._waiting: dict[int, _UnreadSegment] = {}  # by the place of the part
        self._building = Lock()
        self._wanted = (0, 0)  # absolute times that the page shows
        self.problem = ""  # why a segment's market data cannot be shown
        self._tail: list[Rows] = []
        self._tail_clock: list[int] = []
        self._tail_count = 0
        self.series = Series(0 if context is None else len(context.body.instruments))

    # ---- loading

    def open_parts(self, on_progress: Callable[[int], None] = lambda _: None) -> None:
        """Read the times of all segments, and the blocks that are cached; `on_progress` gets the last record read."""
        seq = self._journal.first_seq
        while seq <= self._journal.last_seq:
            first_seq, last_seq, sealed = self._journal.segment_at(seq)
            if last_seq >= first_seq:
                self.series.parts.append(
                    self._open_segment(sealed) if sealed else self._plain_part(first_seq, last_seq)
                )
            on_progress(last_seq)
            seq = last_seq + 1

    def build_next(self) -> bool:
        """Make the blocks of the part that is needed most. Return False if all parts have them."""
        waiting = list(self._waiting)
        if not waiting:
            return False
        parts, (from_ns, to_ns) = self.series.parts, self._wanted
        place = min(waiting, key=lambda at: (not _touches(parts[at], from_ns, to_ns), f"{at:032b}"[::-1]))
        try:
            self._build(place)
        except JournalError as error:  # the other segments can still be shown
            self.problem = str(error)
            self._waiting.pop(place, None)
        return True

    def want(self, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        """Prefer the parts of a range from now on. Return the spans of it whose blocks are not made yet.

        A short range is read at once.

        Raises:
            JournalError: A segment of a short range cannot be read.
        """
        self._wanted = from_ns, to_ns
        parts = self.series.parts
        missing = [at for at in sorted(self._waiting) if _touches(parts[at], from_ns, to_ns)]
        if sum(_touches(part, from_ns, to_ns) for part in parts) <= AT_ONCE_PARTS:
            while missing:
                self._build(missing.pop())
        return [(parts[at].first_ns, parts[at].last_ns) for at in missing]

    # ---- parts of files

    def _open_segment(self, sealed: SealedSegment) -> MarketPart:
        """Return the part of a segment: with its blocks if they are cached, otherwise it waits for them."""
        first_seq, last_seq = sealed.footer.first_seq, sealed.last_seq
        instruments = b"" if self._context is None else msgspec.json.encode(self._context.body.instruments)
        made_from = f"{FORMAT_VERSION} {code_digest()} {sealed.footer.chain} {instruments.decode()}"
        segment = _UnreadSegment(sealed, made_from)
        cached = caches.load(self._cache, f"series-{first_seq:012d}", made_from)
        if cached is not None:
            return MarketPart(_decode(cached), self._loader(segment))
        self._waiting[len(self.series.parts)] = segment
        nothing = Ticks({}, {})
        return MarketPart(self._summary(first_seq, last_seq, nothing), lambda: nothing)

    def _build(self, at: int) -> None:
        """Make the blocks of a waiting part, unless another thread just did."""
        with self._building:
            if (segment := self._waiting.get(at)) is None:
                return
            first_seq = segment.sealed.footer.first_seq
            summary = self._summary(first_seq, segment.sealed.last_seq, self._make_ticks(segment))
            caches.save(self._cache, f"series-{first_seq:012d}", segment.made_from, msgspec.msgpack.encode(summary))
            self.series.parts[at] = MarketPart(summary, self._loader(segment))
            del self._waiting[at]

    def _loader(self, segment: _UnreadSegment) -> Callable[[], Ticks]:
        return lambda: self._ticks(segment.sealed.footer.first_seq, lambda: self._make_ticks(segment))

    def _make_ticks(self, segment: _UnreadSegment) -> Ticks:
        name = f"ticks-{segment.sealed.footer.first_seq:012d}"
        if (cached := caches.load(self._cache, name, segment.made_from)) is not None:
            return _unpack(cached)
        ticks = ticks_of(self._segment_rows(segment.sealed), self.series.instruments)
        caches.save(self._cache, name, segment.made_from, _pack(ticks))
        return ticks

    def _plain_part(self, first_seq: int, last_seq: int) -> MarketPart:
        def load_ticks() -> Ticks:
            return self._ticks(
                first_seq, lambda: ticks_of(self._range_rows(first_seq, last_seq), self.series.instruments)
            )

        return MarketPart(self._summary(first_seq, last_seq, load_ticks()), load_ticks)

    def _summary(self, first_seq: int, last_seq: int, ticks: Ticks) -> PartSummary:
        batches = self._journal.batches(first_seq, ["time_ns"], to_seq=last_seq)
        clock, first_ns, last_ns, _ = clock_of(numbers(batch.column(0)) for batch in batches)
        return summarize(ticks, clock, first_seq=first_seq, last_seq=last_seq, first_ns=first_ns, last_ns=last_ns)

    def _ticks(self, first_seq: int, make: Callable[[], Ticks]) -> Ticks:
        ticks = self._held.pop(first_seq, None)
        if ticks is None:
            ticks = make()
        self._held[first_seq] = ticks
        while len(self._held) > HELD_PARTS:
            self._held.popitem(last=False)
        return ticks

    def _segment_rows(self, sealed: SealedSegment) -> list[Rows]:
        if self._context is None:
            return []
        if not self._is_shared:
            return self._range_rows(sealed.footer.first_seq, sealed.last_seq)
        found = load_projection(sealed, self._context)
        return [rows for rows, _ in found.rows(0, found.records)]

    def _range_rows(self, first_seq: int, last_seq: int) -> list[Rows]:
        if self._context is None:
            return []
        found = build_projection(
            lambda kinds, columns: self._journal.batches(first_seq, columns, to_seq=last_seq, kinds=kinds),
            self._context,
        )
        return [rows for rows, _ in found.rows(0, found.records)]

    # ---- what comes later

    def extend(self, records: Sequence[Record]) -> None:
        """Add records that came after the last ones, of a running session."""
        if not records:
            return
        frames = [record for record in records if record.kind is Kind.FEED and (record.meta is None or record.key)]
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
        ticks = ticks_of([rows], self.series.instruments)
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


def _touches(part: MarketPart, from_ns: int, to_ns: int) -> bool:
    return part.last_ns >= from_ns and part.first_ns <= to_ns


TAIL_RECORDS_MAX = 65_536  # then the next tail begins, so that adding to one stays cheap
