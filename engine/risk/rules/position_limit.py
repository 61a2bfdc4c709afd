"""The position stays within its limit even if this order and every open order of its side fill, over all strategies."""

from engine.money import ZERO
from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the position could exceed its limit, or ""."""
    limit = context.limits.position_max
    if not limit:
        return ""
    instrument, side = context.order.instrument, context.order.side
    open_quantity = sum(
        (
            order.leaves_quantity
            for order in context.account.orders.live.values()
            if order.order.instrument == instrument and order.order.side is side
        ),
        ZERO,
    )
    worst = context.account.positions.net(instrument) * side.sign + open_quantity + context.order.quantity
    return f"position could reach {worst * side.sign}, beyond position_max {limit}" if worst > limit else ""


RULE = RiskRule(reject_reason, name="position")
