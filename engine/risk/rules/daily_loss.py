"""The loss of the UTC day stays within the session's limit. engine/handlers/losses_of_day.py computes it."""

from engine.money import ZERO
from engine.risk.context import RiskContext, RiskRule


def daily_loss(context: RiskContext) -> str:
    """Return why the loss of the day forbids the order, or "". An order that only reduces a position is allowed."""
    return "" if not context.loss_reason or _reduces(context) else context.loss_reason


def _reduces(context: RiskContext) -> bool:
    """Return True if the order, with those of its strategy that are open on its side, at most closes the position."""
    order = context.order
    held = context.account.positions.get(context.strategy, order.instrument).quantity * order.side.sign
    open_quantity = sum(
        (
            other.leaves_quantity
            for other in context.account.orders.live.values()
            if (other.strategy, other.order.instrument, other.order.side)
            == (context.strategy, order.instrument, order.side)
        ),
        ZERO,
    )
    return held < 0 and open_quantity + order.quantity <= -held


RULES = (RiskRule(daily_loss, name="daily_loss", is_set=lambda limits: bool(limits.daily_loss_max)),)
