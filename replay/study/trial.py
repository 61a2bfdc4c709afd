"""A trial of a version on a session: its decisions and figures. No record is kept, however long the session."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from engine.step_context import Output
from journal.progress import Progress
from journal.reader import Journal
from journal.record import Record
from replay.entries import Entry
from replay.resim.resimulate import ResimOptions, ResimOutcome, resimulate_steps
from replay.study.decisions import DecisionReader, RecordedDecision
from replay.study.performance import Performance, PerformanceCounter


class Trial(NamedTuple):
    """The result of a trial."""

    outcome: ResimOutcome
    performance: Performance
    decisions: list[RecordedDecision]


def run_trial(folder: Path, options: ResimOptions, on_progress: Progress | None = None) -> Trial:
    """Resimulate a session and keep only decisions and figures.

    Args:
        folder: The session.
        options: What to change.
        on_progress: As of `resimulate`.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    counter, reader = PerformanceCounter(), DecisionReader()
    decisions: list[RecordedDecision] = []

    def add_step(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        for entry in chain[Entry](inputs, outputs):
            counter.add(entry)
            if (decision := reader.read(entry)) is not None:
                decisions.append(decision)

    outcome = resimulate_steps(folder, options, add_step, on_progress)
    journal = Journal.open(folder)
    last = min(journal.last_seq, journal.last_seq if options.until_seq is None else options.until_seq)
    counter.end(next(journal.records(last, last)).time_ns)
    return Trial(outcome, counter.performance, decisions)
