"""The number of open orders of an instrument stays within the session's limit, other programs' orders included."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why no further order may be open, or ""."""
    limit, instrument = context.limits.open_orders_max, context.order.instrument
    count = sum(1 for order in context.account.orders.live.values() if order.order.instrument == instrument)
    return f"{count} orders are open, open_orders_max is {limit}" if limit and count >= limit else ""


RULE = RiskRule(reject_reason, name="open_orders")
