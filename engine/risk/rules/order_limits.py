"""New orders stay within the number that the venue allows. Request weight and our own limits: limits.py."""

from decimal import Decimal

from engine.risk.context import RiskAnswer, RiskContext, RiskRule, answer_of
from engine.state.rate_budgets import orders_of_day


def order_limit(context: RiskContext) -> str | RiskAnswer:
    """Return why the venue would refuse the order for the number of orders, or ""."""
    venue, time_ns = context.instrument.venue, context.time_ns
    if reason := context.account.order_blocks.reject_reason(venue, time_ns):
        return reason
    budget = context.account.limits.get(venue)
    limit, count = budget.rate_limits.orders_day_max, orders_of_day(budget, time_ns)
    if not limit:
        return ""
    worst = count + 1 + context.linked
    reason = f"{count} unfilled orders this day, the venue allows {limit}" if worst > limit else ""
    return answer_of((reason, "orders_day_max", (Decimal(count), Decimal(limit), Decimal(worst))))


RULES = (RiskRule(order_limit, name="order_limit"),)
