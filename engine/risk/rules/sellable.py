"""A spot sale stays within what the session bought, open sales counted, unless `sell_holdings` allows more."""

from engine.model import Side
from engine.money import ZERO
from engine.risk.context import RiskContext, RiskRule
from engine.state.linked_orders import fillable_orders
from engine.state.missing_fills import missing_quantity
from engine.state.orders import EXTERNAL


def reject_reason(context: RiskContext) -> str:
    """Return why the sale exceeds what the session owns, or ""."""
    base, venue = context.instrument.base, context.instrument.venue
    if not _is_limited_sale(context):
        return ""
    alike = {
        name
        for name, each in context.instruments.items()
        if (each.base, each.venue) == (base, venue) and not each.contract
    }
    owned = sum(
        (
            held.quantity
            for held in context.account.positions.by_key.values()
            if held.instrument in alike and held.strategy != EXTERNAL
        ),
        ZERO,
    )
    orders = context.account.orders
    missing = sum((missing_quantity(orders, name, Side.SELL) for name in alike), ZERO)
    index = orders.index
    most = sum((index.leaves(name, Side.SELL) for name in alike), ZERO)  # with orders of other programs
    if context.order.quantity <= owned - most - missing:
        return ""
    selling = missing + sum(
        (
            order.leaves_quantity
            for name in alike
            for order in fillable_orders(context.account.orders, name)
            if order.order.side is Side.SELL and not order.adopted
        ),
        ZERO,
    )
    if context.order.quantity > owned - selling:
        left = max(owned - selling, ZERO)
        return f"the session bought {owned} {base} and {left} is left to sell; sell_holdings allows selling more"
    return ""


def _is_limited_sale(context: RiskContext) -> bool:
    is_spot_sale = context.order.side is Side.SELL and not context.instrument.contract
    return is_spot_sale and not context.limits.sell_holdings


RULES = (RiskRule(reject_reason, name="sellable", applies_to=_is_limited_sale),)
