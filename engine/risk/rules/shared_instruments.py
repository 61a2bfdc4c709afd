"""Strategies of a session that trade one instrument: whether they may, and that they never trade with each other."""

from engine.model import Side
from engine.risk.context import RiskContext, RiskRule
from engine.risk.exits import only_reduces
from engine.risk_settings import SelfTradeChoice, Sharing
from engine.state.orders import EXTERNAL


def shared_instrument(context: RiskContext) -> str:
    """Return why the strategy may not open a position beside another's, or "".

    `refuse`: another strategy has a position or a live order in the instrument. `net`: another's position or live order
    is on the opposite side, so both would only pay for a net of nothing.
    """
    sharing, own = context.limits.sharing, (context.strategy, EXTERNAL)
    if sharing is Sharing.ALLOW or only_reduces(context.account, context.strategy, context.order):
        return ""
    instrument, side = context.order.instrument, context.order.side
    for held in context.account.positions.by_key.values():
        if held.instrument == instrument and held.strategy not in own and held.quantity:
            if sharing is Sharing.REFUSE:
                return f"{held.strategy} has a position here, and risk.sharing is refuse"
            if held.quantity * side.sign < 0:
                return f"{held.strategy} has a position of {held.quantity} here, and risk.sharing is net"
    for order in context.account.orders.index.live_orders(instrument).values():
        if order.strategy not in own and not order.order.reduce_only:
            if sharing is Sharing.REFUSE:
                return f"{order.strategy} has order {order.client_order_id} here, and risk.sharing is refuse"
            if order.order.side is not side:
                return f"{order.strategy} has a {order.order.side} here, and risk.sharing is net"
    return ""


def self_trade(context: RiskContext) -> str:
    """Return why the order would trade with another strategy's order, or "". It counts at its worst price."""
    if context.limits.self_trade is SelfTradeChoice.ALLOW:
        return ""
    order, price, own = context.order, context.worst_price, (context.strategy, EXTERNAL)
    index = context.account.orders.index
    if not index.has_others(order.instrument, own):
        return ""
    for other in index.live_orders(order.instrument).values():
        resting = other.order
        if (
            other.strategy not in own
            and resting.side is not order.side
            and (resting_price := resting.terms.price) is not None
            and resting.terms.trigger is None
            and (price >= resting_price if order.side is Side.BUY else price <= resting_price)
        ):
            return f"it would trade with order {other.client_order_id} of {other.strategy} at {resting_price}"
    return ""


RULES = (
    RiskRule(
        shared_instrument,
        name="shared_instrument",
        is_set=lambda limits: limits.sharing is not Sharing.ALLOW,
    ),
    RiskRule(self_trade, name="self_trade", is_set=lambda limits: limits.self_trade is not SelfTradeChoice.ALLOW),
)
