"""Sums over the live orders of an account that risk rules compare with a limit."""

from collections.abc import Mapping
from decimal import Decimal

from engine.model import Side
from engine.money import ZERO
from engine.state.order_lists import fillable_together
from engine.state.orders import Order


def open_quantity(live: Mapping[str, Order], instrument: str, side: Side, strategy: str = "") -> Decimal:
    """Return what the live orders of a side can still fill; those of one strategy if it is named."""
    return sum(
        (
            order.leaves_quantity
            for order in fillable_together(live.values(), live)
            if order.order.instrument == instrument
            and order.order.side is side
            and (not strategy or order.strategy == strategy)
        ),
        ZERO,
    )
