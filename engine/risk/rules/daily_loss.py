"""The losses of the day stay within their limits. engine/handlers/losses_of_day.py computes them."""

from engine.risk.context import RiskAnswer, RiskContext, RiskRule, always, answer_of
from engine.risk.exits import only_reduces
from engine.risk.loss_limits import loss_limits
from engine.session_record import RiskSettings


def daily_loss(context: RiskContext) -> str | RiskAnswer:
    """Return why a loss of the day forbids the order, or "". An order that only reduces a position is allowed."""
    reason = (
        ""
        if not context.loss_reason or only_reduces(context.account, context.strategy, context.order)
        else context.loss_reason
    )
    return answer_of((reason, *context.loss_figure)) if context.loss_figure else reason


def limits_losses(limits: RiskSettings) -> bool:
    """Return True if a loss of the day is limited."""
    return bool(loss_limits(limits, ("",)))


RULES = (RiskRule(daily_loss, name="daily_loss", is_set=limits_losses, applies_to=always),)  # losses may outlast it
