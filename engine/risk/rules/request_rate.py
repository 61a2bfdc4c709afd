"""New orders stay within the venue's rate limits and the session's own."""

from engine.risk.context import RiskContext, RiskRule
from engine.session_record import SECOND_NS
from engine.state.rate_budgets import orders_of_day


def reject_reason(context: RiskContext) -> str:
    """Return why no new order may be sent now, or ""."""
    venue, time_ns = context.instrument.venue, context.time_ns
    budget = context.account.limits.get(venue)
    if time_ns < budget.blocked_until_ns:
        return f"{venue} asked us to wait: {budget.reason}"
    if reason := context.account.order_blocks.reject_reason(venue, time_ns):
        return reason
    if reason := context.rates.reject_reason(budget, time_ns):
        return reason
    day_max = budget.rate_limits.orders_day_max
    if day_max and orders_of_day(budget, time_ns) >= day_max:
        return f"{orders_of_day(budget, time_ns)} unfilled orders this day, the venue allows {day_max}"
    limit = context.limits.orders_per_second_max
    if limit and budget.second == time_ns // SECOND_NS and budget.orders_in_second >= limit:
        return f"{budget.orders_in_second} orders within this second, orders_per_second_max is {limit}"
    return ""


RULE = RiskRule(reject_reason, name="rate")
