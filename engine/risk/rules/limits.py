"""A new order stays within the session's limits and within the venue's limit of requests."""

from engine.money import ZERO
from engine.risk.context import RiskContext, RiskRule
from engine.session_record import SECOND_NS


def order_size(context: RiskContext) -> str:
    """Return why the order is larger than the session's limits allow, or ""."""
    limits, quantity = context.limits, context.order.quantity
    if limits.order_size_max and quantity > limits.order_size_max:
        return f"quantity {quantity} is above order_size_max {limits.order_size_max}"
    notional = context.worst_price * quantity
    if limits.order_notional_max and notional > limits.order_notional_max:
        return f"notional {notional} is above order_notional_max {limits.order_notional_max}"
    return ""


def position(context: RiskContext) -> str:
    """Return why the position, all strategies together, could exceed its limit, or "". Open orders count as filled."""
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


def open_orders(context: RiskContext) -> str:
    """Return why no further order may be open, or "". Orders of other programs count only in older sessions."""
    limit, instrument = context.limits.open_orders_max, context.order.instrument
    own_only = context.safeguards.own_open_orders
    count = sum(
        1
        for order in context.account.orders.live.values()
        if order.order.instrument == instrument and not (own_only and order.adopted)
    )
    return f"{count} orders are open, open_orders_max is {limit}" if limit and count >= limit else ""


def rate(context: RiskContext) -> str:
    """Return why no new order may be sent now, or ""."""
    venue, time_ns = context.instrument.venue, context.time_ns
    budget = context.account.limits.get(venue)
    if time_ns < budget.blocked_until_ns:
        return f"{venue} asked us to wait: {budget.reason}"
    if reason := context.rates.reject_reason(budget, time_ns):
        return reason
    limit = context.limits.orders_per_second_max
    if limit and budget.second == time_ns // SECOND_NS and budget.orders_in_second >= limit:
        return f"{budget.orders_in_second} orders within this second, orders_per_second_max is {limit}"
    return ""


RULES = (
    RiskRule(order_size, name="order_size"),
    RiskRule(position, name="position"),
    RiskRule(open_orders, name="open_orders"),
    RiskRule(rate, name="rate"),
)
