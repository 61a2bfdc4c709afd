"""How a resimulation takes the rows of a recorded market, and as which records they enter its journal.

Whole: each as the record that it was, with its origin, the seq that it had, as key. Referred: only those that led to something, and without
the wire's bytes, which the source has: what nobody decided on is not told again. Knows no strategy and no venue.
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

AHEAD_NS = 1_000_000_000  # how far TIMERs are passed over before all else that is due is looked at anew
AT_ONCE = (
    48  # records that are copied for one fold: a wake comes every dozen, and what was copied behind it is copied again
)
Taken = tuple[int, Sequence[Output]]  # the next row, and what the last record led to


class RowFeed(Protocol):
    def take(self, stretch: RowSpan, begin: int, until_ns: int | None, *, one: bool = False) -> Taken:
        """From row `begin` on, as engine.apply.inputs.apply; with `one` a single record."""

    def skip(self, stretch: RowSpan, begin: int, end: int) -> None:
        """These rows reach nobody: their link is down."""

    @property
    def due_ns(self) -> int:
        """When a TIMER must be lived, as far as is known: `take` passes over none that is due at or behind it."""


_STREAM_OF = {r.QUOTE: Stream.QUOTE, r.TRADE: Stream.TRADE, r.MARK: Stream.MARK}  # all else is of books


def source_of(program: SessionContext, row: Sequence[int]) -> str:
    """The link over which it comes."""
    kind = row[r.A] if row[r.TYPE] == r.BAD_VALUE else row[r.TYPE]
    return program.link_of(row[r.INSTRUMENT], _STREAM_OF.get(kind, Stream.BOOK))


class ReferencedRows:
    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._loud_ns = -1  # a TIMER at which a strategy has something to say

    @property
    def due_ns(self) -> int:
        state = _state(self._sequencer)
        can_pass = state.quiescent and state.next_due_ns != self._loud_ns
        return state.next_due_ns + AHEAD_NS if can_pass else state.next_due_ns

    def take(self, stretch: RowSpan, begin: int, until_ns: int | None, *, one: bool = False) -> Taken:
        """TIMERs at which a strategy says nothing are passed over, as far as there are rows behind them."""
        state = _state(self._sequencer)
        if one or until_ns is None:
            return self._take(
                stretch.rows[: stretch.ends[_record(stretch, begin)]] if one else stretch.rows, begin, until_ns
            )
        while True:
            begin, outputs = self._take(stretch.rows, begin, until_ns)
            if (
                outputs
                or begin == len(stretch.rows)
                or min(state.next_due_ns, int(stretch.rows[begin, r.TIME_NS])) >= until_ns
            ):
                return begin, outputs
            if not self._sequencer.skip_timer():
                self._loud_ns = state.next_due_ns
                return begin, outputs

    def _take(self, rows: Rows, begin: int, until_ns: int | None) -> Taken:
        state = _state(self._sequencer)

        def records_of(end: int, has_effect: bool) -> Sequence[Record]:  # noqa: FBT001 - as a Batch calls it
            if not has_effect:
                return ()
            row = rows[end - 1].tolist()
            source = source_of(self._sequencer.kernel.session, row)
            up_seq = state.account.links.by_source[source].up_seq
            return (Record(state.seq + 1, row[r.TIME_NS], Kind.FEED, source, up_seq, str(row[r.SEQ]), payload=b""),)

        batch = Batch(rows=rows, row=begin, until_ns=until_ns, records_of=records_of)
        outputs = self._sequencer.step(batch).outputs
        return batch.row, outputs

    def skip(self, stretch: RowSpan, begin: int, end: int) -> None:
        pass


class FullRows:
    def __init__(self, sequencer: Sequencer, frames: Iterator[Record], checkpoint_every: int) -> None:
        """`frames`: the FEED records of the source, from the first that will be taken on."""
        self._sequencer = sequencer
        self._frames = frames
        self._checkpoint_every = checkpoint_every

    @property
    def due_ns(self) -> int:
        return _state(self._sequencer).next_due_ns

    def take(self, stretch: RowSpan, begin: int, until_ns: int | None, *, one: bool = False) -> Taken:
        state = _state(self._sequencer)
        first = _record(stretch, begin)
        room = self._checkpoint_every - state.inputs % self._checkpoint_every
        ends = stretch.ends[first : first + (1 if one else min(AT_ONCE, room))] - begin
        rows = stretch.rows[begin : begin + int(ends[-1])].copy()
        origins = rows[ends - 1, r.SEQ].tolist()
        rows[:, r.SEQ] = np.repeat(np.arange(state.seq + 1, state.seq + 1 + len(ends)), np.diff(ends, prepend=0))

        def records_of(end: int, _has_effect: bool) -> Sequence[Record]:  # noqa: FBT001 - as a Batch calls it
            count = int(np.searchsorted(ends, end)) + 1
            return [
                self._made(seq, rows[ends[at] - 1], self._frame(origins[at]))
                for at, seq in enumerate(range(state.seq + 1, state.seq + 1 + count))
            ]

        batch = Batch(rows=rows, until_ns=until_ns, records_of=records_of)
        outputs = self._sequencer.step(batch).outputs
        return begin + batch.row, outputs

    def _made(self, seq: int, row: Rows, was: Record) -> Record:
        by_source = _state(self._sequencer).account.links.by_source
        source = was.source if was.source in by_source else source_of(self._sequencer.kernel.session, row.tolist())
        return Record(
            seq, was.time_ns, Kind.FEED, source, by_source[source].up_seq, str(was.seq), was.recv_ns, None, was.payload
        )

    def skip(self, stretch: RowSpan, begin: int, end: int) -> None:
        if end > begin:
            self._frame(int(stretch.rows[end - 1, r.SEQ]))

    def _frame(self, seq: int) -> Record:
        return next(record for record in self._frames if record.seq == seq)


def _record(stretch: RowSpan, row: int) -> int:
    """The record that begins there."""
    return int(np.searchsorted(stretch.ends, row, side="right"))


def _state(sequencer: Sequencer) -> State:
    return sequencer.state
