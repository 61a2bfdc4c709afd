"""Limit and stop prices are multiples of the tick and within the venue's bounds."""

from decimal import Decimal

from engine.model import Instrument
from engine.money import on_grid
from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why a price is off the grid or out of bounds, or ""."""
    terms, instrument = context.terms, context.instrument
    price_reason = "" if terms.price is None else _reason("price", terms.price, instrument)
    stop_reason = "" if terms.trigger is None else _reason("stop price", terms.trigger, instrument)
    return price_reason or stop_reason


def _reason(name: str, price: Decimal, instrument: Instrument) -> str:
    if price <= 0 or not on_grid(price, instrument.tick_size):
        return f"{name} {price} is not a multiple of the tick {instrument.tick_size}"
    if instrument.price_min and price < instrument.price_min:
        return f"{name} {price} is below {instrument.price_min}"
    if instrument.price_max and price > instrument.price_max:
        return f"{name} {price} is above {instrument.price_max}"
    return ""


RULE = RiskRule(reject_reason, name="tick")
