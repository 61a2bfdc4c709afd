"""A bracket: an entry, and a stop order at the venue for the filled part of it, until stop or target is reached.

An Oco is the same without the entry, for a position that exists.

Spot funds back one exit order at a time, so the engine watches the target: when it is reached, the stop is cancelled
and the position is closed at the target or better. If the market falls back meanwhile, the stop is placed again.
"""

from decimal import Decimal

from engine.execution.plans.seen import (
    MILLISECOND_NS,
    NOTHING,
    PlanMove,
    Seen,
    cancellable,
    limit_order,
    lots,
    market_order,
)
from engine.facts import NewOrder, PlanPhase
from engine.lifecycle import LIVE, Status
from engine.model import OrderType, Side, TimeInForce
from engine.money import ZERO
from engine.plan_terms import Bracket, Oco
from engine.rounding import taking_price
from engine.state.orders import Order

CHECK_NS = 100 * MILLISECOND_NS  # how often the target is compared, and the stop where the venue holds none


def advance(seen: Seen) -> PlanMove:
    """Return the next move. `count` is 1 once the entry was placed."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Bracket | Oco)
    if isinstance(terms, Bracket) and not plan.count:
        return PlanMove((_entry(seen, terms),), counted=1, next_ns=seen.time_ns + CHECK_NS)
    exit_side = terms.side if isinstance(terms, Oco) else _other(terms.side)
    entries = tuple(order for order in seen.live if order.order.side is not exit_side)
    exits = tuple(order for order in seen.live if order.order.side is exit_side)
    entered = terms.quantity if isinstance(terms, Oco) else seen.filled(terms.side)
    left = min(entered - seen.filled(exit_side), seen.position * -exit_side.sign)
    uncovered = lots(seen, left - sum((order.leaves_quantity for order in exits), ZERO))
    if not entries and not exits and not lots(seen, left):
        nothing = "there is no position to protect" if isinstance(terms, Oco) else "the entry is not filled"
        return PlanMove(ended="closed" if seen.filled(exit_side) else nothing)
    cancels = _late_entries(seen, terms, entries)
    if plan.phase is PlanPhase.EXITING:
        return _exit(seen, terms, exit_side, exits=exits, uncovered=uncovered, cancels=cancels)
    if uncovered and not _is_worth(seen, terms, uncovered, entries):
        uncovered = ZERO
    if _is_reached(seen, terms.target_price, exit_side, is_stop=False) or (
        not seen.has_stops and _is_reached(seen, terms.stop_price, exit_side, is_stop=True)
    ):
        return PlanMove(
            cancel=(*cancellable(entries), *cancellable(exits)), phase=PlanPhase.EXITING, next_ns=_next(seen)
        )
    if uncovered and _is_stop_refused(seen, exit_side):
        return PlanMove((market_order(seen, exit_side, uncovered, reduce_only=True),), cancels, next_ns=_next(seen))
    if uncovered and seen.has_stops:
        return PlanMove((_stop(seen, terms, exit_side, uncovered),), cancels, PlanPhase.PROTECTING, next_ns=_next(seen))
    return PlanMove(cancel=cancels, next_ns=_next(seen)) if cancels or seen.is_due() else NOTHING


def _next(seen: Seen) -> int:
    return seen.time_ns + CHECK_NS


def _entry(seen: Seen, terms: Bracket) -> NewOrder:
    if not terms.entry_price:
        return market_order(seen, terms.side, terms.quantity)
    return limit_order(seen, terms.side, terms.quantity, terms.entry_price)


def _stop(seen: Seen, terms: Bracket | Oco, side: Side, quantity: Decimal) -> NewOrder:
    return NewOrder(
        instrument=seen.instrument.id,
        side=side,
        type=OrderType.STOP,
        quantity=quantity,
        stop_price=terms.stop_price,
        reduce_only=True,
    )


def _is_stop_refused(seen: Seen, side: Side) -> bool:
    """Return True if the venue refused the newest stop: the market is beyond it, so the position is closed instead."""
    exits = [order for order in seen.orders if order.order.side is side]
    return bool(exits) and exits[-1].status is Status.REJECTED and exits[-1].order.terms.trigger is not None


def _late_entries(seen: Seen, terms: Bracket | Oco, entries: tuple[Order, ...]) -> tuple[Order, ...]:
    """Return the entry that waited for too long, to be cancelled."""
    if isinstance(terms, Oco):
        return ()
    ends_ns = seen.plan.started_ns + terms.entry_lasts_ms * MILLISECOND_NS
    return cancellable(entries) if terms.entry_lasts_ms and seen.time_ns >= ends_ns else ()


def _is_worth(seen: Seen, terms: Bracket | Oco, quantity: Decimal, entries: tuple[Order, ...]) -> bool:
    """Return True if a quantity can be protected: the venue takes it, and not each small fill of a living entry."""
    if terms.stop_price * quantity < seen.instrument.notional_min:
        return False
    return not entries or seen.is_due()


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _is_reached(seen: Seen, price: Decimal, exit_side: Side, *, is_stop: bool) -> bool:
    """Return True if the position could be closed at a target or better, or at a stop or worse."""
    now = seen.far_touch(exit_side)
    if not now:
        return False
    gain = (price - now) * exit_side.sign
    return gain <= 0 if is_stop else gain >= 0


def _exit(
    seen: Seen,
    terms: Bracket | Oco,
    side: Side,
    *,
    exits: tuple[Order, ...],
    uncovered: Decimal,
    cancels: tuple[Order, ...],
) -> PlanMove:
    """Close at the target once the stop has ended; go back to the stop if the market fell back meanwhile."""
    stops = tuple(order for order in exits if order.order.terms.trigger is not None and order.status in LIVE)
    if stops or exits:
        return PlanMove(cancel=(*cancels, *cancellable(stops)), next_ns=_next(seen)) if stops else NOTHING
    if not uncovered:
        return PlanMove(cancel=cancels, phase=PlanPhase.PROTECTING, next_ns=_next(seen))
    if not seen.has_stops and _is_reached(seen, terms.stop_price, side, is_stop=True):
        return PlanMove((market_order(seen, side, uncovered, reduce_only=True),), cancels, next_ns=_next(seen))
    if _is_reached(seen, terms.target_price, side, is_stop=False):
        price = taking_price(terms.target_price * (1 + side.sign * terms.exit_slippage_max), seen.instrument, side)
        order = limit_order(seen, side, uncovered, price, time_in_force=TimeInForce.IOC, reduce_only=True)
        return PlanMove((order,), cancels, next_ns=_next(seen))
    return PlanMove(cancel=cancels, phase=PlanPhase.PROTECTING, next_ns=_next(seen))
