"""The losses of the day stay within their limits. engine/handlers/losses_of_day.py computes them."""

from engine.money import ZERO
from engine.risk.context import RiskAnswer, RiskContext, RiskRule
from engine.risk.loss_limits import loss_limits
from engine.session_record import RiskSettings


def daily_loss(context: RiskContext) -> str | RiskAnswer:
    """Return why a loss of the day forbids the order, or "". An order that only reduces a position is allowed."""
    reason = "" if not context.loss_reason or _reduces(context) else context.loss_reason
    return RiskAnswer(reason, *context.loss_figure) if context.loss_figure else reason


def limits_losses(limits: RiskSettings) -> bool:
    """Return True if a loss of the day is limited."""
    return bool(loss_limits(limits, ("",)))


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


RULES = (RiskRule(daily_loss, name="daily_loss", is_set=limits_losses),)
