"""Queries for an order whose status is not known."""

from engine.handlers.link_changes import is_blocked
from engine.lifecycle import LIVE, Status
from engine.session_context import SessionContext
from engine.step_context import StepContext


def query_order(session: SessionContext, step: StepContext, name: str, *, if_unknown: bool = True) -> None:
    """Query one order by our id.

    Args:
        session: The session.
        step: The current step.
        name: The client order id.
        if_unknown: False queries it in any live status: the answer to its cancel did not settle it. If that query is
            not answered either, the next reconciliation queries it again.

    """
    order = step.account.orders.get(name)
    if order is None or order.query_seq or order.status not in LIVE:
        return
    if order.status is not Status.UNKNOWN and if_unknown:
        return
    instrument = session.instruments[order.order.instrument]
    if not session.accounts.has_account_for(instrument.id):
        return  # there is no key to query it with
    if not is_blocked(step, instrument.venue) and not step.account.access.is_refused(instrument.venue, step.time_ns):
        session.factories[instrument.venue].query_order(step, instrument=instrument, client_order_id=name)
