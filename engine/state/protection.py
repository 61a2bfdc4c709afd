"""The protection of a plan's position: by a stop at the venue, or by the engine alone."""

from collections.abc import Mapping
from enum import StrEnum

from engine.lifecycle import Status
from engine.state.execution_plans import ExecutionPlan
from engine.state.orders import Order

HELD = frozenset({Status.OPEN, Status.TRIGGERED, Status.PARTIALLY_FILLED})


class ProtectedBy(StrEnum):
    """The holder of a stop."""

    VENUE = "venue"  # a stop order rests there: it works while the engine is down
    ENGINE = "engine"  # nothing works while the engine is down


def protected_by(plan: ExecutionPlan, live: Mapping[str, Order]) -> ProtectedBy | None:
    """Return who protects the position of a plan now; None for a plan that protects none.

    Args:
        plan: The plan.
        live: The live orders of the account, by client order id.

    """
    if not plan.terms.protects:
        return None
    is_held = any(name in live and holds_stop(live[name], live) for name in plan.orders)
    return ProtectedBy.VENUE if is_held else ProtectedBy.ENGINE


def holds_stop(order: Order, live: Mapping[str, Order]) -> bool:
    """Return True for a stop order that rests at the venue. An exit that waits for its entry protects nothing yet.

    analysis/sql/orders.sql states the same rule.
    """
    return order.status in HELD and order.order.terms.trigger is not None and order.waits_for not in live
