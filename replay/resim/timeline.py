"""The market of a recorded session as rows, and its other inputs from outside, each at its place in time.

An input is on the timeline if any other session in its place would have received it too: market frames, the state of
market links, commands, clocks. Answers to requests are not, except depth snapshots, which do not depend on the
requester. Reads a journal and its projections (replay/projections.py); knows nothing of decisions.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from engine.market import rows as r
from engine.market.rows import Rows
from engine.record_codec import read_request
from engine.session_context import SessionContext
from engine.sim.feeds.recorded_feed import DepthAnswer, Piece
from engine.sim.feeds.sim_market import Line
from journal.reader import Journal
from journal.record import Kind, Record
from replay.projections import OUTSIDE_KINDS, Projection, build_projection, load_projection, venue_for_source

SINGLE_READS_MAX = 50  # more records than these are read by a scan of the segment
SEGMENTS_CACHED = 2  # the engine and the venue seldom read more than two at a time


class RowSpan(NamedTuple):
    """Market records that follow each other with no other input from outside between them."""

    rows: Rows
    ends: Rows  # for each record, one past its last row
    line: int  # the number of its first record among the market records, from 1


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
    others: list[Record]


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
        for item in self._walk():
            if isinstance(item, OutsideInput):
                if (
                    item.record.seq >= from_seq
                    and not _is_answer(item.record)
                    and not self._is_depth_snapshot(item.record)
                ):
                    yield item
                continue
            seqs = item.rows[item.ends - 1, r.SEQ]
            skipped = int(np.searchsorted(seqs, from_seq))
            if skipped < len(seqs):
                begin = int(item.ends[skipped - 1]) if skipped else 0
                yield RowSpan(item.rows[begin:], item.ends[skipped:] - begin, item.line + skipped)

    def venue_items(self, answer_ns: int, *, by_venue_clock: bool = False, with_quotes: bool = True) -> Iterator[Piece]:
        """Yield the market for the simulated venue: rows and depth answers.

        Args:
            answer_ns: How long before its arrival a depth answer left the venue.
            by_venue_clock: Order messages by the venue's own stamps within a segment. The venue's clock is set so that
                the
                fastest message took no time.
            with_quotes: Include quotes.
        """
        items = self._walk(merged=by_venue_clock)
        offset_ns = 0
        if by_venue_clock:
            # the fastest message is known after all of them: they are kept if one segment has them, else read twice
            kept = list(items) if self._journal.segment_at(0)[1] >= self._last_seq() else None
            offset_ns = _clock_offset_ns(self._walk() if kept is None else kept, with_quotes=with_quotes)
            items = items if kept is None else iter(kept)
        for item in items:
            if isinstance(item, RowSpan):
                if by_venue_clock:
                    yield _by_venue_time(item.rows, offset_ns, with_quotes=with_quotes)
                else:
                    yield item.rows if with_quotes else item.rows[item.rows[:, r.TYPE] != r.QUOTE]
            elif self._is_depth_snapshot(item.record):
                yield self._depth(item.record, answer_ns)

    def _last_seq(self) -> int:
        return min(self._journal.last_seq, self._until_seq)

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

    def _walk(self, *, merged: bool = False) -> Iterator[RowSpan | OutsideInput]:
        """Yield all inputs. `merged` yields consecutive rows of a segment as one span instead of block by block."""
        line = 1
        seq = 0
        while seq <= self._until_seq and self._journal.wait_for(seq):
            segment = self._segment(seq)
            seqs = segment.market.seqs
            begin = int(np.searchsorted(seqs, seq))  # above 0 only if the journal has grown since it was read
            for record in segment.others:
                if record.seq < seq:
                    continue
                end = int(np.searchsorted(seqs, record.seq))
                yield from _row_spans(segment.market, begin, end, line, merged=merged)
                line += end - begin
                yield OutsideInput(record, line - 1, record.kind is Kind.LINK and record.source in self._market_sources)
                line += self._is_depth_snapshot(record)
                begin = end
            end = int(np.searchsorted(seqs, segment.last_seq, side="right"))
            yield from _row_spans(segment.market, begin, end, line, merged=merged)
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
        last_seq = min(last_seq, self._until_seq)
        segment = _Segment(
            first_seq, last_seq, projection, self._outside_records(first_seq, last_seq, projection.other_seqs)
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

    def _outside_records(self, first_seq: int, last_seq: int, seqs: Rows) -> list[Record]:
        """Return the records from outside that have no rows."""
        chosen = seqs[seqs <= last_seq].tolist()
        if len(chosen) <= SINGLE_READS_MAX:
            records = [next(self._journal.records(seq, seq)) for seq in chosen]
        else:
            chosen_seqs = set(chosen)
            records = [
                record
                for record in self._journal.records(first_seq, last_seq, kinds=OUTSIDE_KINDS)
                if record.seq in chosen_seqs
            ]
        return [record for record in records if self._is_outside(record)]

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


def _row_spans(market: Projection, begin: int, end: int, line: int, *, merged: bool) -> Iterator[RowSpan]:
    """Yield the rows of the records `begin` to `end - 1`."""
    blocks = market.rows(begin, end)
    if merged and begin < end:
        parts = list(blocks)
        before = np.cumsum([0, *(len(rows) for rows, _ in parts)])
        together = np.concatenate([ends + length for (_, ends), length in zip(parts, before, strict=False)])
        blocks = iter([(np.concatenate([rows for rows, _ in parts]), together)])
    for rows, ends in blocks:
        yield RowSpan(rows, ends, line)
        line += len(ends)


def _clock_offset_ns(items: Iterable[RowSpan | OutsideInput], *, with_quotes: bool) -> int:
    """Return our clock minus the venue's, estimated from the fastest message."""
    offsets = []
    for item in items:
        if isinstance(item, RowSpan):
            rows = item.rows
            is_counted = rows[:, r.VENUE_NS] > 0
            if not with_quotes:
                is_counted &= rows[:, r.TYPE] != r.QUOTE
            took_ns = (rows[:, r.TIME_NS] - rows[:, r.VENUE_NS])[is_counted]
            offsets += [int(np.min(took_ns))] if len(took_ns) else []
    return min(offsets, default=0)


def _by_venue_time(rows: Rows, offset_ns: int, *, with_quotes: bool) -> Rows:
    """Return the rows with the venue's own times, where it states them, in the order of these."""
    chosen = None if with_quotes else np.flatnonzero(rows[:, r.TYPE] != r.QUOTE)
    kinds, stamps_ns, our_ns = (
        column if chosen is None else column[chosen] for column in (rows[:, k] for k in (r.TYPE, r.VENUE_NS, r.TIME_NS))
    )
    times = np.where(stamps_ns > 0, stamps_ns + offset_ns, our_ns)
    bars = np.flatnonzero(kinds == r.BAR)  # stamped with its start, and known at its end: the next row's stamp
    if len(bars):
        last = rows[:, r.LAST] if chosen is None else rows[chosen, r.LAST]
        times[bars] = times[bars + 1]
        quoted = bars[last[bars + 1] == 0]
        times[quoted + 2] = times[quoted + 1]
    order = np.argsort(times, kind="stable")  # the rows of a record share one stamp, so they stay together
    moved: Rows = rows[order if chosen is None else chosen[order]]
    moved[:, r.TIME_NS] = times[order]
    return moved


def _is_answer(record: Record) -> bool:
    return record.kind is Kind.FEED and record.meta is not None and record.cause is not None
