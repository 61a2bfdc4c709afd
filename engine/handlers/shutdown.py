"""The end of a session: cancel, wait for answers, reconcile a last time, close."""

from engine.bodies import NoteLevel
from engine.execution import reconciliation
from engine.execution.account_scope import AccountScope
from engine.facts import CloseReason, SessionClosing
from engine.handlers.cancel_rules import cancel_if_permitted, waits_for_access
from engine.handlers.dead_man import disarm_switches
from engine.handlers.pnl import emit_pnl
from engine.handlers.safety import own_live
from engine.handlers.stop_protection import awaits_protection, name_protection
from engine.session_context import SessionContext
from engine.state.kept_exits import kept_on_stop
from engine.step_context import StepContext

UNKNOWN = "it is unknown: it is being asked about"


def cancel_all(session: SessionContext, step: StepContext, *, ordered: bool = False) -> int:
    """Cancel every live order of ours that can be cancelled now.

    Args:
        session: The session.
        step: The current step.
        ordered: A person ordered it: cancel even what was cancelled a moment ago, and name what cannot be cancelled.

    Returns:
        How many live orders of ours there are, without the exits that an ordered stop leaves at the venue.

    """
    own_orders = own_live(session, step)
    if not ordered:
        kept = kept_on_stop(step.account, session.settings)
        own_orders = [order for order in own_orders if order.client_order_id not in kept]
    for order in own_orders:
        venue = session.instruments[order.order.instrument].venue
        if not ordered and waits_for_access(step, venue, own_orders):
            continue
        reasons = cancel_if_permitted(session, step, order, repeats=ordered, unknown=UNKNOWN)
        if reasons and ordered:
            text = f"order {order.client_order_id} is not cancelled now: {reasons}"
            step.note(NoteLevel.WARNING, text, key=order.client_order_id)
    return len(own_orders)


def advance_shutdown(session: SessionContext, step: StepContext) -> None:
    """Continue an ordered stop: cancel if so configured, wait for answers, reconcile, close."""
    if step.account.modes.closing:
        return
    live = cancel_all(session, step) if session.settings.cancel_on_stop else 0
    if not live:
        disarm_switches(session, step)
    is_waiting = bool(step.account.safety.active) or any(
        pending.request.mutates for pending in step.account.requests.by_seq.values()
    )
    if live or is_waiting or awaits_protection(session, step) or _needs_last_round(session, step):
        return
    name_protection(session, step)
    emit_pnl(session, step)
    step.emit(SessionClosing(CloseReason.STOPPED))


def _needs_last_round(session: SessionContext, step: StepContext) -> bool:
    """Return True while the balances of orders that ended need a last reconciliation, and start it."""
    waiting = [scope for scope in session.accounts.scopes.values() if _needs_round(step, scope)]
    return bool(waiting)


def _needs_round(step: StepContext, scope: AccountScope) -> bool:
    rounds, closed = scope.rounds(step), step.account.orders.closed.values()
    ended = (order.updated_seq for order in closed if scope.concerns(order.order.instrument))
    if rounds.done_started_seq > max(ended, default=-1) or rounds.failures or not reconciliation.may_query(step, scope):
        return False
    reconciliation.request(step, (scope,))
    return True
