"""What the venue says of orders, made into facts. The one place where a report meets what we believed.

Seeing one event twice changes nothing; a fill is booked once, by (instrument, fill id); positions move here and nowhere else.
"""

from engine.bodies import NoteLevel
from engine.events import Answer, Fill, OrderReport, Outcome, VenueStatus
from engine.facts import (
    CancelSettled,
    ModeChanged,
    NewOrder,
    OrderAccepted,
    OrderAdopted,
    OrderClosed,
    OrderFilled,
    OrderNotPlaced,
    OrderUnknown,
)
from engine.lifecycle import CLOSED, LIVE, Report, Status, after
from engine.mode_reasons import Mode
from engine.model import Instrument
from engine.money import ZERO
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.state.positions import after_fill
from engine.step_context import StepContext

CLOSING = {
    VenueStatus.CANCELED: Report.CANCELED,
    VenueStatus.EXPIRED: Report.EXPIRED,
    VenueStatus.REJECTED: Report.REJECTED,
}
STOOD = (Status.OPEN, Status.PARTIALLY_FILLED)
OPEN = (VenueStatus.OPEN, VenueStatus.PARTIALLY_FILLED)
# what proves that nothing was placed
ABSENT = {Outcome.REFUSED, Outcome.RETRY_LATER, Outcome.RATE_LIMITED, Outcome.CLOCK, Outcome.AUTH, Outcome.NOT_FOUND}


def apply_report(step: StepContext, found: OrderReport, instruments: dict[str, Instrument]) -> Order | None:
    """Books what one report says. Returns the order, or None where its instrument is not ours to trade."""
    if found.instrument not in instruments:
        return None
    order = step.account.orders.find(found.instrument, found.client_order_id, found.venue_order_id)
    if order is None:
        order = _adopt(step, found)
    name = order.client_order_id
    revived = order.status is Status.NOT_PLACED or (order.status is Status.REJECTED and found.status in OPEN)
    waited_for = order.status in (Status.PENDING, Status.UNKNOWN)
    if (revived or waited_for) and found.status is not VenueStatus.REJECTED:
        if revived:
            step.note(NoteLevel.ALARM, f"order {name} was {order.status} to us, but the venue has it", key=name)
        step.emit(OrderAccepted(name, found.venue_order_id, found.venue_ns), key=name)
    for fill in found.fills:
        book(step, fill, instruments)
    order = _now(step, name)
    closing = CLOSING.get(found.status)
    if closing is Report.REJECTED and order.status in STOOD:
        closing = Report.CANCELED  # it stood at the venue, so it was not rejected; but the venue says that it ended
    if closing is not None and after(order.status, closing) is not None:
        step.emit(OrderClosed(name, closing, found.filled_quantity, found.reason, found.venue_ns), key=name)
    elif found.filled_quantity > max(order.filled_reported, order.filled_quantity) and not order.adopted:
        _owe(step, order, found)
    elif order.adopted and found.status is VenueStatus.FILLED and order.status in LIVE:
        step.emit(OrderClosed(name, Report.FULL_FILL, found.filled_quantity, "", found.venue_ns), key=name)
    return _now(step, name)


def _owe(step: StepContext, order: Order, found: OrderReport) -> None:
    """The venue has filled more than we booked: remember how much, so that the fills are fetched."""
    step.emit(
        OrderAccepted(
            order.client_order_id, found.venue_order_id, found.venue_ns, filled_quantity=found.filled_quantity
        ),
        key=order.client_order_id,
    )


def _adopt(step: StepContext, found: OrderReport) -> Order:
    order = NewOrder(found.instrument, found.side, found.type, found.quantity, found.price, found.time_in_force)
    name = found.client_order_id or f"venue-{found.venue_order_id}"
    if step.account.orders.get(name) is not None:
        name = f"{name}@{found.venue_order_id}"  # others may use an id again
    step.note(NoteLevel.WARNING, f"order {name} at the venue is not of this journal: adopted as external")
    step.emit(OrderAdopted(name, found.venue_order_id, order, found.filled_quantity), key=name)
    return _now(step, name)


def is_lost_order(step: StepContext, found: OrderReport, own: tuple[str, ...]) -> bool:
    """Whether an order bears our mark and is in no journal. `own`: the sessions whose marks an order of ours bears."""
    known = step.account.orders.find(found.instrument, found.client_order_id, found.venue_order_id)
    return known is None and found.client_order_id.split("-")[0] in own


def halt_for_lost(step: StepContext, found: OrderReport) -> None:
    text = f"order {found.client_order_id} at the venue bears our mark and is in no journal: records were lost"
    step.emit(ModeChanged(Mode.HALTED, (text,)))


def bookable(step: StepContext, fill: Fill) -> bool:
    """Whether a fill's numbers can be a fill's. Whatever a venue says, it must not stop the engine."""
    if fill.fill_id.isascii() and fill.fill_id.isdigit() and fill.quantity > 0 and fill.price >= 0:
        return True
    step.note(
        NoteLevel.ALARM, f"a fill that cannot be one is not booked: {fill.fill_id}, {fill.quantity} at {fill.price}"
    )
    return False


def book(step: StepContext, fill: Fill, instruments: dict[str, Instrument], *, first_look: bool = False) -> bool:
    """Books a fill once. False where its order is not known (the caller asks for it) or it was booked before.

    `first_look`: it stands in the first page we ever saw of its instrument, so an order that is not ours had it before we came.
    """
    order = step.account.orders.find(fill.instrument, fill.client_order_id, fill.venue_order_id)
    if order is None or fill.fill_id in order.fill_ids or fill.instrument not in instruments:
        return False
    if not bookable(step, fill):
        return False
    confirmed = step.account.reconciling.fills_confirmed.get(fill.instrument, -1)
    if order.adopted and (first_look or int(fill.fill_id) <= confirmed):
        return False  # from before we looked
    name = order.client_order_id
    late = order.status in CLOSED and order.filled_quantity + fill.quantity > order.filled_reported
    if late:
        step.note(NoteLevel.ALARM, f"fill {fill.fill_id} came for order {name}, which was {order.status}", key=name)
    fact = OrderFilled(
        client_order_id=name,
        strategy=order.strategy,
        instrument=fill.instrument,
        fill_id=fill.fill_id,
        venue_order_id=fill.venue_order_id,
        side=fill.side,
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        maker=fill.maker,
        venue_ns=fill.venue_ns,
        late=late,
    )
    seq = step.emit(fact, key=name)
    held = step.account.positions.of(order.strategy, fill.instrument)
    step.emit(after_fill(held, fact, instruments[fill.instrument]), key=name, cause=seq)
    return True


def apply_place_answer(
    step: StepContext, awaited: PendingRequest, answer: Answer, *, sent_ns: int, proof_after_ns: int
) -> None:
    """The answer to a placement proves something, or nothing. Reports it carries are settled before.

    After it no order is PENDING: nobody would ask about it.
    """
    name = awaited.request.client_order_id
    order = step.account.orders.get(name)
    if order is None or order.status is not Status.PENDING:
        return
    proof_ns = (sent_ns or awaited.request.expires_ns) + proof_after_ns
    said = f"{answer.code} {answer.text}".strip() if answer.code else answer.text
    match answer.outcome:
        case Outcome.DONE:  # taken, but the answer did not say how the order stands: it is asked about
            step.emit(OrderUnknown(name, "placed, and the answer tells no status", proof_ns), key=name)
        case Outcome.UNKNOWN:
            step.emit(OrderUnknown(name, said or "no answer", proof_ns), key=name)
        case Outcome.NOT_SENT:
            step.emit(OrderNotPlaced(name, f"not sent: {said}"), key=name)
        case outcome:
            assert outcome in ABSENT, outcome
            step.emit(OrderClosed(name, Report.REJECTED, ZERO, said or outcome.value, 0), key=name)


def apply_cancel_answer(step: StepContext, awaited: PendingRequest, answer: Answer) -> bool:
    """The answer to a cancel. True where the order must be asked about: the answer did not say how it ended.

    The report it carries was settled before: if that closed the order, nothing is left to do.
    """
    name = awaited.request.client_order_id
    order = step.account.orders.get(name)
    if order is None or order.status not in LIVE:
        return False
    step.emit(CancelSettled(name, f"{answer.outcome}: {answer.code} {answer.text}"), key=name)
    return answer.outcome in (Outcome.DONE, Outcome.NOT_FOUND, Outcome.UNKNOWN)


def not_found(step: StepContext, name: str, *, asked_ns: int) -> bool:
    """A query was answered "not found". It proves absence only for an UNKNOWN order, and only if it was asked late enough
    (scenario S4): an answer may have been on its way for long.

    False where it contradicts what the venue told us before.
    """
    order = step.account.orders.get(name)
    if order is None or order.status not in LIVE:
        return True
    if order.status is Status.UNKNOWN:
        if asked_ns > order.proof_ns:
            step.emit(OrderNotPlaced(name, "the venue answered that it does not know it"), key=name)
        return True
    return order.status is Status.PENDING


def _now(step: StepContext, name: str) -> Order:
    order = step.account.orders.get(name)
    assert order is not None, f"no order {name}"
    return order
