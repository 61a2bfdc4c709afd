"""A version tried on a session: what it decided and what it came to. Its records pass by and none is kept, however long the session."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from journal.record import Record
from replay.resim.resimulate import ResimOptions, ResimOutcome, decide_again
from replay.study.decisions import DecisionReader, RecordedDecision
from replay.study.performance import Performance, PerformanceCounter


class Trial(NamedTuple):
    outcome: ResimOutcome
    tally: Performance
    decisions: list[RecordedDecision]


def trial(folder: Path, wanted: ResimOptions) -> Trial:
    """CannotResimulateError, CoreError."""
    counting, reading = PerformanceCounter(), DecisionReader()
    found: list[RecordedDecision] = []

    def take(records: Sequence[Record]) -> None:
        for record in records:
            counting.take(record)
            if (decision := reading.take(record)) is not None:
                found.append(decision)

    outcome = decide_again(folder, wanted, take)
    return Trial(outcome, counting.tally, found)
