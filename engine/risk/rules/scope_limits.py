"""A strategy's orders stay within its own limits, and open orders within those of the account and the portfolio.

The limits of an instrument replace those of the session for it (SessionContext.limits_of): limits.py checks them.
"""

from collections.abc import Callable
from decimal import Decimal

from engine.money import ZERO
from engine.risk.context import RiskAnswer, RiskContext, RiskRule, answer_of, passed
from engine.risk.open_quantity import open_quantity
from engine.risk_settings import NO_LIMITS
from engine.session_record import RiskSettings


def strategy_order_size(context: RiskContext) -> str | RiskAnswer:
    """Return why the order is larger than its strategy may place, or ""."""
    limits, quantity = context.limits.strategy.get(context.strategy, NO_LIMITS), context.order.quantity
    size_max, notional_max = limits.order_size_max, limits.order_notional_max
    notional = context.terms.notional(quantity, context.worst_price)
    size = RiskAnswer("", "strategy.order_size_max", (ZERO, size_max, quantity))
    value = RiskAnswer("", "strategy.order_notional_max", (ZERO, notional_max, notional))
    if size_max and quantity > size_max:
        return size._replace(reason=f"quantity {quantity} is above order_size_max {size_max} of {context.strategy}")
    if notional_max and notional > notional_max:
        return value._replace(
            reason=f"notional {notional} is above order_notional_max {notional_max} of {context.strategy}"
        )
    return passed(*(answer for answer in (size, value) if answer.figure[1]))


def strategy_position(context: RiskContext) -> str | RiskAnswer:
    """Return why the strategy's position could exceed its limit, or "". Its open orders count as filled."""
    strategy, instrument, side = context.strategy, context.order.instrument, context.order.side
    limit = context.limits.strategy.get(strategy, NO_LIMITS).position_max
    if not limit:
        return ""
    under_way = open_quantity(context.account.orders, instrument, side, strategy)
    used = context.account.positions.get(strategy, instrument).quantity * side.sign + under_way
    worst = used + context.order.quantity
    reason = ""
    if worst > limit:
        reason = f"position of {strategy} could reach {worst * side.sign}, beyond its position_max {limit}"
    return answer_of((reason, "strategy.position_max", (used, limit, worst)))


def strategy_open_orders(context: RiskContext) -> str | RiskAnswer:
    """Return why the strategy may have no further open order, or "". All its instruments count."""
    strategy = context.strategy
    limit = context.limits.strategy.get(strategy, NO_LIMITS).open_orders_max
    if not limit:
        return ""
    count = context.account.orders.index.count_of_strategy(strategy)
    worst = count + 1 + context.linked
    reason = f"{count} orders of {strategy} are open, its open_orders_max is {limit}" if worst > limit else ""
    return answer_of((reason, "strategy.open_orders_max", (Decimal(count), Decimal(limit), Decimal(worst))))


def account_open_orders(context: RiskContext) -> str | RiskAnswer:
    """Return why the account at the order's venue may have no further open order, or "". Adopted orders count."""
    limit, venue = context.limits.account.open_orders_max, context.instrument.venue
    if not limit:
        return ""
    count = context.account.orders.index.count_at(venue)
    worst = count + 1 + context.linked
    reason = f"{count} orders are open in the account, account.open_orders_max is {limit}" if worst > limit else ""
    return answer_of((reason, "account.open_orders_max", (Decimal(count), Decimal(limit), Decimal(worst))))


def portfolio_open_orders(context: RiskContext) -> str | RiskAnswer:
    """Return why no account may have a further open order, or "". Adopted orders count."""
    limit, count = context.limits.portfolio.open_orders_max, len(context.account.orders.live)
    if not limit:
        return ""
    worst = count + 1 + context.linked
    reason = f"{count} orders are open, portfolio.open_orders_max is {limit}" if worst > limit else ""
    return answer_of((reason, "portfolio.open_orders_max", (Decimal(count), Decimal(limit), Decimal(worst))))


def limited_by_strategy(*names: str) -> Callable[[RiskSettings], bool]:
    """Return a function that returns True if a strategy has one of these limits."""
    return lambda limits: any(getattr(scope, name) for scope in limits.strategy.values() for name in names)


RULES = (
    RiskRule(
        strategy_order_size,
        name="strategy_order_size",
        is_set=limited_by_strategy("order_size_max", "order_notional_max"),
    ),
    RiskRule(strategy_position, name="strategy_position", is_set=limited_by_strategy("position_max")),
    RiskRule(strategy_open_orders, name="strategy_open_orders", is_set=limited_by_strategy("open_orders_max")),
    RiskRule(
        account_open_orders, name="account_open_orders", is_set=lambda limits: bool(limits.account.open_orders_max)
    ),
    RiskRule(
        portfolio_open_orders,
        name="portfolio_open_orders",
        is_set=lambda limits: bool(limits.portfolio.open_orders_max),
    ),
)
