"""Flattening: close every position by market orders, each at most as large as the position that it closes.

Limits of a session that keep positions small must not keep one open, so only the venue's own rules apply here.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.bodies import IntentBody, IntentKind
from engine.facts import NewOrder, Position
from engine.handlers.intents import ApprovedIntent, emit_request, risk_context
from engine.model import Instrument, OrderType, Side
from engine.money import ZERO
from engine.risk.review import review
from engine.risk.rules import RULES
from engine.session_context import SessionContext
from engine.state.account_keys import asset_key
from engine.state.missing_fills import ended_with_missing_fills, missing_quantity
from engine.state.orders import EXTERNAL
from engine.state.safety_orders import SafetyOrder, position_name
from engine.step_context import StepContext
from journal.record import plain

FLATTEN_TRIES_MAX = 5  # orders for one position; a venue that refuses so many needs a person
_RULES = {name: RULES[name].reject_reason for name in ("lot", "notional_min", "trading")}


def flatten_positions(session: SessionContext, step: StepContext, order: SafetyOrder) -> tuple[bool, tuple[str, ...]]:
    """Place the orders that close positions. Nothing of ours is open or on its way when this is called.

    Returns:
        True if an order was placed or must wait, or fills are missing, and what cannot be closed.

    """
    is_waiting = False
    left: list[str] = []
    busy: set[str] = set()
    for key in sorted(step.account.positions.by_key):
        position = _with_missing_fills(step, step.account.positions.by_key[key])
        if not position.quantity or position.strategy == EXTERNAL:
            continue
        what = f"{plain(position.quantity)} {position.instrument} of strategy {position.strategy}"
        instrument = session.instruments.get(position.instrument)
        if instrument is None:
            left.append(f"{what} stays: the instrument is not of this session")
            continue
        if instrument.id in busy or _must_wait(session, step, position, instrument):
            is_waiting = True  # one order for an instrument at a time: they share a balance
            continue
        if abs(position.quantity) < instrument.lot_size:
            continue  # fees in the base asset leave such rests, and no venue takes an order for one
        reason = _close(session, step, order, position, instrument)
        if reason:
            left.append(f"{what} stays: {reason}")
        else:
            busy.add(instrument.id)
            is_waiting = True
    is_waiting = is_waiting or any(
        order.strategy != EXTERNAL and order.order.instrument in session.instruments
        for order in ended_with_missing_fills(step.account.orders)
    )
    return is_waiting, tuple(left)


def _with_missing_fills(step: StepContext, position: Position) -> Position:
    """Return a position as it will be when the fills are recorded that ended orders still miss."""
    orders = step.account.orders
    if not orders.missing_fills:
        return position
    missing = sum(
        (missing_quantity(orders, position.instrument, side, position.strategy) * side.sign for side in Side), ZERO
    )
    return replace(position, quantity=position.quantity + missing)


def _must_wait(session: SessionContext, step: StepContext, position: Position, instrument: Instrument) -> bool:
    """Return True if the venue's limits or the last try are against an order now, but not for long."""
    tries = step.account.safety.tries.get(position_name(position.strategy, instrument.id))
    if tries is not None and tries.count < FLATTEN_TRIES_MAX and step.time_ns < tries.next_ns():
        return True
    budget = step.account.limits.get(instrument.venue)
    is_blocked = step.time_ns < budget.blocked_until_ns
    return is_blocked or bool(session.venues[instrument.venue].rates.reject_reason(budget, step.time_ns))


def _close(
    session: SessionContext, step: StepContext, safety: SafetyOrder, position: Position, instrument: Instrument
) -> str:
    """Place the order that closes a position, and return "", or why it cannot be closed."""
    tries = step.account.safety.tries.get(position_name(position.strategy, instrument.id))
    if tries is not None and tries.count >= FLATTEN_TRIES_MAX:
        return f"{tries.count} orders did not close it"
    side = Side.SELL if position.quantity > 0 else Side.BUY
    quantity = _closable(step, position, instrument)
    if not quantity:
        return f"less than a lot ({plain(instrument.lot_size)}) can be closed"
    only_reduces = bool(instrument.contract) and session.venues[instrument.venue].capabilities.reduce_only
    order = NewOrder(instrument.id, side, OrderType.MARKET, quantity, reduce_only=only_reduces)
    quote = step.quote(session.indexes[instrument.id])
    context = risk_context(session, step, position.strategy, order, quote)
    rules = _RULES if quote else {name: rule for name, rule in _RULES.items() if name != "notional_min"}
    verdict, approved = review(context, rules)
    if approved is None:
        return "; ".join(reason for reason in verdict.rules.values() if reason)
    loaded = session.strategies.get(position.strategy)
    version = "" if loaded is None else loaded.settings.version
    order_id = session.venues[instrument.venue].order_ids.make(
        session=session.body.session, strategy=position.strategy, version=version, seq=step.next_seq, leg=0
    )
    rationale = {"safety_order": safety.number}
    intent = IntentBody(IntentKind.PLACE, position.strategy, version, order=order, rationale=rationale)
    seq = step.emit(intent, source="safety", key=order_id)
    seq = step.emit(verdict, source="risk", key=order_id, cause=seq)
    emit_request(session, step, ApprovedIntent(order_id, position.strategy, instrument, approved, seq))
    return ""


def _closable(step: StepContext, position: Position, instrument: Instrument) -> Decimal:
    """Return the largest quantity that closes no more than the position, and that spot balances cover."""
    quantity = abs(position.quantity)
    if not instrument.contract and position.quantity > 0:
        key = asset_key(step.account_of(instrument.venue), instrument.base)
        balance = step.account.balances.by_asset.get(key)
        quantity = min(quantity, ZERO if balance is None else balance.free)
    most = instrument.market_quantity_max or instrument.quantity_max
    if most:
        quantity = min(quantity, most)
    return quantity // instrument.lot_size * instrument.lot_size
