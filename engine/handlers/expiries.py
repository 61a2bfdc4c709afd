"""Orders that are good till a time, which the venue does not have: the engine cancels each at its time.

The time is a term of the order and is carried over a restart: the next session cancels an order whose time came
meanwhile. A cancel that fails is repeated as any other.
"""

from engine.handlers.cancel_rules import cancel_if_permitted, waits_for_access
from engine.lifecycle import Status
from engine.session_context import SessionContext
from engine.state.orders import Order
from engine.step_context import StepContext

IN_DOUBT = (Status.PENDING, Status.UNKNOWN)  # the venue may have no order to cancel


def has_expired(session: SessionContext, step: StepContext) -> bool:
    """Return True if an open order must be cancelled because its time is over."""
    return bool(_expired(session, step))


def cancel_expired(session: SessionContext, step: StepContext) -> None:
    """Cancel the open orders whose time is over, in any mode."""
    for order in _expired(session, step):
        if not waits_for_access(step, session.instruments[order.order.instrument].venue, (order,)):
            cancel_if_permitted(session, step, order)


def _expired(session: SessionContext, step: StepContext) -> list[Order]:
    """Return the orders to cancel: not those of an instrument that the session does not trade."""
    if session.body.read_only:
        return []
    live = step.account.orders.live
    return [
        order
        for order in map(live.__getitem__, step.account.orders.expiring)
        if order.order.good_till_ns <= step.time_ns
        and order.status not in IN_DOUBT
        and order.order.instrument in session.instruments
    ]
