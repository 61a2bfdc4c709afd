"""Good till a time, and scaling: resting orders that are cancelled when their time is over."""

from engine.execution.plans.seen import MILLISECOND_NS, NOTHING, PlanMove, Seen, cancellable, limit_order
from engine.facts import PlanPhase
from engine.plan_terms import Level, Scale, Timed


def advance(seen: Seen) -> PlanMove:
    """Return the next move of a Timed or a Scale: place every order once, and cancel the rest at the end."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Timed | Scale)
    levels = terms.levels if isinstance(terms, Scale) else (Level(terms.price, terms.quantity),)
    if plan.count < len(levels):
        place = tuple(
            limit_order(
                seen, terms.side, level.quantity, level.price, order_type=terms.type, reduce_only=terms.reduce_only
            )
            for level in levels[plan.count :]
        )
        ends_ns = plan.started_ns + terms.lasts_ms * MILLISECOND_NS if terms.lasts_ms else 0
        return PlanMove(place, counted=len(levels), next_ns=ends_ns)
    if not seen.live:
        filled = seen.filled(terms.side)
        return PlanMove(ended="filled" if filled >= terms.quantity else f"{terms.quantity - filled} is not filled")
    if plan.phase is PlanPhase.CANCELLING or seen.is_due():
        return PlanMove(cancel=cancellable(seen.live), phase=PlanPhase.CANCELLING, next_ns=0)
    return NOTHING
