"""Changes of orders that a venue names by its own id alone, completed from the account's own order."""

from collections.abc import Iterable

from engine.events import Fill, OrderChange, OrderReport, VenueStatus
from engine.model import Instrument
from engine.state.orders import Order
from engine.step_context import StepContext


def completed(step: StepContext, change: OrderChange, instruments: Iterable[Instrument]) -> OrderReport | None:
    """Return the report of a change; None for an order that is not known, whose first report described it in full.

    Args:
        step: The current step.
        change: What the venue states.
        instruments: Those of the venue.

    """
    found = [step.account.orders.find(each.id, "", change.venue_order_id) for each in instruments]
    order = next((order for order in found if order is not None), None)
    return None if order is None else _report(order, change)


def _report(order: Order, change: OrderChange) -> OrderReport:
    known, filled = order.order, change.filled_quantity
    counted = max(order.filled_reported, order.filled_quantity) if filled is None else filled
    return OrderReport(
        instrument=known.instrument,
        client_order_id="" if order.adopted else order.venue_client_id or order.client_order_id,
        venue_order_id=change.venue_order_id,
        status=change.status or (VenueStatus.PARTIALLY_FILLED if counted else VenueStatus.OPEN),
        side=known.side,
        type=known.type,
        time_in_force=known.time_in_force,
        price=known.price if change.price is None else change.price,
        quantity=known.quantity if change.quantity is None else change.quantity,
        filled_quantity=counted,
        venue_ns=change.venue_ns,
        fills=() if change.fill is None else (_fill(order, change),),
        reason=change.reason,
        stop_price=known.stop_price,
        venue_type=known.venue_type,
        is_triggered=change.is_triggered,
    )


def _fill(order: Order, change: OrderChange) -> Fill:
    known, part = order.order, change.fill
    assert part is not None, "the caller checked"
    return Fill(
        instrument=known.instrument,
        fill_id=part.fill_id,
        venue_order_id=change.venue_order_id,
        side=known.side,
        price=part.price,
        quantity=part.quantity,
        fee=part.fee,
        fee_asset=part.fee_asset,
        maker=part.maker,
        venue_ns=change.venue_ns,
        client_order_id="" if order.adopted else order.client_order_id,
    )
