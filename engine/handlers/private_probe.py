"""Private links: a silent one gets a query over it, and without an answer the link is opened again.

An account without orders has no events, so silence alone proves nothing.
"""

from engine.bodies import NoteLevel
from engine.handlers.link_changes import disconnect
from engine.requests import LinkPhase, LinkRole, Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.step_context import StepContext


def probe_private_links(session: SessionContext, step: StepContext) -> None:
    """Probe each silent private link, and end those that do not answer."""
    if not session.settings.private_probe_after_ns or session.body.resimulated is not None:
        return
    for source in sorted(step.account.links.by_source):
        link = step.account.links.by_source[source]
        if link.role is not LinkRole.PRIVATE or link.state is not LinkPhase.READY or source in session.polled.sources:
            continue
        pending = step.account.requests.find(Purpose.PROBE, source=source)
        seen_ns = max(step.account.private_seen.last_ns(source), link.changed_ns, step.account.lateness.over_ns)
        silent_ns = step.time_ns - seen_ns
        if pending is None:
            if silent_ns >= session.settings.private_probe_after_ns:
                session.factories[link.venue].probe_private(step, source=source)
        elif step.time_ns - max(pending.time_ns, step.account.lateness.over_ns) > pending.request.timeout_ns:
            text = f"{source}: silent for {silent_ns / SECOND_NS:.0f} s, and no answer to a query over it"
            step.note(NoteLevel.ALARM, text)
            disconnect(session, step, source)
