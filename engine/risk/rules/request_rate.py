"""New orders stay within the venue's rate limits and the session's own."""

from engine.risk.context import RiskContext, RiskRule
from engine.session_record import SECOND_NS
from engine.state.rate_budgets import ORDER_WINDOW_NS


def reject_reason(context: RiskContext) -> str:
    venue, time_ns = context.instrument.venue, context.time_ns
    budget = context.account.limits.of(venue)
    if time_ns < budget.blocked_until_ns:
        return f"{venue} asked us to wait: {budget.reason}"
    if budget.spent(time_ns):
        return f"request weight {budget.weight} of {budget.allowance.weight_minute_max}: the rest is kept for cancels"
    orders_max = budget.allowance.orders_10s_max
    if budget.order_window == time_ns // ORDER_WINDOW_NS and budget.orders >= orders_max:
        return f"{budget.orders} orders within 10 s"
    limit = context.limits.orders_per_second_max
    if limit and budget.second == time_ns // SECOND_NS and budget.orders_in_second >= limit:
        return f"{budget.orders_in_second} orders within this second, orders_per_second_max is {limit}"
    return ""


RULE = RiskRule(reject_reason, name="rate")
