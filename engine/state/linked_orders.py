"""Order lists: which of the live orders can fill together.

The orders of a list on one side are a pair: the fill of one ends the other. An order that waits for another one is not
active before that one is filled. The venue locks the funds of a pair once (Binance Spot API, order lists).
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from engine.lifecycle import LIVE
from engine.money import ZERO
from engine.state.orders import Order, Orders


def fillable_orders(orders: Orders, instrument: str = "") -> Collection[Order]:
    """Return the live orders that can fill together, of one instrument if it is named."""
    live = orders.index.live_orders(instrument) if instrument else orders.live
    return fillable_together(live.values(), orders.live) if orders.linked else live.values()


def fillable_together(orders: Iterable[Order], live: Mapping[str, Order]) -> list[Order]:
    """Return the orders without those that can only fill instead of another one, or after it.

    Of a pair, the order with the larger rest counts, or the one with the higher price: it locks at least as much.

    Args:
        orders: The orders to count, in any sequence.
        live: All live orders, by client order id.

    """
    found = list(orders)
    linked = [order for order in found if order.list_id]
    if not linked:
        return found
    largest: dict[tuple[str, str], Order] = {}
    for order in linked:
        if order.waits_for in live:
            continue
        key = order.list_id, order.order.side
        known = largest.get(key)
        if known is None or _size(order) > _size(known):
            largest[key] = order
    return [order for order in found if not order.list_id] + list(largest.values())


def siblings(orders: Orders, order: Order) -> list[Order]:
    """Return the other live orders of an order's list, oldest first."""
    if not order.list_id:
        return []
    return [
        other
        for other in orders.live_by_age()
        if other.list_id == order.list_id and other.client_order_id != order.client_order_id
    ]


def _size(order: Order) -> tuple[Decimal, Decimal]:
    return (order.leaves_quantity if order.status in LIVE else ZERO), order.order.terms.known_price or ZERO
