"""Contradictions between the venue and the account about one order: the order is queried before anything halts.

A list or a query may lag behind the venue's own matching, so one answer proves little. The order is doubted, which ends
RUNNING; it is queried until the venue agrees with us, or until the contradiction lasted.
"""

from engine.bodies import NoteLevel
from engine.events import OrderReport, VenueStatus
from engine.facts import OrderDoubted
from engine.lifecycle import Status
from engine.mode_reasons import ModeReason, ReasonCode
from engine.state.orders import Order
from engine.step_context import StepContext

ENDED = (Status.CANCELED, Status.EXPIRED, Status.FILLED)
OPEN = (VenueStatus.OPEN, VenueStatus.PARTIALLY_FILLED)


def is_stale(order: Order, report: OrderReport) -> bool:
    """Return True if the venue dates a report before the newest one of its order."""
    return 0 < report.venue_ns < order.venue_ns


def doubt(step: StepContext, order: Order, text: str) -> None:
    """Record that an order is in doubt. Halt if it has been for as long as the venue's own limit, for our own order."""
    name = order.client_order_id
    if not order.doubt:
        step.note(NoteLevel.WARNING, f"{text}: it is queried", key=name)
        step.emit(OrderDoubted(name, text), key=name)
    elif step.time_ns - order.doubted_ns < step.settings.venue_timeout_ns:
        return
    elif order.adopted:
        step.note(NoteLevel.ALARM, text, key=name)
        step.emit(OrderDoubted(name, ""), key=name)
    else:
        step.halt(ModeReason(ReasonCode.ORDER_CONTRADICTED, text, name), key=name)


def settle(step: StepContext, order: Order | None) -> None:
    """End the doubt of an order, if there is one."""
    if order is not None and order.doubt:
        step.emit(OrderDoubted(order.client_order_id, ""), key=order.client_order_id)


def is_contradiction(step: StepContext, known: Order, report: OrderReport, *, as_of_ns: int) -> bool:
    """Return True if the venue reports as open an order that ended here too long ago for a late report.

    Args:
        step: The current step.
        known: The order.
        report: The venue's report.
        as_of_ns: Session time that the report is of.

    """
    if known.status not in ENDED or report.status not in OPEN or is_stale(known, report):
        return False
    return as_of_ns - known.updated_ns > step.settings.venue_timeout_ns


def contradiction(known: Order) -> str:
    """Return the text for people."""
    return f"order {known.client_order_id} is {known.status} here, and open at the venue"
