"""Market orders at a venue that has none: limit orders IOC, bounded by a share of the far touch."""

from decimal import Decimal

from engine.model import OrderType, Side, TimeInForce
from engine.order_terms import LimitTerms, Terms
from engine.risk.context import RiskContext
from engine.rounding import resting_price


def far_touch(context: RiskContext) -> Decimal:
    """Return the price that a market order would meet, or that of the last trade; 0 if neither is known."""
    touch = context.ask if context.order.side is Side.BUY else context.bid
    return touch or context.last_of(context.instrument.id)


def sent_terms(context: RiskContext) -> Terms:
    """Return the terms of an order as the venue gets them: its own, unless a market order must be bounded."""
    if not context.market_bound or context.terms.type is not OrderType.MARKET:
        return context.terms
    side, touch = context.order.side, far_touch(context)
    price = resting_price(touch * (1 + side.sign * context.market_bound), context.instrument, side)
    return LimitTerms(price, TimeInForce.IOC)
