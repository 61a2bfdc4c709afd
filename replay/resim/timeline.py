"""The market of a recorded session, as rows by the thousand, and what else came to it from outside, each at its place.

What is here would have come to any other in the session's place: market frames, the state of market links, commands, clocks. Answers
to requests are not among it, but for depth snapshots: they are the market's word, whoever asked. Reads a journal and its projections
(replay/projections.py); knows nothing of what is decided.
"""

from collections.abc import Iterator
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
from replay.projections import OUTSIDE, Projection, projected, projection, venue_of

SNAPSHOT_MARK = b'{"lastUpdateId":'
AT_ONCE = 50  # records that are fetched one by one before a whole segment is read for them
SEGMENTS_HELD = 2  # the engine's place and the venue's are seldom in more


class RowSpan(NamedTuple):
    """Market records that follow each other with nothing else from outside between them."""

    rows: Rows
    ends: Rows  # of each record, the row behind its last
    line: int  # the number of its first record among the market's, from 1


class OutsideInput(NamedTuple):
    """A record that is no row of the market."""

    record: Record
    line: int = 0  # how many of the market came before it
    is_market_link: bool = False


class _Segment(NamedTuple):
    """A part of the journal: its market, and the records that are no rows of it."""

    first_seq: int
    last_seq: int
    market: Projection
    others: list[Record]


class Timeline:
    def __init__(
        self, journal: Journal, program: SessionContext, until_seq: int, market_sources: frozenset[str]
    ) -> None:
        self._journal = journal
        self._program = program
        self._until_seq = until_seq
        self._market_sources = market_sources
        self._held: dict[int, _Segment] = {}

    def pieces(self, from_seq: int = 0) -> Iterator[RowSpan | OutsideInput]:
        """In their order, from record `from_seq` on."""
        for piece in self._all():
            if isinstance(piece, OutsideInput):
                if piece.record.seq >= from_seq and not _is_answer(piece.record) and not is_depth(piece.record):
                    yield piece
                continue
            seqs = piece.rows[piece.ends - 1, r.SEQ]
            skipped = int(np.searchsorted(seqs, from_seq))
            if skipped < len(seqs):
                begin = int(piece.ends[skipped - 1]) if skipped else 0
                yield RowSpan(piece.rows[begin:], piece.ends[skipped:] - begin, piece.line + skipped)

    def market(self, answer_ns: int, *, by_venue_clock: bool = False, with_quotes: bool = True) -> Iterator[Piece]:
        """For the venue: rows, and depth answers, which left there `answer_ns` before they came. By the venue's clock each message is at its own
        stamp, and in that order as far as a segment goes; its clock is set so that the fastest message came as it was sent.
        """
        offset_ns = self._clock_offset_ns(with_quotes=with_quotes) if by_venue_clock else 0
        for piece in self._all(whole=by_venue_clock):
            if isinstance(piece, RowSpan):
                rows = piece.rows if with_quotes else piece.rows[piece.rows[:, r.TYPE] != r.QUOTE]
                yield _stamped(rows, offset_ns) if by_venue_clock else rows
            elif is_depth(piece.record):
                yield self._depth(piece.record, answer_ns)

    def _clock_offset_ns(self, *, with_quotes: bool) -> int:
        """Our clock less the venue's, as far as messages show it."""
        found = []
        for piece in self._all():
            if isinstance(piece, RowSpan):
                rows = piece.rows[piece.rows[:, r.VENUE_NS] > 0]
                rows = rows if with_quotes else rows[rows[:, r.TYPE] != r.QUOTE]
                found += [int(np.min(rows[:, r.TIME_NS] - rows[:, r.VENUE_NS]))] if len(rows) else []
        return min(found, default=0)

    def _depth(self, record: Record, answer_ns: int) -> DepthAnswer:
        if record.cause is None:
            instrument = next(iter(self._program.instruments))  # a capture has snapshots of one alone
        else:
            asked = next(self._journal.records(record.cause, record.cause))
            instrument = read_request(asked.body or "").instrument
        payload = record.payload or b""
        rows = venue_of(self._program, record.source).market.decode_snapshot(
            payload, instrument, record.seq, record.time_ns
        )
        line = Line(record.time_ns - answer_ns, "", instrument.partition(":")[2], payload)
        return DepthAnswer(line, rows if isinstance(rows, np.ndarray) else np.zeros((0, r.COLUMNS), np.int64))

    def _all(self, *, whole: bool = False) -> Iterator[RowSpan | OutsideInput]:
        """`whole`: what follows each other in a segment in one piece, and not block by block."""
        line = 1
        seq = 0
        while seq <= self._until_seq and self._journal.wait_for(seq):
            segment = self._segment(seq)
            seqs = segment.market.seqs
            begin = int(np.searchsorted(seqs, seq))  # 0, unless the journal has grown since it was read
            for record in segment.others:
                if record.seq < seq:
                    continue
                end = int(np.searchsorted(seqs, record.seq))
                yield from _stretches(segment.market, begin, end, line, whole=whole)
                line += end - begin
                yield OutsideInput(record, line - 1, record.kind is Kind.LINK and record.source in self._market_sources)
                line += is_depth(record)
                begin = end
            end = int(np.searchsorted(seqs, segment.last_seq, side="right"))
            yield from _stretches(segment.market, begin, end, line, whole=whole)
            line += end - begin
            seq = segment.last_seq + 1

    # ---- reading

    def _segment(self, seq: int) -> _Segment:
        for held in self._held.values():
            if held.first_seq <= seq <= held.last_seq:
                return held
        first_seq, last_seq, sealed = self._journal.segment_at(seq)
        found = self._open(first_seq, last_seq) if sealed is None else projection(sealed, self._program)
        last_seq = min(last_seq, self._until_seq)
        segment = _Segment(first_seq, last_seq, found, self._others(first_seq, last_seq, found.others))
        while len(self._held) >= SEGMENTS_HELD:
            del self._held[min(self._held)]
        self._held[first_seq] = segment
        return segment

    def _open(self, first_seq: int, last_seq: int) -> Projection:
        """Of what is not sealed: made anew each time."""
        return projected(
            lambda kinds, columns: self._journal.batches(first_seq, columns, to_seq=last_seq, kinds=kinds),
            self._program,
        )

    def _others(self, first_seq: int, last_seq: int, seqs: Rows) -> list[Record]:
        """The records from outside that no row stands for."""
        found = seqs[seqs <= last_seq].tolist()
        if len(found) <= AT_ONCE:
            records = [next(self._journal.records(seq, seq)) for seq in found]
        else:
            wanted = set(found)
            records = [one for one in self._journal.records(first_seq, last_seq, kinds=OUTSIDE) if one.seq in wanted]
        return [record for record in records if self._is_outside(record)]

    def _is_outside(self, record: Record) -> bool:
        if record.kind is Kind.LINK:
            return record.source in self._market_sources or record.source == "clock"
        return record.kind is Kind.COMMAND or record.meta is None or record.cause is None or is_depth(record)


def _stretches(market: Projection, begin: int, end: int, line: int, *, whole: bool) -> Iterator[RowSpan]:
    """Of the records from `begin` up to before `end`, by their places."""
    blocks = market.rows(begin, end)
    if whole and begin < end:
        found = list(blocks)
        before = np.cumsum([0, *(len(rows) for rows, _ in found)])
        together = np.concatenate([ends + length for (_, ends), length in zip(found, before, strict=False)])
        blocks = iter([(np.concatenate([rows for rows, _ in found]), together)])
    for rows, ends in blocks:
        yield RowSpan(rows, ends, line)
        line += len(ends)


def _stamped(rows: Rows, offset_ns: int) -> Rows:
    """Each record at the venue's own time, where it has one."""
    times = np.where(rows[:, r.VENUE_NS] > 0, rows[:, r.VENUE_NS] + offset_ns, rows[:, r.TIME_NS])
    order = np.argsort(times, kind="stable")  # the rows of a record have one stamp: they stay together
    found: Rows = rows[order]
    found[:, r.TIME_NS] = times[order]
    return found


def _is_answer(record: Record) -> bool:
    return record.kind is Kind.FEED and record.meta is not None and record.cause is not None


def is_depth(record: Record) -> bool:
    """Whether it is the answer to somebody who asked for a depth snapshot; in a capture it stands without its question."""
    return record.kind is Kind.FEED and (record.payload or b"").startswith(SNAPSHOT_MARK)
