"""A new order stays within the session's limits and within the venue's limit of requests."""

from decimal import Decimal

from msgspec.structs import replace

from engine.money import ZERO
from engine.risk.context import RiskAnswer, RiskContext, RiskRule, always, answer_of, notional_of, passed
from engine.risk.open_quantity import open_quantity
from engine.session_record import SECOND_NS, RiskSettings


def order_size(context: RiskContext) -> str | RiskAnswer:
    """Return why the order is larger than the session's limits allow, or ""."""
    size_max, notional_max = context.limits.order_size_max, context.limits.order_notional_max
    quantity = context.order.quantity
    notional = notional_of(context, context.worst_price)
    size = answer_of(("", "order_size_max", (ZERO, size_max, quantity)))
    value = answer_of(("", "order_notional_max", (ZERO, notional_max, notional)))
    if size_max and quantity > size_max:
        return size._replace(reason=f"quantity {quantity} is above order_size_max {size_max}")
    if notional_max and notional > notional_max:
        return value._replace(reason=f"notional {notional} is above order_notional_max {notional_max}")
    return passed(*[answer for answer in (size, value) if answer.figure[1]])


def has_order_size(limits: RiskSettings) -> bool:
    """Return True if an order's size or notional is limited."""
    return bool(limits.order_size_max or limits.order_notional_max)


def position(context: RiskContext) -> str | RiskAnswer:
    """Return why the position, all strategies together, could exceed its limit, or "". Open orders count as filled."""
    limit = context.limits.position_max
    if not limit:
        return ""
    instrument, side = context.order.instrument, context.order.side
    orders, held = context.account.orders, context.account.positions.net(instrument) * side.sign
    is_counted = orders.linked or orders.missing_fills
    under_way = open_quantity(orders, instrument, side) if is_counted else orders.index.leaves(instrument, side)
    used = held + under_way
    worst, reason = used + context.order.quantity, ""
    if worst > limit:  # the text has the digits of the orders
        shown = held + open_quantity(orders, instrument, side) + context.order.quantity
        reason = f"position could reach {shown * side.sign}, beyond position_max {limit}"
    return answer_of((reason, "position_max", (used, limit, worst)))


def open_orders(context: RiskContext) -> str | RiskAnswer:
    """Return why no further order may be open, or "". Orders of other programs count only in older sessions."""
    limit, instrument = context.limits.open_orders_max, context.order.instrument
    count = context.account.orders.index.count(instrument, own_only=context.safeguards.own_open_orders)
    worst = count + 1 + context.linked
    reason = f"{count} orders are open, open_orders_max is {limit}" if limit and worst > limit else ""
    return answer_of((reason, "open_orders_max", (Decimal(count), Decimal(limit), Decimal(worst))))


def rate(context: RiskContext) -> str | RiskAnswer:
    """Return why no new order may be sent now, or ""."""
    venue, time_ns = context.instrument.venue, context.time_ns
    budget = context.account.limits.get(venue)
    if time_ns < budget.blocked_until_ns:
        return f"{venue} asked us to wait: {budget.reason}"
    sent = replace(budget, orders=budget.orders + context.linked) if context.linked else budget
    if reason := context.rates.reject_reason(sent, time_ns):
        return reason
    limit = context.limits.orders_per_second_max
    if not limit:
        return ""
    count = budget.orders_in_second if budget.second == time_ns // SECOND_NS else 0
    worst = count + 1 + context.linked
    reason = f"{count} orders within this second, orders_per_second_max is {limit}" if worst > limit else ""
    return answer_of((reason, "orders_per_second_max", (Decimal(count), Decimal(limit), Decimal(worst))))


RULES = (
    RiskRule(order_size, name="order_size", is_set=has_order_size),
    RiskRule(position, name="position", is_set=lambda limits: bool(limits.position_max)),
    RiskRule(  # an instrument without the limit has the figure too
        open_orders, name="open_orders", is_set=lambda limits: bool(limits.open_orders_max), applies_to=always
    ),
    RiskRule(rate, name="rate"),
)
