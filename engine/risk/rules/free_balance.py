"""Free funds cover the order, less what other orders will lock that the last balance report cannot contain yet."""

from decimal import Decimal

from engine.lifecycle import LIVE, Status
from engine.money import ZERO
from engine.risk.context import RiskAnswer, RiskContext, RiskRule
from engine.state.linked_orders import fillable_orders
from engine.state.orders import Order


def balance(context: RiskContext) -> str | RiskAnswer:
    """Return why the free balance does not cover the order, or ""."""
    instrument = context.instrument
    if instrument.contract:
        return ""  # margin is not funds: the venue decides what an account may hold
    lock = context.terms.locks(context.order.side, context.order.quantity, instrument, market_price=context.worst_price)
    assert lock is not None, "a market price was given"
    asset, needed = lock
    known = context.account.balances.get(asset)
    orders = fillable_orders(context.account.orders)
    promised = sum((_unreported_lock(order, asset, known.seq, context) for order in orders), ZERO)
    reason = ""
    if needed > known.free - promised:
        reason = f"needs {needed} {asset}; free {known.free}, promised to orders under way {promised}"
    return RiskAnswer(reason, f"free_{asset}", (promised, known.free, promised + needed))


def _unreported_lock(order: Order, asset: str, balance_seq: int, context: RiskContext) -> Decimal:
    """Return what an order locks of `asset` that the balance reported at `balance_seq` cannot contain yet."""
    if order.status not in LIVE or (order.status is not Status.PENDING and order.updated_seq < balance_seq):
        return ZERO
    instrument = context.instruments[order.order.instrument]
    # a market order locks what it was estimated to cost; earlier sessions did not record that
    market_price = order.order.market_price or (context.worst_price if instrument is context.instrument else None)
    lock = order.order.terms.locks(
        order.order.side,
        order.leaves_quantity,
        instrument,
        market_price=market_price,
        spent=order.filled_notional,
    )
    if lock is None:  # a market order of another instrument: it may cost all there is
        return context.account.balances.get(asset).free if asset == instrument.quote else ZERO
    return lock.amount if lock.asset == asset else ZERO


RULES = (RiskRule(balance, name="balance"),)
