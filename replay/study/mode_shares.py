"""The share of time in each mode of a recorded session."""

from pathlib import Path

from engine.facts import ModeChanged
from engine.mode_shares import ModeShares, ModeSummary
from engine.record_codec import fact_tag, read_fact
from journal.reader import Journal
from journal.record import Kind


def session_mode_shares(folder: Path) -> ModeSummary:
    """Return how long a session was in each mode, and why.

    Raises:
        JournalError: The journal cannot be read.
    """
    journal = Journal.open(folder)
    shares = ModeShares(journal.session_record().time_ns)
    for record in journal.records(kinds=(Kind.FACT,)):
        if fact_tag(record.body or "") == "mode":
            fact = read_fact(record.body or "")
            assert isinstance(fact, ModeChanged), fact
            shares.add(record.time_ns, fact)
    return shares.summary(next(journal.records(journal.last_seq)).time_ns)
