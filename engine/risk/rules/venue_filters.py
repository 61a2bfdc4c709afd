"""An order fits the venue's filters of its instrument: price, quantity and the product of both."""

from engine.money import on_grid
from engine.risk.context import RiskContext, RiskRule


def tick(context: RiskContext) -> str:
    """Return why a limit price is off the grid or out of bounds, or ""."""
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


def lot(context: RiskContext) -> str:
    """Return why the quantity is off the grid or out of bounds, or "". An order without a limit price has less room."""
    quantity, instrument = context.order.quantity, context.instrument
    if quantity <= 0 or not on_grid(quantity, instrument.lot_size):
        return f"quantity {quantity} is not a multiple of the lot {instrument.lot_size}"
    if quantity < instrument.quantity_min:
        return f"quantity {quantity} is below {instrument.quantity_min}"
    quantity_max = instrument.quantity_max
    if context.terms.price is None and instrument.market_quantity_max:
        quantity_max = min(quantity_max or instrument.market_quantity_max, instrument.market_quantity_max)
    return f"quantity {quantity} is above {quantity_max}" if quantity_max and quantity > quantity_max else ""


def notional_min(context: RiskContext) -> str:
    """Return why price times quantity is too small, or "". Without a limit price the bid counts: no headroom."""
    instrument, price = context.instrument, context.terms.price
    if not instrument.notional_min or (price is None and not instrument.notional_min_applies_to_market):
        return ""
    notional = (context.bid if price is None else price) * context.order.quantity
    return f"notional {notional} is below {instrument.notional_min}" if notional < instrument.notional_min else ""


RULES = (RiskRule(tick, name="tick"), RiskRule(lot, name="lot"), RiskRule(notional_min, name="notional_min"))
