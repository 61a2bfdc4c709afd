"""What the venue says of orders, made into facts. The one place where a report meets what we believed.

Seeing one event twice changes nothing; a fill is booked once, by (instrument, fill id); positions move here and nowhere else.
"""

from engine.events import Answer, Fill, OrderReport, Outcome, VenueStatus
from engine.facts import (
    CancelSettled,
    NewOrder,
    OrderAccepted,
    OrderAdopted,
    OrderClosed,
    OrderFilled,
    OrderNotPlaced,
    OrderUnknown,
)
from engine.lifecycle import CLOSED, LIVE, Report, Status, after
from engine.model import Instrument
from engine.money import ZERO
from engine.reducers.orders import Order
from engine.reducers.positions import after_fill
from engine.reducers.requests import Awaited
from engine.turn import Turn

CLOSING = {
    VenueStatus.CANCELED: Report.CANCELED,
    VenueStatus.EXPIRED: Report.EXPIRED,
    VenueStatus.REJECTED: Report.REJECTED,
}
# what proves that nothing was placed
ABSENT = {Outcome.REFUSED, Outcome.RETRY_LATER, Outcome.RATE_LIMITED, Outcome.CLOCK, Outcome.AUTH, Outcome.NOT_FOUND}


def report(turn: Turn, found: OrderReport, instruments: dict[str, Instrument]) -> Order | None:
    """Books what one report says. Returns the order, or None where its instrument is not ours to trade."""
    if found.instrument not in instruments:
        return None
    order = turn.account.orders.find(found.instrument, found.client_order_id, found.venue_order_id)
    if order is None:
        order = _adopt(turn, found)
    name = order.client_order_id
    if order.status in (Status.PENDING, Status.UNKNOWN, Status.NOT_PLACED) and found.status is not VenueStatus.REJECTED:
        if order.status is Status.NOT_PLACED:
            turn.note("alarm", f"order {name} was taken for never placed, but the venue has it", key=name)
        turn.fact(OrderAccepted(name, found.venue_order_id, found.venue_ns), key=name)
    for fill in found.fills:
        book(turn, fill, instruments)
    order = _now(turn, name)
    closing = CLOSING.get(found.status)
    if closing is not None and after(order.status, closing) is not None:
        turn.fact(OrderClosed(name, closing, found.filled_quantity, found.reason, found.venue_ns), key=name)
    elif found.filled_quantity > max(order.filled_reported, order.filled_quantity) and not order.adopted:
        _owe(turn, order, found)
    elif order.adopted and found.status is VenueStatus.FILLED and order.status in LIVE:
        turn.fact(OrderClosed(name, Report.FULL_FILL, found.filled_quantity, "", found.venue_ns), key=name)
    return _now(turn, name)


def _owe(turn: Turn, order: Order, found: OrderReport) -> None:
    """The venue has filled more than we booked: remember how much, so that the fills are fetched."""
    turn.fact(
        OrderAccepted(
            order.client_order_id, found.venue_order_id, found.venue_ns, filled_quantity=found.filled_quantity
        ),
        key=order.client_order_id,
    )


def _adopt(turn: Turn, found: OrderReport) -> Order:
    order = NewOrder(found.instrument, found.side, found.type, found.quantity, found.price, found.time_in_force)
    turn.note("warning", f"order {found.client_order_id} at the venue is not of this journal: adopted as external")
    turn.fact(
        OrderAdopted(found.client_order_id, found.venue_order_id, order, found.filled_quantity),
        key=found.client_order_id,
    )
    return _now(turn, found.client_order_id)


def book(turn: Turn, fill: Fill, instruments: dict[str, Instrument]) -> bool:
    """Books a fill once. False where its order is not known (the caller asks for it) or it was booked before."""
    order = turn.account.orders.find(fill.instrument, fill.client_order_id, fill.venue_order_id)
    if order is None or fill.fill_id in order.fill_ids:
        return False
    if int(fill.fill_id) <= turn.account.reconciling.fills_confirmed.get(fill.instrument, -1) and order.adopted:
        return False  # from before we looked
    name = order.client_order_id
    late = order.status in CLOSED and order.filled_quantity + fill.quantity > order.filled_reported
    if late:
        turn.note("alarm", f"fill {fill.fill_id} came for order {name}, which was {order.status}", key=name)
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
    seq = turn.fact(fact, key=name)
    held = turn.account.positions.of(order.strategy, fill.instrument)
    turn.fact(after_fill(held, fact, instruments[fill.instrument]), key=name, cause=seq)
    return True


def placed(turn: Turn, awaited: Awaited, answer: Answer, *, sent_ns: int, proof_after_ns: int) -> None:
    """The answer to a placement proves something, or nothing. Reports it carries are settled apart."""
    name = awaited.request.client_order_id
    order = turn.account.orders.get(name)
    if order is None or order.status is not Status.PENDING:
        return
    said = f"{answer.code} {answer.text}".strip() if answer.code else answer.text
    match answer.outcome:
        case Outcome.DONE:
            pass
        case Outcome.UNKNOWN:
            proof_ns = (sent_ns or awaited.request.expires_ns) + proof_after_ns
            turn.fact(OrderUnknown(name, said or "no answer", proof_ns), key=name)
        case Outcome.NOT_SENT:
            turn.fact(OrderNotPlaced(name, f"not sent: {said}"), key=name)
        case outcome:
            assert outcome in ABSENT, outcome
            turn.fact(OrderClosed(name, Report.REJECTED, ZERO, said or outcome.value, 0), key=name)


def canceled(turn: Turn, awaited: Awaited, answer: Answer) -> bool:
    """The answer to a cancel. True where the order must be asked about: the answer did not say how it ended."""
    name = awaited.request.client_order_id
    order = turn.account.orders.get(name)
    if order is None or order.status not in LIVE:
        return False
    if answer.outcome is Outcome.DONE:
        return False  # the report it carries closes the order
    turn.fact(CancelSettled(name, f"{answer.outcome}: {answer.code} {answer.text}"), key=name)
    return answer.outcome in (Outcome.NOT_FOUND, Outcome.UNKNOWN)


def not_found(turn: Turn, name: str) -> bool:
    """A query was answered "not found". It proves absence only for an UNKNOWN order, and only late enough (scenario S4).

    False where it contradicts what the venue told us before.
    """
    order = turn.account.orders.get(name)
    if order is None or order.status not in LIVE:
        return True
    if order.status is Status.UNKNOWN:
        if turn.time_ns > order.proof_ns:
            turn.fact(OrderNotPlaced(name, "the venue answered that it does not know it"), key=name)
        return True
    return order.status is Status.PENDING


def _now(turn: Turn, name: str) -> Order:
    order = turn.account.orders.get(name)
    assert order is not None, f"no order {name}"
    return order
