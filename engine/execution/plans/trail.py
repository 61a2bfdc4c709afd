"""A trailing stop: it follows the best price and closes at market when the market turns.

The venue holds it if it has such orders by basis points; otherwise the engine compares and closes. After a refusal that
passes, the engine compares until the venue holds the stop again, and then until the market is at its best price again:
the venue begins to follow at the price of that moment.
"""

from decimal import Decimal

from engine.execution.plans.seen import (
    MILLISECOND_NS,
    NOTHING,
    PlanMove,
    Seen,
    cancellable,
    end_text,
    is_too_small,
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
from engine.state.protection import HELD


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
        return _cancel_stops(seen, next_ns) if plan.phase is PlanPhase.EXITING and seen.retries else NOTHING
    price = seen.far_touch(terms.side)
    is_exiting = plan.phase is PlanPhase.EXITING
    if is_too_small(seen, quantity, price if is_exiting else ZERO):
        return PlanMove(ended=_end_text(seen, terms, held))
    if is_exiting:  # an exit that did not fill whole is repeated
        return PlanMove((market_order(seen, terms.side, quantity, reduce_only=True),), next_ns=next_ns)
    if not price or (plan.next_ns and not seen.is_due()):
        return NOTHING if plan.next_ns else PlanMove(next_ns=next_ns)
    mark = _mark(plan.mark, price, terms)
    if _has_turned(mark, price, terms):
        if is_too_small(seen, quantity, price):
            return PlanMove(ended=_end_text(seen, terms, held))
        order = market_order(seen, terms.side, quantity, reduce_only=True)
        return PlanMove((order,), phase=PlanPhase.EXITING, mark=mark, next_ns=next_ns)
    return PlanMove(mark=mark, next_ns=next_ns)


def _has_turned(mark: Decimal, price: Decimal, terms: Trail) -> bool:
    return bool(mark) and (mark - price) * -terms.side.sign >= _distance(mark, terms)


def _end_text(seen: Seen, terms: Trail, held: Decimal) -> str:
    left = min(terms.quantity - seen.filled(terms.side), held)
    return end_text(seen, terms.side, left, "there is no position to protect")


def _cancel_stops(seen: Seen, next_ns: int) -> PlanMove:
    """Cancel the stop at the venue before the engine closes the position."""
    stops = cancellable(tuple(order for order in seen.live if order.order.terms.trigger is not None))
    return PlanMove(cancel=stops, next_ns=next_ns) if stops and seen.is_due() else PlanMove(cancel=stops)


def _is_held_by_venue(seen: Seen, terms: Trail) -> bool:
    """Return True if the venue holds the stop, or may: it refused none for a reason that stays.

    A plan that the engine closes, or followed in an older session, stays with the engine.
    """
    bounds = seen.instrument
    return (
        seen.has_trailing
        and max(bounds.trailing_delta_min, 1) <= terms.basis_points <= (bounds.trailing_delta_max or terms.basis_points)
        and (not seen.plan.mark or (seen.retries and seen.plan.phase is PlanPhase.PROTECTING))
        and seen.plan.phase is not PlanPhase.EXITING
        and not any(order.status is Status.REJECTED and not order.is_temporary for order in seen.orders)
    )


def _advance_at_venue(seen: Seen, terms: Trail, quantity: Decimal) -> PlanMove:
    """Keep a trailing stop at the venue that covers the position: no more and no less."""
    live, price = seen.live, seen.far_touch(terms.side)
    if not live and is_too_small(seen, quantity, price):
        held = max(-seen.position * terms.side.sign, ZERO)
        return PlanMove(ended=_end_text(seen, terms, held))
    if seen.retries and price and (seen.plan.mark or seen.retry_ns):
        follow = _follow(seen, terms, price)
        if follow.phase is PlanPhase.EXITING:
            return follow
        move = _cover(seen, terms, quantity, price)
        if not move.place and not move.cancel:
            return follow._replace(is_waiting=move.is_waiting)
        return move._replace(mark=follow.mark, next_ns=follow.next_ns)
    return _cover(seen, terms, quantity, price)


def _follow(seen: Seen, terms: Trail, price: Decimal) -> PlanMove:
    """Compare the price while the venue holds no stop, or one that began to follow too late.

    It is over when the stop at the venue covers the position and the market is at its best price again.
    """
    known = seen.plan.mark
    next_ns = seen.time_ns + terms.check_ms * MILLISECOND_NS
    if seen.plan.next_ns and not seen.is_due():
        return NOTHING
    mark = _mark(known, price, terms)
    if _has_turned(mark, price, terms):
        return PlanMove(cancel=cancellable(seen.live), phase=PlanPhase.EXITING, mark=mark, next_ns=next_ns)
    held = max(-seen.position * terms.side.sign, ZERO)
    left = min(terms.quantity - seen.filled(terms.side), held)
    is_held = all(order.status in HELD for order in seen.live)
    covered = sum((order.leaves_quantity for order in seen.live), ZERO)
    if is_held and not lots(seen, left - covered) and mark == price:
        return PlanMove(phase=PlanPhase.PROTECTING, mark=ZERO, next_ns=0)
    return PlanMove(phase=PlanPhase.PROTECTING, mark=mark, next_ns=next_ns)


def _cover(seen: Seen, terms: Trail, quantity: Decimal, price: Decimal) -> PlanMove:
    """Place or cancel so that the stop at the venue covers the position."""
    live = seen.live
    if any(order.status not in LIVE for order in live):
        return NOTHING  # fills are missing: the position is not yet what they leave
    covered = sum((order.leaves_quantity for order in live), ZERO)
    if covered > quantity:
        return PlanMove(cancel=cancellable(live)) if cancellable(live) else NOTHING
    uncovered = lots(seen, quantity - covered)
    if not uncovered:
        return NOTHING
    if seen.is_waiting():
        return PlanMove(is_waiting=True)
    if _has_run_dry(seen.orders):
        order = market_order(seen, terms.side, uncovered, reduce_only=True)
        next_ns = seen.time_ns + terms.check_ms * MILLISECOND_NS
        return PlanMove((order,), phase=PlanPhase.EXITING, next_ns=next_ns)
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
