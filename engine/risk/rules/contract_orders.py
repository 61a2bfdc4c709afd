"""Orders of contracts: margin that covers them, positions of hedge mode, and stops that close all that is held.

Nothing is known of the margin of a contract whose venue does not state its leverage, as on paper.
"""

from decimal import Decimal

from engine import contracts
from engine.lifecycle import LIVE
from engine.model import Instrument, OrderTerm
from engine.money import ZERO
from engine.order_terms import Terms
from engine.risk.context import RiskAnswer, RiskContext, RiskRule
from engine.state.orders import Order


def margin(context: RiskContext) -> str | RiskAnswer:
    """Return why the free margin does not cover what the order opens, or ""."""
    instrument, order = context.instrument, context.order
    leverage = context.account.margins.get(instrument.id).leverage
    if not instrument.contract or not leverage or order.closes_position:
        return ""
    held = context.account.positions.net(instrument.id) * order.side.sign
    opened = max(order.quantity + min(held, ZERO), ZERO)
    needed = _margin(instrument, opened, context.worst_price, leverage)
    asset = instrument.margin or contracts.asset_of(instrument)
    known = context.account.balances.get(asset)
    promised = sum((_unreported(context, each, asset, known.seq) for each in context.account.orders.all()), ZERO)
    reason = ""
    if needed > known.free - promised:
        reason = f"needs {needed} {asset} of margin; free {known.free}, promised to orders under way {promised}"
    return RiskAnswer(reason, f"margin_{asset}", (promised, known.free, promised + needed))


def _margin(instrument: Instrument, quantity: Decimal, price: Decimal, leverage: Decimal) -> Decimal:
    if not quantity or price <= 0:
        return ZERO
    return contracts.worth(instrument, quantity, price) / leverage


def _unreported(context: RiskContext, order: Order, asset: str, seq: int) -> Decimal:
    """Return the margin of an order that the last report of the balance cannot contain: it was requested after it."""
    instrument = context.instruments.get(order.order.instrument)
    if instrument is None or order.request_seq < seq or order.order.reduce_only:
        return ZERO
    if not instrument.contract or (instrument.margin or contracts.asset_of(instrument)) != asset:
        return ZERO
    leverage = context.account.margins.get(instrument.id).leverage
    more = order.order.quantity if order.status in LIVE else order.filled_quantity
    price = order.order.terms.known_price or order.order.market_price or context.mid_of(instrument.id)
    return _margin(instrument, more, price, leverage) if leverage else ZERO


def hedge(context: RiskContext) -> str:
    """Return why the order would close a position and open the other one of hedge mode, or ""."""
    instrument, order = context.instrument, context.order
    if not instrument.contract or not context.account.margins.is_hedge(instrument.venue):
        return ""
    held = -context.account.positions.get(context.strategy, instrument.id).quantity * order.side.sign
    if held <= 0 or order.quantity <= held:
        return ""
    return f"hedge mode: quantity {order.quantity} is above the position {held} that it closes"


def close_position(context: RiskContext) -> str:
    """Return why the venue cannot close the whole position by the order, or ""."""
    if not context.order.closes_position:
        return ""
    instrument, terms = context.instrument, context.terms
    if context.venue_terms is not None and OrderTerm.CLOSE_POSITION not in context.venue_terms:
        return f"{instrument.symbol} has no orders that close a position at {instrument.venue}"
    if not _is_market_stop(terms):
        return f"a {terms.type} order cannot close a position: only a STOP or TAKE_PROFIT at market can"
    others = {
        each.strategy
        for each in context.account.positions.by_key.values()
        if each.instrument == instrument.id and each.quantity and each.strategy != context.strategy
    }
    return f"it would close the positions of {', '.join(sorted(others))} too" if others else ""


def _is_market_stop(terms: Terms) -> bool:
    return terms.trigger is not None and terms.price is None and not terms.trailing_delta


RULES = (
    RiskRule(margin, name="margin"),
    RiskRule(hedge, name="hedge"),
    RiskRule(close_position, name="close_position"),
)
