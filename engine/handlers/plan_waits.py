"""The waits of execution plans after refusals, by the venue or by risk: longer after each one in a row.

Since order_rules 3 a plan that protects a position compares the price while its stop waits. An order at market
waits after refused orders at market alone, and a limit order after refused limit orders.
"""

from enum import Enum
from itertools import takewhile

from engine.execution.plans.seen import MILLISECOND_NS, PlanMove, Seen
from engine.execution.plans.timed import refused_orders
from engine.facts import NewOrder, PlanPhase
from engine.lifecycle import Status
from engine.model import OrderType, TimeInForce
from engine.plan_terms import Scale, Timed
from engine.session_record import REFUSAL_RULES, SECOND_NS
from engine.state.execution_plans import ExecutionPlan
from engine.state.orders import Order
from engine.step_context import StepContext

WAIT_NS_MAX = 30 * SECOND_NS  # between two orders that are refused again and again
CHECK_NS = 100 * MILLISECOND_NS  # how often a plan compares the price while its stop waits


class _Kind(Enum):
    """Kinds of orders that wait apart from each other."""

    STOP = 1  # alone, or a list with one
    LIMIT = 2
    MARKET = 3


def growing_wait_ns(refusals: int) -> int:
    """Return the wait after so many refusals in a row."""
    return min(SECOND_NS << min(refusals - 1, 10), WAIT_NS_MAX)


def is_watching(step: StepContext, plan: ExecutionPlan) -> bool:
    """Return True for a plan that compares the price while its stop waits."""
    return plan.terms.protects and step.settings.order_rules >= REFUSAL_RULES


def retry_ns(step: StepContext, plan: ExecutionPlan, orders: tuple[Order, ...]) -> int:
    """Return the time before which a plan that watches places no stop; 0: its last one was not refused."""
    if not is_watching(step, plan):
        return 0
    return max(plan.retry_ns, _venue_from_ns(plan, orders, _Kind.STOP))


def order_from_ns(step: StepContext, seen: Seen, order: NewOrder) -> int:
    """Return the time from which an order is placed after such orders were refused or found no offer; 0: now."""
    plan = seen.plan
    if is_watching(step, plan):
        kind = _kind(order)
        if kind is _Kind.STOP:
            return 0  # the plan itself waited with it
        from_ns = max(plan.retry_ns, _venue_from_ns(plan, seen.orders, kind))
        return from_ns if step.time_ns < from_ns else 0
    if plan.refusals and step.time_ns < plan.next_ns:
        return plan.next_ns
    if seen.rests_again and isinstance(plan.terms, Timed | Scale) and (refused := refused_orders(seen.orders)):
        from_ns = refused[-1].updated_ns + growing_wait_ns(len(refused))
        return from_ns if step.time_ns < from_ns else 0
    in_a_row = takewhile(lambda before: _is_futile(plan, before), reversed(seen.orders))
    futile = [before for before in in_a_row if before.order.type is order.type]
    if not futile:  # an order of another type is tried at once, as a market order after a stop that was refused
        return 0
    from_ns = futile[0].updated_ns + growing_wait_ns(len(futile))
    return from_ns if step.time_ns < from_ns else 0


def keeps_wait(step: StepContext, plan: ExecutionPlan, move: PlanMove) -> bool:
    """Return True if the wait stays as it is: the move places nothing and begins or ends no exit."""
    begins_or_ends = move.phase is not None and (move.phase is PlanPhase.EXITING) != (plan.phase is PlanPhase.EXITING)
    return is_watching(step, plan) and not move.place and not move.linked and not begins_or_ends


def _kind(order: NewOrder, list_id: str = "") -> _Kind:
    if order.type is OrderType.MARKET:
        return _Kind.MARKET
    return _Kind.STOP if list_id or order.terms.trigger is not None else _Kind.LIMIT


def _venue_from_ns(plan: ExecutionPlan, orders: tuple[Order, ...], kind: _Kind) -> int:
    """Return the time from which an order of a kind is placed; 0: the last one was not futile.

    The orders of a list count once. A stop and the market order in its place may be refused in turn: each has its wait.
    """
    requests, updated_ns = set[int](), 0
    for order in reversed(orders):
        if not _is_futile(plan, order) and order.status is not Status.NOT_PLACED:
            break
        if _kind(order.order, order.list_id) is kind:
            requests.add(order.request_seq)
            updated_ns = max(updated_ns, order.updated_ns)
    return updated_ns + growing_wait_ns(len(requests)) if requests else 0


def _is_futile(plan: ExecutionPlan, order: Order) -> bool:
    """Return True for an order that the venue refused, and for a market order or an exit that found no offer."""
    takes = order.order.type is OrderType.MARKET
    takes = takes or (plan.terms.protects and order.order.time_in_force is TimeInForce.IOC)
    is_empty = takes and order.status is Status.EXPIRED and not order.filled_reported
    return order.status is Status.REJECTED or is_empty
