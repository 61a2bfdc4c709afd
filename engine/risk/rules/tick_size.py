"""A limit price is a multiple of the tick and within the venue's bounds."""

from engine.money import on_grid
from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the price is off the grid or out of bounds, or ""."""
    price, instrument = context.terms.price, context.instrument
    if price is None:
        return ""
    if price <= 0 or not on_grid(price, instrument.tick_size):
        return f"price {price} is not a multiple of the tick {instrument.tick_size}"
    if instrument.price_min and price < instrument.price_min:
        return f"price {price} is below {instrument.price_min}"
    if instrument.price_max and price > instrument.price_max:
        return f"price {price} is above {instrument.price_max}"
    return ""


RULE = RiskRule(reject_reason, name="tick")
