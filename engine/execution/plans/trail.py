"""A trailing stop that the engine holds: it follows the best price and closes at market when the market turns."""

from decimal import Decimal

from engine.execution.plans.seen import MILLISECOND_NS, NOTHING, PlanMove, Seen, lots, market_order
from engine.facts import PlanPhase
from engine.model import Side
from engine.money import ZERO
from engine.plan_terms import Trail

BASIS = Decimal(10_000)


def advance(seen: Seen) -> PlanMove:
    """Return the next move. `mark` is the best price since the activation: of the bid for a sale, the ask for a buy."""
    plan, terms = seen.plan, seen.plan.terms
    assert isinstance(terms, Trail)
    held = max(-seen.position * terms.side.sign, ZERO)
    filled = seen.filled(terms.side)
    quantity = lots(seen, min(terms.quantity - filled, held))
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


def _mark(mark: Decimal, price: Decimal, terms: Trail) -> Decimal:
    """Return the best price so far; 0 until the activation price is reached."""
    if not mark:
        is_active = not terms.activation_price or (price - terms.activation_price) * -terms.side.sign >= 0
        return price if is_active else ZERO
    return max(mark, price) if terms.side is Side.SELL else min(mark, price)


def _distance(mark: Decimal, terms: Trail) -> Decimal:
    return terms.amount or mark * terms.basis_points / BASIS
