"""Free funds cover the order, less what other orders will lock that the last balance report cannot contain yet."""

from decimal import Decimal

from engine.lifecycle import LIVE, Status
from engine.money import ZERO
from engine.risk.context import RiskAnswer, RiskContext, RiskRule, answer_of, is_spot
from engine.state.account_keys import asset_key
from engine.state.balances import Balance
from engine.state.linked_orders import fillable_together
from engine.state.orders import Order


def balance(context: RiskContext) -> str | RiskAnswer:
    """Return why the free balance does not cover the order, or ""."""
    instrument = context.instrument
    if instrument.contract:
        return ""  # margin is not funds: the venue decides what an account may hold
    lock = context.terms.locks(context.order.side, context.order.quantity, instrument, market_price=context.worst_price)
    assert lock is not None, "a market price was given"
    asset, needed = lock
    known = context.account.balances.get(asset, context.venue_key)
    orders = context.account.orders.index.unreported(known.seq)
    if context.account.orders.linked:
        orders = fillable_together(orders, context.account.orders.live)
    promised = sum([_unreported_lock(order, asset, known.seq, context) for order in orders], ZERO) if orders else ZERO
    free = known.free
    if context.limits.counts_fills and needed > free - promised:  # both read many records, and few orders need them
        free += _unreported_gain(context, asset, known) + _released(context, asset, known)
    reason = ""
    if needed > free - promised:
        reason = f"needs {needed} {asset}; free {free}, promised to orders under way {promised}"
    return answer_of((reason, f"free_{asset}", (promised, free, promised + needed)))


def _unreported_gain(context: RiskContext, asset: str, known: Balance) -> Decimal:
    """Return what fills brought that the last balance report cannot contain: it is older by record and by date.

    A venue sends the fill before the balance, so a strategy that protects its fill at once would lack what it bought.
    """
    ours = context.account.ledger.by_asset.get(asset_key(context.venue_key, asset))
    flows = () if ours is None else ours.recent
    gains = [flow.amount for flow in flows if flow.seq > known.seq and flow.date_ns > known.venue_ns]
    return max(sum(gains, ZERO), ZERO)


def _released(context: RiskContext, asset: str, known: Balance) -> Decimal:
    """Return what orders locked that have ended without it, where the last balance report still has it locked."""
    orders = context.account.orders
    held = {orders.live[name].list_id for name in orders.linked}  # the rest of a list keeps its lock
    ended = [
        order
        for order in orders.closed.values()
        if order.status in (Status.CANCELED, Status.EXPIRED)
        and order.request_seq < known.seq < order.updated_seq
        and not known.venue_ns >= order.venue_ns > 0
        and order.list_id not in held
    ]
    locks = [
        lock.amount
        for order in (fillable_together(ended, orders.live) if ended else ())
        if (instrument := context.instruments.get(order.order.instrument)) is not None
        and instrument.venue == context.instrument.venue
        and (left := order.order.quantity - max(order.filled_quantity, order.filled_reported)) > 0
        and (lock := order.order.terms.locks(order.order.side, left, instrument, market_price=order.order.market_price))
        and lock.asset == asset
    ]
    return min(sum(locks, ZERO), known.locked)


def _unreported_lock(order: Order, asset: str, balance_seq: int, context: RiskContext) -> Decimal:
    """Return what an order locks of `asset` that the balance reported at `balance_seq` cannot contain yet."""
    if order.status not in LIVE or (order.status is not Status.PENDING and order.updated_seq < balance_seq):
        return ZERO
    instrument = context.instruments[order.order.instrument]
    if asset not in (instrument.base, instrument.quote) or instrument.venue != context.instrument.venue:
        return ZERO
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
        return context.account.balances.get(asset, context.venue_key).free if asset == instrument.quote else ZERO
    return lock.amount if lock.asset == asset else ZERO


RULES = (RiskRule(balance, name="balance", applies_to=is_spot),)
