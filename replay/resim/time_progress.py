"""Progress of a resimulation."""

from collections.abc import Sequence

from engine.session_record import SECOND_NS
from journal.progress import Progress
from journal.reader import Journal
from journal.record import Record


class TimeProgress:
    """Counts seconds of session time, since the records of source and result differ in number."""

    def __init__(self, journal: Journal, until_seq: int | None, on_progress: Progress) -> None:
        last_seq = journal.last_seq if until_seq is None else min(until_seq, journal.last_seq)
        self._begins_ns = journal.session_record().time_ns
        self._seconds = max(0, next(journal.records(last_seq, last_seq)).time_ns - self._begins_ns) // SECOND_NS
        self._on_progress = on_progress
        self._done = 0

    def add(self, records: Sequence[Record]) -> None:
        """Report the time of a step, once a second."""
        if records and (done := (records[-1].time_ns - self._begins_ns) // SECOND_NS) > self._done:
            self._done = done
            self._on_progress(done, self._seconds)
