"""A trailing stop: it follows the best price and closes at market when the market turns.

The venue holds it if it has such orders by basis points; otherwise the engine compares and closes.
"""

from decimal import Decimal

from engine.execution.plans.seen import (
    MILLISECOND_NS,
    NOTHING,
    PlanMove,
    Seen,
    cancellable,
    lots,
    market_order,
)
from engine.facts import NewOrder, PlanPhase
from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side
from engine.money import ZERO
from engine.order_terms import BASIS
from engine.plan_terms import Trail
from engine.rounding import resting_price
from engine.state.orders import Order


def advance(seen: Seen) -> PlanMove:
    """Return the next move. `mark` is the best price since the activation: of the bid for a sale, the ask for a buy."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Trail)
    held = max(-seen.position * terms.side.sign, ZERO)
    filled = seen.filled(terms.side)
    quantity = lots(seen, min(terms.quantity - filled, held))
    if _is_held_by_venue(seen, terms):
        return _advance_at_venue(seen, terms, quantity)
    next_ns = seen.time_ns + terms.check_ms * MILLISECOND_NS
    if seen.live:
        return NOTHING
    if not quantity:
        return PlanMove(ended="closed" if filled else "there is no position to protect")
    price = seen.far_touch(terms.side)
    if plan.phase is PlanPhase.EXITING:  # an exit that did not fill whole is repeated
        return PlanMove((market_order(seen, terms.side, quantity, reduce_only=True),), next_ns=next_ns)
    if not price or (plan.next_ns and not seen.is_due()):
        return NOTHING if plan.next_ns else PlanMove(next_ns=next_ns)
    mark = _mark(plan.mark, price, terms)
    if mark and (mark - price) * -terms.side.sign >= _distance(mark, terms):
        order = market_order(seen, terms.side, quantity, reduce_only=True)
        return PlanMove((order,), phase=PlanPhase.EXITING, mark=mark, next_ns=next_ns)
    return PlanMove(mark=mark, next_ns=next_ns)


def _is_held_by_venue(seen: Seen, terms: Trail) -> bool:
    """Return True if the venue holds the stop. A plan that the engine follows or closes stays with the engine."""
    bounds = seen.instrument
    return (
        seen.has_trailing
        and max(bounds.trailing_delta_min, 1) <= terms.basis_points <= (bounds.trailing_delta_max or terms.basis_points)
        and not seen.plan.mark
        and seen.plan.phase is not PlanPhase.EXITING
        and not any(order.status is Status.REJECTED for order in seen.orders)
    )


def _advance_at_venue(seen: Seen, terms: Trail, quantity: Decimal) -> PlanMove:
    """Keep a trailing stop at the venue that covers exactly the position."""
    filled, live = seen.filled(terms.side), seen.live
    if not live and not quantity:
        return PlanMove(ended="closed" if filled else "there is no position to protect")
    if any(order.status not in LIVE for order in live):
        return NOTHING  # fills are missing: the position is not yet what they leave
    covered = sum((order.leaves_quantity for order in live), ZERO)
    if covered > quantity:
        return PlanMove(cancel=cancellable(live)) if cancellable(live) else NOTHING
    uncovered = lots(seen, quantity - covered)
    if not uncovered:
        return NOTHING
    if _has_run_dry(seen.orders):
        order = market_order(seen, terms.side, uncovered, reduce_only=True)
        next_ns = seen.time_ns + terms.check_ms * MILLISECOND_NS
        return PlanMove((order,), phase=PlanPhase.EXITING, next_ns=next_ns)
    price = seen.far_touch(terms.side)
    if not price:
        return NOTHING
    return PlanMove((_trailing_order(seen, terms, uncovered, price),), phase=PlanPhase.PROTECTING, next_ns=0)


def _has_run_dry(orders: tuple[Order, ...]) -> bool:
    """Return True if the newest stop was triggered and found too few offers: the rest is closed now."""
    return bool(orders) and orders[-1].status is Status.EXPIRED


def _trailing_order(seen: Seen, terms: Trail, quantity: Decimal, price: Decimal) -> NewOrder:
    """Return the order. Before its activation price it is a take-profit, which begins to follow there."""
    is_active = not terms.activation_price or (price - terms.activation_price) * -terms.side.sign >= 0
    return NewOrder(
        instrument=seen.instrument.id,
        side=terms.side,
        type=OrderType.STOP if is_active else OrderType.TAKE_PROFIT,
        quantity=quantity,
        stop_price=ZERO if is_active else resting_price(terms.activation_price, seen.instrument, terms.side),
        reduce_only=True,
        trailing_delta=terms.basis_points,
    )


def _mark(mark: Decimal, price: Decimal, terms: Trail) -> Decimal:
    """Return the best price so far; 0 until the activation price is reached."""
    if not mark:
        is_active = not terms.activation_price or (price - terms.activation_price) * -terms.side.sign >= 0
        return price if is_active else ZERO
    return max(mark, price) if terms.side is Side.SELL else min(mark, price)


def _distance(mark: Decimal, terms: Trail) -> Decimal:
    return terms.amount or mark * terms.basis_points / BASIS
