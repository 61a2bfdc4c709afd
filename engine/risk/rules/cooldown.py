"""A strategy that cools down in an instrument opens no position there. engine/state/cooldowns.py keeps cool-downs."""

from engine.risk.context import RiskContext, RiskRule, always
from engine.risk.exits import only_reduces
from engine.session_record import SECOND_NS


def cooldown(context: RiskContext) -> str:
    """Return why the order must wait, or "". An order that only reduces a position is allowed."""
    cooldowns = context.account.cooldowns
    if not cooldowns.by_key:
        return ""
    reason = cooldowns.reason(context.strategy, context.order.instrument, context.time_ns)
    if not reason or only_reduces(context.account, context.strategy, context.order):
        return ""
    found = cooldowns.by_key[f"{context.strategy} {context.order.instrument}"]
    left_s = -(-(found.until_ns - context.time_ns) // SECOND_NS)
    return f"{context.strategy} cools down for another {left_s} s after {reason}"


RULES = (
    RiskRule(
        cooldown,
        name="cooldown",
        is_set=lambda limits: limits.cooldown.is_set,
        applies_to=always,  # a cool-down may outlast the limit
    ),
)
