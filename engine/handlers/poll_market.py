"""Market data without streams: the requests of polled links, one of a stream at a time, and their answers.

A link without a socket is up as soon as it is requested, and ready when the first stream is read: its gap ends then. A
stream that fails is requested again in growing intervals; if all do, the link falls silent and is lost as any other.
"""

from collections.abc import Sequence

from engine.apply.polled_streams import is_of_link, is_too_late, pending_poll
from engine.bodies import NoteLevel
from engine.events import Answer, Event, Outcome, Unrecognised
from engine.facts import PollFailed, PollResumed
from engine.handlers.link_gaps import note_ready
from engine.requests import LinkPhase
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.pending_requests import PendingRequest
from engine.state.timers import jittered
from engine.step_context import StepContext
from engine.timer_names import TimerKind

SOURCE = "polls"  # of the facts
OPEN = (LinkPhase.UP, LinkPhase.READY)


def poll_link(session: SessionContext, step: StepContext, source: str) -> None:
    """Request every stream of a polled link that is due."""
    for key, link in session.polled.streams.items():
        if link == source:
            poll_stream(session, step, key)


def poll_due(session: SessionContext, step: StepContext) -> None:
    """Request each stream whose timer fired when its venue could not be queried."""
    for key in session.polled.streams:
        poll_stream(session, step, key)


def poll_stream(session: SessionContext, step: StepContext, key: str) -> None:
    """Request a stream, if it is due, not requested already, and its venue may be queried."""
    source = session.polled.streams[key]
    link = step.account.links.by_source.get(source)
    if link is None or link.state not in OPEN or step.account.modes.closing:
        return
    if step.account.timers.is_set(TimerKind.POLL, key) or pending_poll(step.account.requests, key) is not None:
        return
    instrument, _, stream = key.rpartition("/")
    session.factories[link.venue].poll(step, source=source, instrument=session.instruments[instrument], stream=stream)


def handle_poll_answer(
    session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer, reports: Sequence[Event]
) -> None:
    """Record what an answer proves about its stream, and request the stream again if its time came meanwhile."""
    poll, source = pending.request.poll, pending.request.source
    assert poll is not None, "a poll names its stream"
    if not is_of_link(step.account, pending):
        poll_stream(session, step, poll.key)
        return
    unreadable = next((event for event in reports if isinstance(event, Unrecognised)), None)
    failing = step.account.polls.failing.get(poll.key)
    link = step.account.links.by_source[source]
    is_late = is_too_late(pending, step.time_ns, session.settings)
    if unreadable is not None or answer.outcome is not Outcome.DONE or is_late:
        failures = 0 if failing is None else failing.failures
        retry_ns = step.time_ns + jittered(session.settings, poll.key, failures, session.body.seed)
        reason = f"{answer.outcome} {answer.coded_text}".strip()
        if unreadable is not None:
            reason = f"the answer cannot be read: {unreadable.error}"
        elif answer.outcome is Outcome.DONE:
            reason = f"the answer took {(step.time_ns - pending.time_ns) / SECOND_NS:.1f} s"
        step.emit(PollFailed(source, poll.instrument, poll.stream, reason, retry_ns), source=SOURCE)
        if failing is None:
            step.note(NoteLevel.WARNING, f"{poll.instrument}: no {poll.stream} data from {source}: {reason}")
        return
    if failing is not None:
        step.emit(PollResumed(source, poll.instrument, poll.stream, failing.failures), source=SOURCE)
        step.note(NoteLevel.INFO, f"{poll.instrument}: {poll.stream} data again after {failing.failures} failures")
    if link.state is LinkPhase.UP:
        note_ready(step, source)
    poll_stream(session, step, poll.key)
