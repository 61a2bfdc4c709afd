"""Recorded inputs as columns: decoded stream frames of one source and the TIMERs between them.

A replay steps many of them together, and makes no record of those that lead to nothing. Values only.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self, overload

from engine.market.rows import Rows
from journal.record import Record


class InputColumns(NamedTuple):
    """Consecutive records with an item per record, also for those that are neither frames nor TIMERs."""

    rows: Rows  # of their frames
    ends: Sequence[int]  # the row behind the last one of each; other records have none
    timers: list[int]  # the places of TIMERs
    seqs: Sequence[int]
    times_ns: Sequence[int]
    texts: memoryview  # what the hash contains of each, one behind the other
    offsets: Sequence[int]  # where the text of each begins, and where the last one ends
    record: Callable[[int], Record]


class RecordedInputs(Sequence[Record]):
    """The inputs `begin` to `end - 1` of some columns: frames of one source and cause, and TIMERs."""

    __slots__ = ("begin", "cause", "columns", "end", "source")

    def __init__(self, columns: InputColumns, begin: int, end: int, *, source: str, cause: int | None) -> None:
        self.columns = columns
        self.begin = begin
        self.end = end
        self.source = source  # of the frames
        self.cause = cause

    def __len__(self) -> int:
        return self.end - self.begin

    @overload
    def __getitem__(self, at: int) -> Record: ...

    @overload
    def __getitem__(self, at: slice) -> Self: ...

    def __getitem__(self, at: int | slice) -> Record | Self:
        places = range(self.begin, self.end)[at]
        if isinstance(places, int):
            return self.columns.record(places)
        return self._between(places.start, places.stop)

    def _between(self, begin: int, end: int) -> Self:
        return type(self)(self.columns, begin, end, source=self.source, cause=self.cause)

    @property
    def last(self) -> tuple[int, int]:
        """The seq and the time of the last input."""
        return self.columns.seqs[self.end - 1], self.columns.times_ns[self.end - 1]

    @property
    def is_timer_next(self) -> bool:
        """Return True if the first input is a TIMER."""
        return self.next_timer(self.begin) == self.begin

    def next_timer(self, place: int) -> int:
        """Return the place of the first TIMER from this place on; or the end of the inputs."""
        timers = self.columns.timers
        number = bisect_left(timers, place)
        return min(timers[number], self.end) if number < len(timers) else self.end

    def row_at(self, place: int) -> int:
        """Return the row at which the input at a place begins."""
        return self.columns.ends[place - 1] if place else 0

    def rows_from(self, place: int) -> Rows:
        """Return all rows up to the first TIMER from this place on."""
        return self.columns.rows[: self.row_at(self.next_timer(place))]

    def applied(self, row: int, place: int) -> Self:
        """Return the inputs that were applied: all before a place, and the frames from there with rows up to `row`."""
        if row > self.row_at(place):
            place = bisect_left(self.columns.ends, row, place) + 1
        return self._between(self.begin, place)

    def hashed(self) -> tuple[memoryview, memoryview]:
        """Return what the hash contains of the TIMERs before the first frame, and of the rest."""
        frame = self.begin
        while frame < self.end and self.next_timer(frame) == frame:
            frame += 1
        texts, offsets = self.columns.texts, self.columns.offsets
        begin, between, end = (offsets[place] for place in (self.begin, frame, self.end))
        return texts[begin:between], texts[between:end]
