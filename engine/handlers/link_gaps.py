"""Gaps of market links: one begins when a link is lost or falls silent, and ends when the link is ready."""

from engine.facts import LinkReady
from engine.session_context import SessionContext
from engine.state.market_gaps import gap_ended, gap_of_link
from engine.step_context import StepContext

GAPS = "gaps"  # source of the facts about gaps


def open_gap(session: SessionContext, step: StepContext, source: str, reason: str) -> None:
    """Emit the gap of a market link that may miss data from now on. No-op if its gap is open."""
    if source not in step.account.gaps.open:
        last_frame = step.market.last_frame(session.indexes_of(source), session.streams_of(source))
        step.emit(gap_of_link(session.body, source, reason, last_frame), source=GAPS)


def note_ready(step: StepContext, source: str) -> None:
    """Record that a link is ready, and end its gap."""
    step.emit(LinkReady(source))
    open_gaps = step.account.gaps.open
    if source in open_gaps:
        ended = gap_ended(open_gaps[source].gap, time_ns=step.time_ns, seq=step.record.seq)
        step.emit(ended, source=GAPS, cause=open_gaps[source].seq)
