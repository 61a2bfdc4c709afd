"""Queries for the fills of one order: the list of an account may show them late, under an id below those it showed.

The fills of an order that lacks some are queried by its own id until all are recorded. A fill is known by its id and
its order, since the two orders of a trade share the id.
"""

from typing import Final

from engine.events import Fill, FillsReport
from engine.execution.order_reports import cursor_of, record_fill
from engine.execution.request_factory import RequestFactory
from engine.model import Instrument
from engine.requests import Purpose
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext

QUERIES_MAX: Final = 5  # orders whose fills are queried at a time
DOUBLINGS_MAX: Final = 5  # of the wait between two queries: from a second to half a minute


def query_by_order(
    step: StepContext, factory: RequestFactory, instrument: Instrument, order: Order, number: int
) -> bool:
    """Query the fills of an order that lacks some, unless a query was sent a moment ago.

    Returns:
        False if fills cannot be queried by order: by the venue, under order_rules 0, or before its venue id is known.

    """
    if not step.settings.order_rules or not order.venue_order_id:
        return False
    pending = step.account.requests
    asked = [found for found in pending.by_seq.values() if found.request.purpose is Purpose.FILLS]
    if any(found.request.client_order_id == order.client_order_id for found in asked):
        return True
    if sum(bool(found.request.client_order_id) for found in asked) >= QUERIES_MAX:
        return True
    wait_ns = step.settings.order_query_interval_ns << min(max(order.fills_queries - 1, 0), DOUBLINGS_MAX)
    if order.fills_queries and step.time_ns - order.fills_queried_ns < wait_ns:
        return True
    return factory.fills_of(step, order=order, instrument=instrument, after=None, number=number)


def record_of_order(
    step: StepContext,
    factory: RequestFactory,
    instruments: dict[str, Instrument],
    pending: PendingRequest,
    report: FillsReport,
) -> list[Fill]:
    """Record the fills of one order, and query its next page if this one is full. Return those that were new."""
    instrument = instruments[pending.request.instrument]
    recorded = [fill for fill in report.fills if record_fill(step, fill, instruments)]
    order = step.account.orders.get(pending.request.client_order_id)
    if report.whole or order is None or not report.fills:
        return recorded
    cursors = step.fill_cursor(instrument.venue)
    places = [place for fill in report.fills if (place := cursor_of(step, fill, instrument)) is not None]
    if places:
        newest = max(places, key=cursors.key)
        factory.fills_of(step, order=order, instrument=instrument, after=newest, number=pending.request.round)
    return recorded
