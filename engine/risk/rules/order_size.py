"""One order stays within the session's limits of quantity and notional."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the order is larger than the session's limits allow, or ""."""
    limits, quantity = context.limits, context.order.quantity
    if limits.order_size_max and quantity > limits.order_size_max:
        return f"quantity {quantity} is above order_size_max {limits.order_size_max}"
    notional = context.worst_price * quantity
    if limits.order_notional_max and notional > limits.order_notional_max:
        return f"notional {notional} is above order_notional_max {limits.order_notional_max}"
    return ""


RULE = RiskRule(reject_reason, name="order_size")
