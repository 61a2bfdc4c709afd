"""A reduce-only order never exceeds what is left of the strategy's position, its orders under way counted."""

from engine.risk.context import RiskContext, RiskRule
from engine.risk.exits import reducible


def reject_reason(context: RiskContext) -> str:
    """Return why the order would not only reduce the position, or ""."""
    order = context.order
    if not order.reduce_only:
        return ""
    left = reducible(context.account, context.strategy, order.instrument, order.side)
    if not left:
        held = context.account.positions.get(context.strategy, order.instrument).quantity
        return f"nothing is left to reduce by a {order.side}: the position is {held}"
    return f"quantity {order.quantity} is above {left}, which is left to reduce" if order.quantity > left else ""


RULES = (RiskRule(reject_reason, name="reduce_only", of_term="reduce_only"),)
