"""An order whose fate is unknown blocks its instrument: the same order must not be sent twice (scenarios S1, S5)."""

from engine.lifecycle import Status
from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why an order of unknown status forbids a new one, or ""."""
    for order in context.account.orders.live.values():
        if order.status is Status.UNKNOWN and order.order.instrument == context.order.instrument:
            return f"order {order.client_order_id} is unknown: it is being asked about"
    return ""


RULE = RiskRule(reject_reason, name="unknown_order")
