"""How a resimulation takes the rows of a recorded market, and as which records they enter its journal.

Whole: each as the record that it was, with its origin, the seq that it had, as key. Referred: only those that led to something, and without
the wire's bytes, which the source has: what nobody decided on is not told again. Knows no strategy and no venue.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from engine.market import rows as r
from engine.sequencer import Sequencer
from engine.state import State
from journal.record import Kind, Record
from replay.tape import Stretch

AT_ONCE = 256  # records that are copied for one fold: after each wake the rest is copied again
Taken = tuple[int, list[Record]]  # the next row, and what the last record led to


class TakesRows(Protocol):
    def take(self, stretch: Stretch, begin: int, until_ns: int | None, *, one: bool = False) -> Taken:
        """From row `begin` on, as engine.frames.take_rows; with `one` a single record."""

    def skip(self, stretch: Stretch, begin: int, end: int) -> None:
        """These rows reach nobody: their link is down."""


class Referred:
    def __init__(self, sequencer: Sequencer, source_of: Mapping[int, str]) -> None:
        """`source_of`: instrument -> the link over which its rows come."""
        self._sequencer = sequencer
        self._source_of = source_of

    def take(self, stretch: Stretch, begin: int, until_ns: int | None, *, one: bool = False) -> Taken:
        rows = stretch.rows[: stretch.ends[_record(stretch, begin)]] if one else stretch.rows
        state = _state(self._sequencer)

        def records_of(_first: int, end: int, woken: bool) -> Sequence[Record]:  # noqa: FBT001 - as the sequencer calls it
            if not woken:
                return ()
            row = rows[end - 1].tolist()
            source = self._source_of[row[r.INSTRUMENT]]
            up_seq = state.account.links.by_source[source].up_seq
            return (Record(state.seq + 1, row[r.TIME_NS], Kind.FEED, source, up_seq, str(row[r.SEQ]), payload=b""),)

        return self._sequencer.take_rows(rows, begin, until_ns, records_of)

    def skip(self, stretch: Stretch, begin: int, end: int) -> None:
        pass


class Whole:
    def __init__(self, sequencer: Sequencer, frames: Iterator[Record], checkpoint_every: int) -> None:
        """`frames`: the FEED records of the source, from the first that will be taken on."""
        self._sequencer = sequencer
        self._frames = frames
        self._checkpoint_every = checkpoint_every

    def take(self, stretch: Stretch, begin: int, until_ns: int | None, *, one: bool = False) -> Taken:
        state = _state(self._sequencer)
        first = _record(stretch, begin)
        room = self._checkpoint_every - state.inputs % self._checkpoint_every
        ends = stretch.ends[first : first + (1 if one else min(AT_ONCE, room))] - begin
        rows = stretch.rows[begin : begin + int(ends[-1])].copy()
        origins = rows[ends - 1, r.SEQ].tolist()
        rows[:, r.SEQ] = np.repeat(np.arange(state.seq + 1, state.seq + 1 + len(ends)), np.diff(ends, prepend=0))

        def records_of(_first: int, end: int, _woken: bool) -> Sequence[Record]:  # noqa: FBT001 - as the sequencer calls it
            count = int(np.searchsorted(ends, end)) + 1
            by_source = state.account.links.by_source
            return [
                Record(seq, was.time_ns, Kind.FEED, was.source, by_source[was.source].up_seq, str(was.seq), was.recv_ns, None, was.payload)
                for seq, was in enumerate(map(self._frame, origins[:count]), state.seq + 1)
            ]

        end, outputs = self._sequencer.take_rows(rows, 0, until_ns, records_of)
        return begin + end, outputs

    def skip(self, stretch: Stretch, begin: int, end: int) -> None:
        if end > begin:
            self._frame(int(stretch.rows[end - 1, r.SEQ]))

    def _frame(self, seq: int) -> Record:
        return next(record for record in self._frames if record.seq == seq)


def _record(stretch: Stretch, row: int) -> int:
    """The record that begins there."""
    return int(np.searchsorted(stretch.ends, row, side="right"))


def _state(sequencer: Sequencer) -> State:
    assert sequencer.state is not None, "begin comes first"
    return sequencer.state


Make = Callable[[Sequencer], TakesRows]
