"""The market of a recorded session as rows, and its other inputs from outside, each at its place in time.

An input is on the timeline if any other session in its place would have received it too: market frames, the state of
market links, commands, clocks. Answers to requests are not, except depth snapshots, which do not depend on the
requester. Reads a journal and its projections (replay/projections.py); knows nothing of decisions.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from engine.market import rows as r
from engine.market.layout import NEVER
from engine.market.rows import Rows
from engine.record_codec import read_request
from engine.session_context import SessionContext
from engine.sim.feeds.recorded_feed import DepthAnswer, Piece
from engine.sim.feeds.sim_market import Line
from journal.reader import Journal
from journal.record import Kind, Record
from replay.projections import OUTSIDE_KINDS, build_projection, load_projection, venue_for_source
from replay.row_blocks import BlockFacts, BlockPart, Projection, rows_by_stamp

SINGLE_READS_MAX = 50  # more records than these are read by a scan of the segment
_NO_TYPE = -1  # of rows
SEGMENTS_CACHED = 2  # the engine and the venue seldom read more than two at a time


S = TypeVar("S")
Spans: TypeAlias = Callable[[Projection, int, int, int], Iterator[S]]  # (market, first, end, line) -> its rows


class RowSpan(NamedTuple):
    """Market records that follow each other with no other input from outside between them."""

    rows: Rows
    ends: Rows  # for each record, one past its last row
    line: int  # the number of its first record among the market records, from 1
    delay_ns_max: int = NEVER  # the longest from a venue's own stamp to its row's time, as far as it is known


class OutsideInput(NamedTuple):
    """A record from outside that has no market rows."""

    record: Record
    line: int = 0  # the number of market records before it
    is_market_link: bool = False


class _Segment(NamedTuple):
    """One part of the journal: its market rows, and its records from outside that have none."""

    first_seq: int
    last_seq: int
    market: Projection
    records: int  # of the market, up to the last one to read
    others: list[tuple[Record, int]]  # with the number of market records before each


class Timeline:
    """The inputs of one recorded session. Segments are read when they are reached."""

    def __init__(
        self,
        journal: Journal,
        context: SessionContext,
        until_seq: int,
        market_sources: frozenset[str],
        snapshots: Mapping[int, str] | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            journal: The session.
            context: Its venues and instruments.
            until_seq: The last record to read.
            market_sources: The sources of market links.
            snapshots: Of a capture: the record of each book snapshot, and its instrument. All others are left out.

        """
        self._journal = journal
        self._context = context
        self._until_seq = until_seq
        self._market_sources = market_sources
        self._snapshots = snapshots
        self._cached: dict[int, _Segment] = {}

    def items(self, from_seq: int = 0) -> Iterator[RowSpan | OutsideInput]:
        """Yield the inputs in order, from record `from_seq` on."""
        for item in self._walk(_row_spans):
            if isinstance(item, OutsideInput):
                if (
                    item.record.seq >= from_seq
                    and not _is_answer(item.record)
                    and not self._is_depth_snapshot(item.record)
                ):
                    yield item
                continue
            skipped = 0
            if item.rows[0, r.SEQ] < from_seq:
                skipped = int(np.searchsorted(item.rows[item.ends - 1, r.SEQ], from_seq))
            if not skipped:
                yield item
            elif skipped < len(item.ends):
                begin = int(item.ends[skipped - 1])
                ends = item.ends[skipped:] - begin
                yield RowSpan(item.rows[begin:], ends, item.line + skipped, item.delay_ns_max)

    def venue_items(self, answer_ns: int, *, by_venue_clock: bool = False, with_quotes: bool = True) -> Iterator[Piece]:
        """Yield the market for the simulated venue: rows and depth answers.

        Args:
            answer_ns: How long before its arrival a depth answer left the venue.
            by_venue_clock: Order messages by the venue's own stamps within a segment. The venue's clock is set so that
                the fastest message took no time.
            with_quotes: Include quotes.
        """
        # before the walk, whose first segment stays cached for the engine then
        offset_ns = self._clock_offset_ns(with_quotes=with_quotes) if by_venue_clock else 0
        for item in self._walk(_unread_runs):
            if isinstance(item, OutsideInput):
                if self._is_depth_snapshot(item.record):
                    yield self._depth(item.record, answer_ns)
            elif by_venue_clock:
                yield from rows_by_stamp(item, offset_ns, _NO_TYPE if with_quotes else r.QUOTE)
            else:
                yield from (part if with_quotes else _without_quotes(part.read()) for part in item)

    def may_have(self, row_type: int) -> bool:
        """Return False if no row of the session is of this type."""
        return any(facts.types >> row_type & 1 for facts in self._facts)

    @cached_property
    def _facts(self) -> list[BlockFacts]:
        """The facts of all blocks of rows, which are not read."""
        facts: list[BlockFacts] = []
        seq = 0
        while seq <= self._until_seq and self._journal.wait_for(seq):
            segment = self._segment(seq)
            facts += [part.facts for part in segment.market.parts(0, segment.records)]
            seq = segment.last_seq + 1
        return facts

    def _clock_offset_ns(self, *, with_quotes: bool) -> int:
        """Return our clock minus the venue's, estimated from the fastest message."""
        delays_ns = [facts.delay_ns_min if with_quotes else facts.unquoted_delay_ns_min for facts in self._facts]
        fastest_ns = min(delays_ns, default=NEVER)
        return 0 if fastest_ns == NEVER else fastest_ns

    def _depth(self, record: Record, answer_ns: int) -> DepthAnswer:
        if record.cause is None:
            instrument = self._instrument_of(record)
        else:
            request = next(self._journal.records(record.cause, record.cause))
            instrument = read_request(request.body or "").instrument
        payload = record.payload or b""
        rows = venue_for_source(self._context, record.source).market.decode_snapshot(
            payload, instrument, record.seq, record.time_ns
        )
        line = Line(record.time_ns - answer_ns, "", instrument.partition(":")[2], payload)
        return DepthAnswer(line, rows if isinstance(rows, np.ndarray) else np.zeros((0, r.COLUMNS), np.int64))

    def _instrument_of(self, record: Record) -> str:
        """Return the instrument of a capture's snapshot, whose body names none."""
        if self._snapshots is not None:
            return self._snapshots[record.seq]
        return next(iter(self._context.instruments))

    def _walk(self, spans: Spans[S]) -> Iterator[S | OutsideInput]:
        """Yield all inputs: those without rows, and the market between them as `spans` yields it."""
        line = 1
        seq = 0
        while seq <= self._until_seq and self._journal.wait_for(seq):
            segment = self._segment(seq)
            # above 0 only if the journal has grown since it was read
            begin = segment.market.count_before(seq) if seq > segment.first_seq else 0
            for record, end in segment.others:
                if record.seq < seq:
                    continue
                yield from spans(segment.market, begin, end, line)
                line += end - begin
                yield OutsideInput(record, line - 1, record.kind is Kind.LINK and record.source in self._market_sources)
                line += self._is_depth_snapshot(record)
                begin = end
            end = segment.records
            yield from spans(segment.market, begin, end, line)
            line += end - begin
            seq = segment.last_seq + 1

    # ---- reading

    def _segment(self, seq: int) -> _Segment:
        for cached in self._cached.values():
            if cached.first_seq <= seq <= cached.last_seq:
                return cached
        first_seq, last_seq, sealed = self._journal.segment_at(seq)
        projection = (
            self._open_segment(first_seq, last_seq) if sealed is None else load_projection(sealed, self._context)
        )
        records = projection.records if last_seq <= self._until_seq else projection.count_before(self._until_seq + 1)
        last_seq = min(last_seq, self._until_seq)
        segment = _Segment(
            first_seq, last_seq, projection, records, self._outside_records(first_seq, last_seq, projection)
        )
        while len(self._cached) >= SEGMENTS_CACHED:
            del self._cached[min(self._cached)]
        self._cached[first_seq] = segment
        return segment

    def _open_segment(self, first_seq: int, last_seq: int) -> Projection:
        """Decode the records that are not sealed yet, without a cache."""
        return build_projection(
            lambda kinds, columns: self._journal.batches(first_seq, columns, to_seq=last_seq, kinds=kinds),
            self._context,
        )

    def _outside_records(self, first_seq: int, last_seq: int, market: Projection) -> list[tuple[Record, int]]:
        """Return the records from outside that have no rows, and the number of market records before each."""
        chosen = market.other_seqs[market.other_seqs <= last_seq].tolist()
        if market.stored_others is not None:
            records = market.stored_others[: len(chosen)]
        elif len(chosen) <= SINGLE_READS_MAX:
            records = [next(self._journal.records(seq, seq)) for seq in chosen]
        else:
            chosen_seqs = set(chosen)
            records = [
                record
                for record in self._journal.records(first_seq, last_seq, kinds=OUTSIDE_KINDS)
                if record.seq in chosen_seqs
            ]
        return [
            (record, place)
            for record, place in zip(records, market.other_places[: len(chosen)].tolist(), strict=True)
            if self._is_outside(record)
        ]

    def _is_depth_snapshot(self, record: Record) -> bool:
        """Return True for an answer with a book snapshot. A capture has it without its request."""
        if record.kind is not Kind.FEED or not record.payload:
            return False
        if self._snapshots is not None:
            return record.seq in self._snapshots
        return venue_for_source(self._context, record.source).market.is_snapshot(record.payload)

    def _is_outside(self, record: Record) -> bool:
        if record.kind is Kind.LINK:
            return record.source in self._market_sources or record.source == "clock"
        return (
            record.kind is Kind.COMMAND
            or record.meta is None
            or record.cause is None
            or self._is_depth_snapshot(record)
        )


def _row_spans(market: Projection, begin: int, end: int, line: int) -> Iterator[RowSpan]:
    """Yield the rows of the records `begin` to `end - 1`, block by block."""
    for part in market.parts(begin, end):
        yield RowSpan(*part.unpack(), line, part.delay_ns_max)
        line += part.records


def _unread_runs(market: Projection, begin: int, end: int, _line: int) -> Iterator[list[BlockPart]]:
    """Yield the records `begin` to `end - 1` as one list of their blocks, which are not read."""
    yield list(market.parts(begin, end))


def _without_quotes(rows: Rows) -> Rows:
    kept: Rows = rows[rows[:, r.TYPE] != r.QUOTE]
    return kept


def _is_answer(record: Record) -> bool:
    return record.kind is Kind.FEED and record.meta is not None and record.cause is not None
