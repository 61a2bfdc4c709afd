"""Decoded market rows of a session, found by the seqs of their records.

The session's venues decode the bytes. Sealed segments are read from their projections (replay/projections.py), so they
are decoded once; the open part is decoded when it is queried. Runs no strategy code.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from threading import Lock

import msgspec
import numpy as np
from numpy.typing import NDArray

from analysis.read_only_thread import read_only
from engine.market import rows as r
from engine.market.fold.trades import find_repeats
from engine.market.rows import Rows
from engine.model import Instrument
from engine.session_context import SessionContext
from engine.session_record import ClockSettings, SessionBody, VenueSettings, read_session
from engine.venues.venue import Venue
from engine.venues.venue_lookup import UnknownVenueError, make_venue
from journal.reader import Journal
from replay.captured_market import read_markets
from replay.projections import build_projection, load_projection
from replay.row_blocks import Projection

SEGMENTS_HELD = 8  # segments whose rows stay in memory; a query meets them in their order, on several threads


class SessionRows:
    """The rows of one journal, found by the seqs of their records."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = Lock()  # DuckDB calls from several threads
        self._context: SessionContext | None = None
        self._venues: dict[str, Venue | None] = {}
        self._is_known = False  # whether the context was looked for: a recording may be of no market that is installed
        self._segments: dict[int, tuple[int, Projection]] = {}  # first seq -> last seq and rows
        self._repeats: dict[int, NDArray[np.void]] = {}  # first seq -> keys of the repeated trades of a segment
        self._trades_after: dict[int, Rows] = {}  # first seq -> each instrument's last trade up to its end

    def rows_of(self, seqs: Rows, row_type: int) -> tuple[Rows, Rows]:
        """Return the rows of one type among these records, and how many each record has.

        Args:
            seqs: Records, in any order.
            row_type: One of engine/market/rows.py.

        """
        order = np.argsort(seqs, kind="stable")
        ascending = seqs[order]
        with self._lock:
            found = self._rows(ascending, row_type)
        begins = np.searchsorted(found[:, r.SEQ], ascending)
        counts, firsts = np.zeros(len(seqs), np.int64), np.zeros(len(seqs), np.int64)
        counts[order] = np.searchsorted(found[:, r.SEQ], ascending, side="right") - begins
        firsts[order] = begins
        before = np.cumsum(counts) - counts  # rows of the records before, in the caller's order
        places = np.repeat(firsts - before, counts) + np.arange(int(counts.sum()))
        return found[places], counts

    def blocks(self) -> Iterator[Rows]:
        """Yield all rows, in the order of their records."""
        context = self.context()
        if context is None:
            return
        at, last = self._journal.first_seq, self._journal.last_seq
        while at <= last:
            with self._lock:
                _, end, part = self._segment(at, context)
            for rows, _ in part.rows(0, part.records):
                yield rows
            at = end + 1

    def instruments(self) -> Sequence[Instrument]:
        """Return the instruments that rows refer to by their place."""
        context = self.context()
        return () if context is None else tuple(context.body.instruments)

    def venue(self, source: str) -> Venue | None:
        """Return the venue whose connection a source names, or None if it is not installed."""
        name = source.partition(".")[0]
        if name not in self._venues:
            self._venues[name] = read_only.outside(partial(self._find_venue, name))  # its import fills caches
        return self._venues[name]

    def _find_venue(self, name: str) -> Venue | None:
        context = self.context()
        if context is not None and name in context.venues:
            return context.venues[name]
        try:
            return make_venue(VenueSettings(name=name), ())
        except UnknownVenueError:
            return None

    def context(self) -> SessionContext | None:
        """Return the venues that decode this session, or None if no venue does."""
        if not self._is_known:
            self._context, self._is_known = decoding_context(self._journal), True
        return self._context

    def _rows(self, seqs: Rows, row_type: int) -> Rows:
        """Return the rows of one type among these records, which ascend."""
        found = [np.empty((0, r.COLUMNS), np.int64)]
        context = self.context()
        while context is not None and len(seqs):
            first_seq, last_seq, part = self._segment(int(seqs[0]), context)
            here = seqs[: int(np.searchsorted(seqs, last_seq, side="right"))]
            seqs = seqs[len(here) :]
            first, last = part.count_before(int(here[0])), part.count_before(int(here[-1]) + 1)
            for block, _ in part.rows(first, last):
                rows = block[block[:, r.TYPE] == row_type]
                places = np.searchsorted(here, rows[:, r.SEQ])
                rows = rows[here[np.minimum(places, len(here) - 1)] == rows[:, r.SEQ]]
                if row_type == r.TRADE and len(repeated := self._repeated(first_seq, part, context)):
                    rows = rows[~np.isin(_trade_keys(rows), repeated)]
                found.append(rows)
        return np.concatenate(found)

    def _repeated(self, first_seq: int, part: Projection, context: SessionContext) -> NDArray[np.void]:
        """Return the keys of the repeated trades of a segment: the fold ignores the same."""
        if first_seq not in self._repeats:
            last = self._trades_before(first_seq, context)
            keys = [_trade_keys(np.empty((0, r.COLUMNS), np.int64))]
            for rows, _ in part.rows(0, part.records):
                found = np.zeros(len(rows), np.int64)
                find_repeats(rows, last, found)
                keys.append(_trade_keys(rows[found == 1]))
            self._repeats[first_seq] = np.concatenate(keys)
            self._trades_after[first_seq] = last
        return self._repeats[first_seq]

    def _trades_before(self, first_seq: int, context: SessionContext) -> Rows:
        """Return each instrument's last trade before a segment, as `find_repeats` keeps it.

        Earlier segments are read back to the last trade of each instrument, or to one whose trades are known.
        """
        last = np.zeros((len(context.body.instruments), 3), np.int64)
        before = first_seq
        while before and not last[:, 0].all():
            begin, _, earlier = self._segment(before - 1, context)
            if begin >= before:
                break  # a slice, which omits the records before this segment
            known = self._trades_after.get(begin)
            older = np.zeros_like(last) if known is None else known
            if known is None:
                for rows, _ in earlier.rows(0, earlier.records):
                    find_repeats(rows, older, np.zeros(len(rows), np.int64))
            last = np.where(last[:, :1] > 0, last, older)
            before = begin if known is None else 0
        return last

    def _segment(self, seq: int, context: SessionContext) -> tuple[int, int, Projection]:
        for first_seq, (last_seq, part) in self._segments.items():
            if first_seq <= seq <= last_seq:
                return first_seq, last_seq, part
        first_seq, last_seq, sealed = self._journal.segment_at(seq)
        if sealed is not None:
            made = load_projection(sealed, context)
        else:
            made = build_projection(
                lambda kinds, columns: self._journal.batches(first_seq, columns, to_seq=last_seq, kinds=kinds), context
            )
        while len(self._segments) >= SEGMENTS_HELD:
            del self._segments[next(iter(self._segments))]
        self._segments[first_seq] = last_seq, made
        return first_seq, last_seq, made


def _trade_keys(rows: Rows) -> NDArray[np.void]:
    """Return record and id of each trade: a polled page holds trades that were there before, and new ones."""
    pairs = np.ascontiguousarray(rows[:, [r.SEQ, r.TRADE_ID]])
    return pairs.view([("seq", np.int64), ("trade_id", np.int64)]).reshape(len(rows))


def decoding_context(journal: Journal) -> SessionContext | None:
    """Return the venues and instruments of a session; of a capture, those that its messages show."""
    text = journal.session_record().body or "{}"
    listed = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("instruments")
    if listed is not None and bytes(listed) != b"[]":
        return SessionContext(read_session(text), {})
    markets = read_markets(journal)
    if not markets:
        return None
    market = markets[0]
    body = SessionBody(
        session=journal.folder.name,
        started_ns=0,
        clock=ClockSettings(),
        seed=0,
        host="",
        versions={},
        venues=(VenueSettings(name=market.venue),),
        instruments=market.instruments,
        strategies=(),
    )
    return SessionContext(body, {})
