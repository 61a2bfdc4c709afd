"""Good till a time, and scaling: resting orders that are cancelled when their time is over.

Since order_rules 4 an order that the venue refuses for a reason that passes is placed again, AGAIN_MAX times a plan.
engine/handlers/plan_waits.py makes it wait longer each time.
"""

from collections.abc import Sequence

from engine.execution.plans.seen import NOTHING, PlanMove, Seen, cancellable, limit_order
from engine.facts import PlanPhase
from engine.lifecycle import Status
from engine.plan_terms import Level, Scale, Timed
from engine.state.orders import Order

AGAIN_MAX = 20


def advance(seen: Seen) -> PlanMove:
    """Return the next move of a Timed or a Scale: place every order once, and cancel the rest at the end."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Timed | Scale)
    levels = levels_of(terms)
    ends_ns = plan.ends_ns
    if plan.count < len(levels):
        place = tuple(
            limit_order(
                seen, terms.side, level.quantity, level.price, order_type=terms.type, reduce_only=terms.reduce_only
            )
            for level in levels[plan.count :]
        )
        return PlanMove(place, counted=len(levels), next_ns=ends_ns)
    is_over = 0 < ends_ns <= seen.time_ns if seen.rests_again else seen.is_due()
    is_over = is_over or plan.phase is PlanPhase.CANCELLING
    if seen.rests_again and not is_over and (refused := orders_to_repeat(seen.orders, len(levels))):
        again = tuple(
            limit_order(
                seen,
                terms.side,
                each.order.quantity,
                each.order.price,
                order_type=terms.type,
                reduce_only=terms.reduce_only,
            )
            for each in refused
        )
        return PlanMove(again, next_ns=ends_ns)
    if not seen.live:
        filled = seen.filled(terms.side)
        return PlanMove(ended="filled" if filled >= terms.quantity else f"{terms.quantity - filled} is not filled")
    if is_over:
        return PlanMove(cancel=cancellable(seen.live), phase=PlanPhase.CANCELLING, next_ns=0)
    return NOTHING


def levels_of(terms: Timed | Scale) -> tuple[Level, ...]:
    """Return the prices and quantities of the orders."""
    return terms.levels if isinstance(terms, Scale) else (Level(terms.price, terms.quantity),)


def refused_orders(orders: Sequence[Order]) -> list[Order]:
    """Return the orders that the venue refused for a reason that passes, in the order of their refusals."""
    refused = (order for order in orders if order.status is Status.REJECTED and order.is_temporary)
    return sorted(refused, key=lambda order: order.updated_ns)


def orders_to_repeat(orders: Sequence[Order], levels: int) -> list[Order]:
    """Return the refused orders that were not placed again yet, as far as the plan may.

    The first order of each level is followed by those that repeat one, in the order of the refusals. The wait before
    each keeps that order: all refusals that it repeats came before it.
    """
    repeated = max(len(orders) - levels, 0)
    return refused_orders(orders)[repeated:AGAIN_MAX]
