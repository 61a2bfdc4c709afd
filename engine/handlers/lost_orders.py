"""Orders at the venue that bear our mark and that no record of ours explains: their records were lost."""

from engine.events import OrderReport
from engine.execution.order_reports import IsOwn
from engine.session_context import SessionContext
from engine.step_context import StepContext


def is_unrecorded(session: SessionContext, step: StepContext) -> IsOwn:
    """Return a function that is true for a report of an order that bears our mark and is not recorded.

    At some venues an order that a person changed has a new id of the venue, and still ours: that one is recorded.
    """

    def holds(report: OrderReport) -> bool:
        venue = session.venues.get(report.instrument.partition(":")[0])
        is_known = step.account.orders.get(report.client_order_id) is not None
        is_changed = is_known and venue is not None and venue.capabilities.new_id_on_change
        return session.is_own_order(report) and not is_changed

    return holds
