"""An order fits the venue: its type, and the filters of price, quantity and the product of both."""

from decimal import Decimal

from engine.model import Instrument, OrderType, TimeInForce
from engine.money import on_grid
from engine.risk.context import RiskContext, RiskRule, notional_of
from engine.risk.market_bound import far_touch
from engine.rounding import on_price_grid, price_grid_text


def tick(context: RiskContext) -> str:
    """Return why the limit or the stop price is off the grid or out of bounds, or ""."""
    terms, instrument = context.terms, context.instrument
    price_reason = "" if terms.price is None else _price_reason("price", terms.price, instrument)
    if price_reason or terms.trigger is None or (terms.trailing_delta and not terms.trigger):
        return price_reason
    return _price_reason("stop price", terms.trigger, instrument)


def _price_reason(name: str, price: Decimal, instrument: Instrument) -> str:
    if not on_price_grid(price, instrument):
        return f"{name} {price_grid_text(price, instrument)}"
    if instrument.price_min and price < instrument.price_min:
        return f"{name} {price} is below {instrument.price_min}"
    if instrument.price_max and price > instrument.price_max:
        return f"{name} {price} is above {instrument.price_max}"
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
    if context.order.reduce_only and context.account.margins.get(instrument.id).leverage:
        return ""  # venues that state a leverage exempt it
    notional = notional_of(context, context.bid if price is None else price)
    return f"notional {notional} is below {instrument.notional_min}" if notional < instrument.notional_min else ""


def order_type(context: RiskContext) -> str:
    """Return why the venue does not place orders of this type or time in force, or ""."""
    if reason := _type_reason(context):
        return reason
    if _is_bounded_market(context) and not far_touch(context):
        return f"{context.instrument.venue} bounds market orders by a price, and the market has none"
    return ""


def _type_reason(context: RiskContext) -> str:
    terms, instrument = context.terms, context.instrument
    if context.types is not None and terms.type not in context.types:
        return f"{instrument.venue} places no {terms.type} orders"
    if terms.type in context.gtc_only and terms.time_in_force is not TimeInForce.GTC:
        return f"{instrument.venue} places no {terms.type} orders with {terms.time_in_force}"
    if terms.type in instrument.lacks_types:
        return f"{instrument.venue} places no {terms.type} orders of {instrument.symbol}"
    if terms.time_in_force in instrument.lacks_times:
        return f"{instrument.venue} places no {terms.time_in_force} orders of {instrument.symbol}"
    return ""


def _is_bounded_market(context: RiskContext) -> bool:
    return bool(context.market_bound) and context.terms.type is OrderType.MARKET


def _may_lack_type(context: RiskContext) -> bool:
    return bool(_type_reason(context)) or _is_bounded_market(context)


RULES = (
    RiskRule(tick, name="tick"),
    RiskRule(lot, name="lot"),
    RiskRule(notional_min, name="notional_min"),
    RiskRule(order_type, name="order_type", applies_to=_may_lack_type),
)
