"""Orders that are good till a time, which the venue does not have: the engine cancels each at its time.

The time is a term of the order and is carried over a restart: the next session cancels an order whose time came
meanwhile. A cancel that fails is repeated as any other.
"""

from engine.handlers.cancel_rules import cancel_if_permitted, waits_for_access
from engine.lifecycle import Status
from engine.session_context import SessionContext
from engine.step_context import StepContext

IN_DOUBT = (Status.PENDING, Status.UNKNOWN)  # no order may be there to cancel


def has_expired(step: StepContext) -> bool:
    """Return True if the time of an open order is over."""
    orders, time_ns = step.account.orders, step.time_ns
    return any(orders.live[name].order.good_till_ns <= time_ns for name in orders.expiring)


def cancel_expired(session: SessionContext, step: StepContext) -> None:
    """Cancel the open orders whose time is over, in any mode."""
    if session.body.read_only:
        return
    for name in step.account.orders.expiring:
        order = step.account.orders.live.get(name)
        if order is None or order.order.good_till_ns > step.time_ns or order.status in IN_DOUBT:
            continue
        instrument = session.instruments.get(order.order.instrument)
        if instrument is not None and not waits_for_access(step, instrument.venue, (order,)):
            cancel_if_permitted(session, step, order)
