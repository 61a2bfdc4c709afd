"""A version tried on a session: what it decided and what it came to. Its records pass by and none is kept, however long the session."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from journal.record import Record
from replay.decisions import Decision, Reading
from replay.resimulate import Outcome, Wanted, decide_again
from replay.tally import Counting, Tally


class Trial(NamedTuple):
    outcome: Outcome
    tally: Tally
    decisions: list[Decision]


def trial(folder: Path, wanted: Wanted) -> Trial:
    """NotResimulated, CoreError."""
    counting, reading = Counting(), Reading()
    found: list[Decision] = []

    def take(records: Sequence[Record]) -> None:
        for record in records:
            counting.take(record)
            if (decision := reading.take(record)) is not None:
                found.append(decision)

    outcome = decide_again(folder, wanted, take)
    return Trial(outcome, counting.tally, found)
