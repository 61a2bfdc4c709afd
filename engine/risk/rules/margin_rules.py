"""Orders of contracts: margin that covers them, positions of hedge mode, and stops that close all that is held.

Nothing is known of the margin of a contract whose venue does not state its leverage, as on paper.
"""

from decimal import Decimal
from functools import partial

from engine import contracts
from engine.model import Instrument, OrderTerm
from engine.money import ZERO
from engine.order_terms import Terms
from engine.risk.context import RiskAnswer, RiskContext, RiskRule, answer_of, is_contract
from engine.risk.worst_case import Exposure, Scope, add, exposures, gross, order_worth
from engine.state.account_keys import asset_key


def margin(context: RiskContext) -> str | RiskAnswer:
    """Return why the account's margin does not cover its positions and open orders with this one, or ""."""
    instrument, order = context.instrument, context.order
    if not instrument.contract or not context.account.margins.get(instrument.id).leverage:
        return ""
    asset = _margin_asset(instrument)
    value = partial(_margin_of, context, asset)
    found = exposures(context, Scope(venue=instrument.venue), value)
    before = gross(found)
    if not order.closes_position:
        add(found.setdefault(instrument.id, Exposure()), order.side, order_worth(context, value))
    after = gross(found)
    balance = _margin_balance(context, asset)
    reason = ""
    if before < after and after > balance:
        reason = f"needs {after} {asset} of margin with all that is open; the account has {balance}"
    return answer_of((reason, f"margin_{asset}", (before, balance, after)))


def _margin_asset(instrument: Instrument) -> str:
    return instrument.margin or contracts.asset_of(instrument)


def _margin_of(
    context: RiskContext, asset: str, instrument: Instrument, quantity: Decimal, price: Decimal
) -> Decimal | None:
    """Return the initial margin of a quantity; None if its contract settles in another asset."""
    leverage = context.account.margins.get(instrument.id).leverage
    if not instrument.contract or not leverage or _margin_asset(instrument) != asset:
        return None
    return contracts.worth(instrument, quantity, price) / leverage


def _margin_balance(context: RiskContext, asset: str) -> Decimal:
    """Return the wallet by our records, and the open P&L of its contracts at the last mids."""
    key = asset_key(context.venue_key, asset)
    ledger = context.account.ledger.by_asset.get(key)
    found = context.account.balances.get(key).total if ledger is None else ledger.expected
    for position in context.account.positions.by_key.values():
        instrument = context.instruments.get(position.instrument)
        mid = ZERO if instrument is None else context.mid_of(instrument.id)
        if instrument is not None and instrument.contract and _margin_asset(instrument) == asset and mid:
            found += contracts.gain(instrument, position.quantity, position.price_avg, mid)
    return found


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
    RiskRule(margin, name="margin", applies_to=is_contract),
    RiskRule(hedge, name="hedge", applies_to=is_contract),
    RiskRule(close_position, name="close_position", of_term="closes_position"),
)
