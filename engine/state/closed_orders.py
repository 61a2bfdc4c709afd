"""Closed orders: how long they stay in state."""

from collections.abc import Callable

from engine.lifecycle import Status
from engine.session_record import SECOND_NS
from engine.state.orders import Order, Orders, followed
from engine.state.versioned_map import versioned

TOMBSTONE_NS = 24 * 3_600 * SECOND_NS  # how long an order that was never placed stays in state


def forget_closed(orders: Orders, now_ns: int, *, keep_ns: int, is_confirmed: Callable[[Order], bool]) -> Orders:
    """Drop closed orders that are old and whose fills a reconciliation has confirmed.

    Without the order, a page of fills would be recorded a second time. An order that was never placed stays for a day:
    no message is on its way for longer.

    Args:
        orders: The orders.
        now_ns: Session time.
        keep_ns: How long a closed order stays.
        is_confirmed: True for an order all of whose fills a reconciliation has confirmed.

    """
    young_ns = now_ns - min(keep_ns, TOMBSTONE_NS)  # most closed orders are younger: this runs every second
    index = orders.index
    dropped = [
        order.client_order_id
        for order in index.closed_before(young_ns, orders.closed)
        if order.client_order_id not in orders.missing_fills
        and order.client_order_id not in orders.doubted
        and now_ns - order.updated_ns > (TOMBSTONE_NS if order.status is Status.NOT_PLACED else keep_ns)
        and is_confirmed(order)
    ]
    if not dropped:
        return orders
    kept, by_venue_id = versioned(orders.closed), versioned(orders.by_venue_id)
    for name in dropped:
        kept = kept.without(name)
        for venue_key in index.venue_keys.pop(name, ()):
            by_venue_id = by_venue_id.without(venue_key)
    return followed(
        orders,
        Orders(orders.live, kept, by_venue_id, orders.missing_fills, orders.doubted, orders.expiring, orders.linked),
    )
