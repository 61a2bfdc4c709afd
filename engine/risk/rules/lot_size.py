"""A quantity is a multiple of the lot and within the venue's bounds.

The bounds are narrower for orders without a limit price.
"""

from engine.money import on_grid
from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the quantity is off the grid or out of bounds, or ""."""
    quantity, instrument = context.order.quantity, context.instrument
    if quantity <= 0 or not on_grid(quantity, instrument.lot_size):
        return f"quantity {quantity} is not a multiple of the lot {instrument.lot_size}"
    if quantity < instrument.quantity_min:
        return f"quantity {quantity} is below {instrument.quantity_min}"
    quantity_max = instrument.quantity_max
    if context.terms.price is None and instrument.market_quantity_max:
        quantity_max = min(quantity_max or instrument.market_quantity_max, instrument.market_quantity_max)
    return f"quantity {quantity} is above {quantity_max}" if quantity_max and quantity > quantity_max else ""


RULE = RiskRule(reject_reason, name="lot")
