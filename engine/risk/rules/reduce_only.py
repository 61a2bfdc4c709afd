"""A reduce-only order never exceeds what is left of the strategy's position, its orders under way counted."""

from engine.risk.context import RiskContext, RiskRule
from engine.risk.exits import reducible


def reject_reason(context: RiskContext) -> str:
    """Return why the order would not only reduce the position, or ""."""
    order = context.order
    if not order.reduce_only:
        return ""
    left = reducible(context.account, context.strategy, order.instrument, order.side)
    held = context.account.positions.get(context.strategy, order.instrument).quantity
    if not order.quantity:
        return f"nothing to reduce: the position is {held}, and orders under way leave {left} of it"
    return f"quantity {order.quantity} is above {left}, which is left to reduce" if order.quantity > left else ""


RULE = RiskRule(reject_reason, name="reduce_only")
