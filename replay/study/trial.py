"""A trial of a version on a session: its decisions and figures. No record is kept, however long the session."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from engine.step_context import Output
from journal.progress import Progress
from journal.reader import Journal
from journal.record import Record
from replay.entries import Entry
from replay.resim.resimulate import ResimOptions, ResimOutcome, resimulate_steps
from replay.study.decisions import DecisionReader, RecordedDecision
from replay.study.performance import Performance, PerformanceCounter


class EntryReader(Protocol):
    """Reads the records and outputs of a trial, as a tear sheet's reader does."""

    def add(self, entry: Entry) -> None:
        """Add one record, or one output."""

    def end(self, time_ns: int) -> None:
        """Set the time up to which the session ran."""


class Trial(NamedTuple):
    """The result of a trial."""

    outcome: ResimOutcome
    performance: Performance
    decisions: list[RecordedDecision]


def run_trial(
    folder: Path,
    options: ResimOptions,
    on_progress: Progress | None = None,
    *,
    more_readers: Sequence[EntryReader] = (),
) -> Trial:
    """Resimulate a session and keep only decisions and figures.

    Args:
        folder: The session.
        options: What to change.
        on_progress: As of `resimulate`.
        more_readers: Get each record and output too.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    counter, reader = PerformanceCounter(), DecisionReader()
    decisions: list[RecordedDecision] = []

    def add_step(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        for entry in chain[Entry](inputs, outputs):
            counter.add(entry)
            for each in more_readers:
                each.add(entry)
            if (decision := reader.read(entry)) is not None:
                decisions.append(decision)

    outcome = resimulate_steps(folder, options, add_step, on_progress)
    end_ns = last_time_ns(folder, options)
    for each in (counter, *more_readers):
        each.end(end_ns)
    return Trial(outcome, counter.performance, decisions)


def last_time_ns(folder: Path, options: ResimOptions) -> int:
    """Return the time of the last record of the source that a trial reads."""
    journal = Journal.open(folder)
    last = min(journal.last_seq, journal.last_seq if options.until_seq is None else options.until_seq)
    return next(journal.records(last, last)).time_ns
