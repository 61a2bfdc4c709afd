"""A burst of errors starts a reconciliation: see engine/state/error_bursts.py."""

from engine.bodies import NoteLevel
from engine.execution import reconciliation
from engine.session_context import SessionContext
from engine.step_context import StepContext


def watch_errors(session: SessionContext, step: StepContext) -> None:
    """Start a round if errors of orders reached the limit within the window, at the check of each second."""
    limit = session.safeguards.error_burst_max
    if not limit or not step.account.errors.times_ns:
        return
    found = step.account.errors.count_since(step.time_ns - session.safeguards.window_ns)
    scopes = [
        scope
        for scope in session.accounts.scopes.values()
        if not scope.rounds(step).running and reconciliation.may_query(step, scope)
    ]
    if found < limit or not scopes:
        return
    step.note(NoteLevel.WARNING, f"{found} errors of orders in a short time: the account is reconciled")
    reconciliation.request(step, scopes)
