"""Links: what follows when one opens or closes, and opening and closing them."""

from engine.apply.batch import Applied
from engine.apply.inputs import OWN_SPEED
from engine.bodies import LinkBody
from engine.handlers.link_gaps import GAPS, note_ready, open_gap
from engine.handlers.load_history import advance_history
from engine.handlers.own_speed import handle_own_speed
from engine.handlers.poll_market import poll_link
from engine.requests import LinkPhase, LinkRole, Purpose, Unsigned
from engine.session_context import SessionContext
from engine.state.market_gaps import gap_before_session
from engine.step_context import StepContext


def handle_link(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Subscribe on a link that opened; open the gap of a market link that closed."""
    assert isinstance(applied.body, LinkBody), applied
    if applied.body.state in OWN_SPEED:
        handle_own_speed(session, step, applied.body)
        return
    source = step.record.source
    link = step.account.links.by_source.get(source)
    if link is None:
        return
    if link.state is not LinkPhase.UP:
        if link.role is LinkRole.MARKET:
            open_gap(session, step, source, applied.body.reason)
        return
    subscribe(session, step, source)
    if link.role is LinkRole.PRIVATE:
        measure_clock(session, step, link.venue)
        return
    if source in session.polled.sources:
        poll_link(session, step, source)
    if session.history_needs:
        advance_history(session, step)


def subscribe(session: SessionContext, step: StepContext, source: str, answered: Unsigned | None = None) -> None:
    """Send a link's next subscription, or record that the link is ready if every one was acknowledged.

    Args:
        session: The session at hand.
        step: The step at hand.
        source: The link.
        answered: The subscription that was acknowledged last; None before the first.
    """
    link = step.account.links.by_source[source]
    if session.factories[link.venue].subscribe(step, source=source, answered=answered):
        return
    if source not in session.polled.sources or link.role is LinkRole.PRIVATE:
        note_ready(step, source)  # a market link without a socket is ready with the first answer


def open_links(session: SessionContext, step: StepContext) -> None:
    """Request every link of a session that begins."""
    for name in sorted(session.venues):
        for plan in session.links(name):
            if plan.role is LinkRole.MARKET and (gap := gap_before_session(session.body, plan.source)) is not None:
                step.emit(gap, source=GAPS)
            session.factories[name].connect(step, plan=plan)


def reconnect(session: SessionContext, step: StepContext, source: str) -> None:
    """Request a link again if it is down."""
    link = step.account.links.by_source.get(source)
    if link is None or link.state is not LinkPhase.DOWN or step.account.modes.closing:
        return
    is_refused = step.account.access.is_refused(link.venue, step.time_ns)
    if link.role is LinkRole.PRIVATE and (is_refused or is_blocked(step, link.venue)):
        return  # its subscription is a request, and each request during a ban makes the ban longer
    plan = next(plan for plan in session.links(link.venue) if plan.source == source)
    session.factories[link.venue].connect(step, plan=plan)


def disconnect(session: SessionContext, step: StepContext, source: str) -> None:
    """Request the end of an open link."""
    link = step.account.links.by_source.get(source)
    if link is not None and link.state in (LinkPhase.UP, LinkPhase.READY):
        session.factories[link.venue].disconnect(step, source=source)


def measure_clock(session: SessionContext, step: StepContext, venue: str) -> None:
    """Request the venue's time, unless a request for it is pending."""
    if not is_blocked(step, venue) and step.account.requests.find(Purpose.SERVER_TIME, venue=venue) is None:
        session.factories[venue].server_time(step)


def is_blocked(step: StepContext, venue: str) -> bool:
    """Return True while the venue forbids requests."""
    return step.time_ns < step.account.limits.get(venue).blocked_until_ns
