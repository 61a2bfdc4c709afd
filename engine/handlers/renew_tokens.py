"""Tokens of private links: kept alive in time. A token that the venue does not know any more ends its link.

The shell requests a token when it opens a link, and no record holds one.
"""

from engine.bodies import NoteLevel
from engine.events import Answer, Outcome
from engine.handlers.link_changes import disconnect
from engine.requests import LinkPhase, LinkRole, Purpose
from engine.session_context import SessionContext
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext


def renew_tokens(session: SessionContext, step: StepContext) -> None:
    """Request the renewal of each token that is due."""
    for source in sorted(step.account.links.by_source) if session.accounts.renew_tokens else ():
        link = step.account.links.by_source[source]
        if link.role is not LinkRole.PRIVATE or link.state is not LinkPhase.READY:
            continue
        factory = session.factories[link.venue]
        since_ns = step.time_ns - max(link.changed_ns, link.renewed_ns)
        is_due = (
            factory.contracts.renew_every_ns
            and since_ns >= factory.contracts.renew_every_ns
            and factory.may_query(step)
        )
        if is_due and step.account.requests.find(Purpose.RENEW_TOKEN, source=source) is None:
            factory.contracts.renew_token(step, source=source)


def handle_renewal(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """End a link whose token the venue refuses to renew: the next one gets a new token."""
    if answer.outcome is Outcome.DONE:
        return
    source = pending.request.source
    text = f"{source}: the token was not renewed: {answer.outcome} {answer.coded_text}".rstrip()
    step.note(NoteLevel.WARNING, text)
    if answer.outcome is Outcome.REFUSED:
        disconnect(session, step, source)
