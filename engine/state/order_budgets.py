"""Budgets of orders: placements, cancels and replacements of this minute, by instrument and by strategy.

All that was requested counts, safety orders too. Minutes are those of session time. Carried over, because a restart
within the minute does not renew a budget.
"""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from engine.facts import BreakerScope
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from engine.state.breakers import key_of
from engine.state.changes import Change, Requested, Stamp
from engine.state.execution_plans import Plans
from engine.state.orders import Orders

MINUTE_NS = 60 * SECOND_NS


class BudgetKind(StrEnum):
    """Requests about orders that have a budget; the name of a limit is `KINDs_per_minute_max`."""

    PLACEMENT = "placement"
    CANCEL = "cancel"
    REPLACEMENT = "replacement"  # an amendment, or an order of a plan in place of its last one


class Spent(msgspec.Struct, frozen=True):
    """The requests of one instrument or strategy within a minute."""

    minute: int
    placement: int = 0
    cancel: int = 0
    replacement: int = 0


class OrderBudgets(msgspec.Struct, frozen=True):
    """The counts by "scope subject". Those of past minutes are dropped with the next request."""

    by_key: dict[str, Spent] = {}

    def used(self, kind: BudgetKind, scope: BreakerScope, subject: str, time_ns: int) -> int:
        """Return how many requests of a kind this minute has seen."""
        spent = self.by_key.get(key_of(scope, subject))
        return getattr(spent, kind) if spent is not None and spent.minute == time_ns // MINUTE_NS else 0


def renewed_ns(time_ns: int) -> int:
    """Return when the budgets begin again."""
    return (time_ns // MINUTE_NS + 1) * MINUTE_NS


def reduce(budgets: OrderBudgets, change: Change, at: Stamp, *, orders: Orders, plans: Plans) -> OrderBudgets:
    """Count a request.

    Args:
        budgets: The budgets.
        change: The change.
        at: The record that brings it.
        orders: The orders before the change.
        plans: The execution plans before the change.

    """
    if not isinstance(change, Requested):
        return budgets
    request = change.request
    strategy = request.strategy
    count = len(request.placed) or 1
    if request.placed:
        plan = plans.running.get(request.plan_id)
        is_replacement = plan is not None and plan.replaces_next
        kinds = (BudgetKind.PLACEMENT, *((BudgetKind.REPLACEMENT,) if is_replacement else ()))
    elif request.purpose in (Purpose.CANCEL, Purpose.AMEND):
        order = orders.get(request.client_order_id)
        strategy = "" if order is None else order.strategy
        kinds = (BudgetKind.CANCEL if request.purpose is Purpose.CANCEL else BudgetKind.REPLACEMENT,)
    else:
        return budgets
    minute = at.time_ns // MINUTE_NS
    found = {key: spent for key, spent in budgets.by_key.items() if spent.minute == minute}
    for scope, subject in ((BreakerScope.INSTRUMENT, request.instrument), (BreakerScope.STRATEGY, strategy)):
        key = key_of(scope, subject)
        spent = found.get(key, Spent(minute))
        found[key] = replace(spent, **{kind.value: getattr(spent, kind) + count for kind in kinds})
    return OrderBudgets(found)
