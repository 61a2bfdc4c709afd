"""TWAP: equal slices at equal times, each immediate or cancel; the rest of one joins the next."""

from engine.execution.plans.seen import (
    MILLISECOND_NS,
    NOTHING,
    PlanMove,
    Seen,
    cancellable,
    is_beyond,
    is_too_small,
    limit_order,
    lots,
)
from engine.model import TimeInForce
from engine.plan_terms import Twap
from engine.rounding import taking_price


def advance(seen: Seen) -> PlanMove:
    """Return the next move. `count` is the number of slices whose time has come."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Twap)
    filled = seen.filled(terms.side)
    if seen.live:
        if seen.is_due():  # an immediate order whose answer is late: it must end before the next
            return PlanMove(cancel=cancellable(seen.live), next_ns=seen.time_ns + terms.every_ms * MILLISECOND_NS)
        return NOTHING
    if plan.count >= terms.slices or not lots(seen, terms.quantity - filled):
        return PlanMove(ended="filled" if filled >= terms.quantity else f"{terms.quantity - filled} is not filled")
    if plan.count and not seen.is_due():
        return NOTHING if plan.next_ns else PlanMove(next_ns=seen.time_ns + terms.every_ms * MILLISECOND_NS)
    due = terms.quantity * (plan.count + 1) / terms.slices - filled
    quantity = lots(seen, due)
    next_ns = seen.time_ns + terms.every_ms * MILLISECOND_NS
    touch = seen.far_touch(terms.side)
    if not quantity or not touch:
        return PlanMove(counted=plan.count + 1, next_ns=next_ns)
    price = taking_price(touch * (1 + terms.side.sign * terms.slippage_max), seen.instrument, terms.side)
    if is_beyond(price, terms.worst_price, terms.side):
        price = terms.worst_price
    if is_too_small(seen, quantity, price):
        return PlanMove(counted=plan.count + 1, next_ns=next_ns)  # it joins the next slice
    order = limit_order(seen, terms.side, quantity, price, time_in_force=TimeInForce.IOC, reduce_only=terms.reduce_only)
    return PlanMove((order,), counted=plan.count + 1, next_ns=next_ns)
