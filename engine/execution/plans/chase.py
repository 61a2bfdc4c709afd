"""A chase: a limit order that follows the touch. Each replacement has the size that the fills leave."""

from decimal import Decimal

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
    market_order,
)
from engine.facts import PlanPhase
from engine.money import ZERO
from engine.plan_terms import Chase, MarketLimits
from engine.rounding import resting_price
from journal.record import plain


def advance(seen: Seen) -> PlanMove:
    """Return the next move: place, wait, cancel for a replacement, or end.

    `count` is the number of orders placed. An order is replaced only after its cancel is final and its fills are known,
    so two orders of the plan never rest at a time.
    """
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Chase)
    left = lots(seen, terms.quantity - seen.filled(terms.side))
    price = _price(seen, terms)
    if seen.live:
        is_spent = plan.count > terms.replacements_max
        is_off = price is not None and any(order.order.price != price for order in seen.live)
        is_replaced = seen.is_due() and (is_off or is_spent)
        if plan.phase is not PlanPhase.CANCELLING and is_replaced and seen.replace_from_ns:
            return PlanMove(next_ns=seen.replace_from_ns)  # the order rests where it is until the budget is renewed
        if plan.phase is PlanPhase.CANCELLING or is_replaced:
            return PlanMove(cancel=cancellable(seen.live), phase=PlanPhase.CANCELLING, next_ns=0)
        return PlanMove(next_ns=_next(seen, terms)) if seen.is_due() else NOTHING
    if is_too_small(seen, left, price or ZERO):
        rest = terms.quantity - seen.filled(terms.side)
        text = f"{plain(rest)} is not filled: too small to order" if seen.retries else "the rest is too small to order"
        return PlanMove(ended="filled" if rest <= 0 else text)
    if plan.count > terms.replacements_max:
        return _finish(seen, terms, left)
    if plan.count and not seen.is_due() and plan.phase is not PlanPhase.CANCELLING:
        return (
            NOTHING if plan.next_ns else PlanMove(next_ns=_next(seen, terms))
        )  # the venue ended it: post-only, or a person
    if price is None:
        return PlanMove(phase=PlanPhase.WORKING, next_ns=_next(seen, terms))
    order = limit_order(seen, terms.side, left, price, order_type=terms.type, reduce_only=terms.reduce_only)
    return PlanMove((order,), phase=PlanPhase.WORKING, counted=plan.count + 1, next_ns=_next(seen, terms))


def _next(seen: Seen, terms: Chase) -> int:
    return seen.time_ns + terms.every_ms * MILLISECOND_NS


def _price(seen: Seen, terms: Chase) -> Decimal | None:
    """Return the price at which the order should rest now; None without a quote or beyond the worst price."""
    touch = seen.touch(terms.side)
    if not touch:
        return None
    price = resting_price(touch - terms.side.sign * terms.offset, seen.instrument, terms.side)
    if is_beyond(price, terms.worst_price, terms.side):
        return resting_price(terms.worst_price, seen.instrument, terms.side)
    return price


def _finish(seen: Seen, terms: Chase, left: Decimal) -> PlanMove:
    """Place the rest at market once, if the limits allow it; end otherwise."""
    if terms.market is None or seen.plan.phase is PlanPhase.EXITING:
        return PlanMove(ended=f"{left} is not filled after {terms.replacements_max} replacements")
    if reason := market_reason(seen, terms.market, left):
        return PlanMove(ended=f"{left} is not filled after {terms.replacements_max} replacements, and {reason}")
    order = market_order(seen, terms.side, left, reduce_only=terms.reduce_only)
    return PlanMove((order,), phase=PlanPhase.EXITING, next_ns=0)


def market_reason(seen: Seen, limits: MarketLimits, quantity: Decimal) -> str:
    """Return why no market order may be placed now, or ""."""
    side, bid, ask = seen.plan.terms.side, seen.bid, seen.ask
    if not bid or not ask:
        return "there is no quote"
    spread = (ask - bid) / bid
    if limits.spread_max and spread > limits.spread_max:
        return f"the spread {spread:.6f} is above {limits.spread_max}"
    touch = seen.far_touch(side)
    if limits.cost_max and touch * quantity > limits.cost_max:
        return f"it would cost {touch * quantity:f}, above {limits.cost_max}"
    if not limits.slippage_max and not limits.depth_min:
        return ""
    book = seen.read_book()
    if book is None:
        return "the book is not synchronised"
    levels = book.asks if side.sign > 0 else book.bids
    depth = levels[0][1] if levels else Decimal(0)
    if limits.depth_min and depth < limits.depth_min:
        return f"only {depth} is offered at the touch, less than {limits.depth_min}"
    cost, rest = Decimal(0), quantity
    for price, size in levels:
        part = min(rest, size)
        cost, rest = cost + part * price, rest - part
    slippage = (cost / quantity - touch) * side.sign / touch if not rest else None
    if limits.slippage_max and (slippage is None or slippage > limits.slippage_max):
        return "the book is too thin" if slippage is None else f"it would slip by {slippage:.6f}"
    return ""
