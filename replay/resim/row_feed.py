"""Feeds the rows of a recorded market to a resimulation, and makes the records that enter its journal.

Full: each row's record enters, with the seq of its source record as key. Referenced: only records that led to an output
enter, without the wire's bytes, which the source has. Knows no strategy and no venue.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from engine.apply.batch import Batch
from engine.market import rows as r
from engine.market.rows import Rows
from engine.market.views import Stream
from engine.sequencer import Sequencer
from engine.session_context import SessionContext
from engine.state.session_state import State
from engine.step_context import Output
from journal.record import Kind, Record
from replay.resim.timeline import RowSpan

TIMER_LOOKAHEAD_NS = 1_000_000_000  # how far TIMERs are skipped before other due times are computed again
IDLE_LOOKAHEAD_NS = 60_000_000_000  # the same while the venue has nothing to do
# records that are copied for one fold: a decision follows every dozen records, and the copies behind it are made again
COPIED_RECORDS_MAX = 48
FedRows = tuple[int, Sequence[Output]]  # the next row, and the outputs of the last record


class RowFeed(Protocol):
    """The way in which the engine receives market rows, and the records that they become."""

    def push_rows(self, span: RowSpan, begin: int, until_ns: int | None, *, single_record: bool = False) -> FedRows:
        """Push rows from `begin` on up to the first record with outputs.

        Args:
            span: The rows.
            begin: The first row to push.
            until_ns: Push only rows before this time.
            single_record: Push the rows of one record only.

        Returns:
            The next row, and the outputs of the last record.
        """

    def skip_rows(self, span: RowSpan, begin: int, end: int) -> None:
        """Skip rows whose link is down."""

    def due_ns(self, lookahead_ns: int) -> int:
        """Return the time at which a TIMER may decide, as far as it is known: `push_rows` stops before it."""


# all other rows are of books
_STREAM_OF = {
    r.QUOTE: Stream.QUOTE,
    r.TRADE: Stream.TRADE,
    r.RETOLD: Stream.TRADE,
    r.MARK: Stream.MARK,
    r.BAR: Stream.TRADE,
    r.BAR_END: Stream.TRADE,
}
_LINK_KEY = [r.TYPE, r.INSTRUMENT, r.BAD_VALUE_TYPE]


def link_source(context: SessionContext, row: Sequence[int]) -> str:
    """Return the source of the link that carries a row's stream."""
    kind = row[r.BAD_VALUE_TYPE] if row[r.TYPE] == r.BAD_VALUE else row[r.TYPE]
    return context.link_of(row[r.INSTRUMENT], _STREAM_OF.get(kind, Stream.BOOK))


class ReferencedRows:
    """Feeds rows and makes a record, without bytes, only for those that led to an output."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._deciding_timer_ns = -1  # the due time of a TIMER at which a strategy decides

    def due_ns(self, lookahead_ns: int) -> int:
        """Return when the next TIMER may decide, or `lookahead_ns` after one that decides nothing."""
        state = _state(self._sequencer)
        can_skip = state.quiescent and state.next_due_ns != self._deciding_timer_ns
        return state.next_due_ns + lookahead_ns if can_skip else state.next_due_ns

    def push_rows(self, span: RowSpan, begin: int, until_ns: int | None, *, single_record: bool = False) -> FedRows:
        """Push rows, and skip TIMERs at which no strategy decides as long as rows follow them."""
        state = _state(self._sequencer)
        if single_record or until_ns is None:
            rows = span.rows[: span.ends[_record_index(span, begin)]] if single_record else span.rows
            return self._feed(self._batch(rows, begin, until_ns))
        while True:
            batch = self._batch(span.rows, begin, until_ns)
            batch.skips_timers = True
            begin, outputs = self._feed(batch)
            if (
                outputs
                or begin == len(span.rows)
                or min(state.next_due_ns, int(span.rows[begin, r.TIME_NS])) >= until_ns
            ):
                return begin, outputs
            if batch.timer_decides or not self._sequencer.skip_timer():
                self._deciding_timer_ns = state.next_due_ns
                return begin, outputs

    def _feed(self, batch: Batch) -> FedRows:
        outputs = self._sequencer.step(batch).outputs
        return batch.row, outputs

    def _batch(self, rows: Rows, begin: int, until_ns: int | None) -> Batch:
        state = _state(self._sequencer)

        def records_of(end: int, has_effect: bool) -> Sequence[Record]:  # noqa: FBT001 - as a Batch calls it
            if not has_effect:
                return ()
            row = rows[end - 1].tolist()
            source = link_source(self._sequencer.kernel.session, row)
            up_seq = state.account.links.by_source[source].up_seq
            return (Record(state.seq + 1, row[r.TIME_NS], Kind.FEED, source, up_seq, str(row[r.SEQ]), payload=b""),)

        return Batch(rows=rows, row=begin, until_ns=until_ns, records_of=records_of)

    def skip_rows(self, span: RowSpan, begin: int, end: int) -> None:
        """Do nothing: a row without an output has no record."""


class FullRows:
    """Feeds rows and makes a full record of each."""

    def __init__(self, sequencer: Sequencer, frames: Iterator[Record], checkpoint_every: int) -> None:
        """Prepare the feed. `frames` are the FEED records of the source from the first one that is fed."""
        self._sequencer = sequencer
        self._frames = frames
        self._checkpoint_every = checkpoint_every
        self._links: dict[tuple[int, int, int], str] = {}  # type, instrument and type of a bad value -> source

    def due_ns(self, lookahead_ns: int) -> int:
        """Return the due time of the next TIMER."""
        del lookahead_ns  # each TIMER has a record
        return _state(self._sequencer).next_due_ns

    def push_rows(self, span: RowSpan, begin: int, until_ns: int | None, *, single_record: bool = False) -> FedRows:
        """Push rows as copies of their source records, with new seqs."""
        state = _state(self._sequencer)
        first = _record_index(span, begin)
        room = self._checkpoint_every - state.inputs % self._checkpoint_every
        ends = span.ends[first : first + (1 if single_record else min(COPIED_RECORDS_MAX, room))] - begin
        rows = span.rows[begin : begin + int(ends[-1])].copy()
        origins = rows[ends - 1, r.SEQ].tolist()
        rows[:, r.SEQ] = np.repeat(np.arange(state.seq + 1, state.seq + 1 + len(ends)), np.diff(ends, prepend=0))

        def records_of(end: int, _has_effect: bool) -> Sequence[Record]:  # noqa: FBT001 - as a Batch calls it
            count = int(np.searchsorted(ends, end)) + 1
            originals = [self._frame(origin) for origin in origins[:count]]
            by_source = state.account.links.by_source
            sources = [original.source for original in originals]
            if not by_source.keys() >= set(sources):  # of an import, which has its files as sources
                sources = [
                    source if source in by_source else self._link_of(*key)
                    for source, key in zip(sources, rows[ends[:count] - 1][:, _LINK_KEY].tolist(), strict=True)
                ]
            return [
                Record(
                    seq,
                    original.time_ns,
                    Kind.FEED,
                    source,
                    by_source[source].up_seq,
                    str(original.seq),
                    original.recv_ns,
                    None,
                    original.payload,
                )
                for seq, (original, source) in enumerate(zip(originals, sources, strict=True), state.seq + 1)
            ]

        batch = Batch(rows=rows, until_ns=until_ns, records_of=records_of)
        outputs = self._sequencer.step(batch).outputs
        return begin + batch.row, outputs

    def _link_of(self, kind: int, instrument: int, bad_value_type: int) -> str:
        """Return the source of the link that carries the stream of such a row."""
        key = kind, instrument, bad_value_type if kind == r.BAD_VALUE else 0
        if key not in self._links:
            row = [0] * r.COLUMNS
            row[r.TYPE], row[r.INSTRUMENT], row[r.BAD_VALUE_TYPE] = kind, instrument, bad_value_type
            self._links[key] = link_source(self._sequencer.kernel.session, row)
        return self._links[key]

    def skip_rows(self, span: RowSpan, begin: int, end: int) -> None:
        """Read the frames of the rows, so that the next frame matches the next row."""
        if end > begin:
            self._frame(int(span.rows[end - 1, r.SEQ]))

    def _frame(self, seq: int) -> Record:
        return next(record for record in self._frames if record.seq == seq)


def _record_index(span: RowSpan, row: int) -> int:
    """Return the index of the record that begins at a row."""
    return int(np.searchsorted(span.ends, row, side="right"))


def _state(sequencer: Sequencer) -> State:
    return sequencer.state
