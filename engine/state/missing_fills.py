"""Orders that ended before all their fills were recorded: the positions do not contain these fills yet."""

from decimal import Decimal

from engine.lifecycle import LIVE
from engine.model import Side
from engine.money import ZERO
from engine.state.orders import Order, Orders


def missing_of(order: Order) -> Decimal:
    """Return the filled quantity of a closed order that is not recorded; `leaves_quantity` contains a live order's."""
    return ZERO if order.status in LIVE or order.adopted else max(order.filled_reported - order.filled_quantity, ZERO)


def ended_with_missing_fills(orders: Orders) -> list[Order]:
    """Return the closed orders whose fills are not all recorded, by name."""
    return [order for name in orders.missing_fills if (order := orders.closed.get(name)) is not None]


def missing_quantity(orders: Orders, instrument: str, side: Side, strategy: str = "") -> Decimal:
    """Return what ended orders of a side filled and is not recorded yet; those of one strategy if it is named."""
    if not orders.missing_fills:
        return ZERO
    return sum(
        (
            missing_of(order)
            for order in ended_with_missing_fills(orders)
            if (order.order.instrument, order.order.side) == (instrument, side) and strategy in ("", order.strategy)
        ),
        ZERO,
    )
