"""Sums over the live orders of an account that risk rules compare with a limit."""

from decimal import Decimal

from engine.model import Side
from engine.money import ZERO
from engine.state.linked_orders import fillable_orders
from engine.state.missing_fills import missing_quantity
from engine.state.orders import Orders


def open_quantity(orders: Orders, instrument: str, side: Side, strategy: str = "") -> Decimal:
    """Return what orders of a side can still fill, or filled before they ended and is not recorded yet.

    Those of one strategy if it is named.
    """
    return missing_quantity(orders, instrument, side, strategy) + sum(
        (
            order.leaves_quantity
            for order in fillable_orders(orders, instrument)
            if order.order.side is side and (not strategy or order.strategy == strategy)
        ),
        ZERO,
    )
