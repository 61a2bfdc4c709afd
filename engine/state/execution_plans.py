"""Execution plans that run: terms, orders and progress of each. engine/execution/plans decides.

Invariants: an order belongs to one plan at most; a plan that has ended places nothing.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.facts import PlanEnded, PlanMoved, PlanPhase, PlanStarted
from engine.money import ZERO
from engine.plan_terms import PlanTerms, Scale, Timed
from engine.session_record import MILLISECOND_NS
from engine.state.changes import Change, Requested, Stamp

ENDED_MAX = 64  # plans that have ended and stay in state, for strategies to read


class ExecutionPlan(msgspec.Struct, frozen=True):
    """One execution plan that runs."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"retry_ns"})

    plan_id: str
    strategy: str
    version: str  # of the strategy
    terms: PlanTerms
    started_ns: int
    phase: PlanPhase = PlanPhase.WORKING
    orders: tuple[str, ...] = ()  # client order ids, oldest first
    count: int = 0  # of its replacements or slices
    mark: Decimal = ZERO  # best price of a trailing stop; 0: none yet
    next_ns: int = 0  # session time at which it acts without any other event; 0: never
    refusals: int = 0  # of its orders in a row
    retry_ns: int = 0  # before it, risk gets no further order of it (order_rules 3)

    @property
    def ends_ns(self) -> int:
        """The session time at which a Timed or a Scale cancels its orders; 0: never."""
        lasts_ms = self.terms.lasts_ms if isinstance(self.terms, Timed | Scale) else 0
        return self.started_ns + lasts_ms * MILLISECOND_NS if lasts_ms else 0

    @property
    def replaces_next(self) -> bool:
        """True if its next order replaces its last one."""
        return self.terms.replaces and bool(self.orders)


class EndedPlan(msgspec.Struct, frozen=True):
    """The end of a plan."""

    plan_id: str
    strategy: str
    reason: str
    filled: Decimal
    ended_ns: int


class Plans(msgspec.Struct, frozen=True):
    """The plans that run, and the newest that have ended."""

    running: dict[str, ExecutionPlan] = {}
    ended: tuple[EndedPlan, ...] = ()  # oldest first

    def by_age(self) -> list[ExecutionPlan]:
        """Return the plans that run, oldest first. Outputs follow this order."""
        return sorted(self.running.values(), key=lambda plan: (plan.started_ns, len(plan.plan_id), plan.plan_id))


def reduce(plans: Plans, change: Change, at: Stamp) -> Plans:
    """Fold the start, the moves, the orders and the end of plans."""
    match change:
        case Requested() if change.request.plan_id not in plans.running:
            return plans
        case Requested():
            plan = plans.running[change.request.plan_id]
            names = (name for name, _ in change.request.placed)
            return _put(plans, replace(plan, orders=(*plan.orders, *names)))
        case PlanStarted():
            plan = ExecutionPlan(change.plan_id, change.strategy, change.version, change.terms, at.time_ns)
            return _put(plans, plan)
        case PlanMoved() if change.plan_id in plans.running:
            return _put(
                plans,
                replace(
                    plans.running[change.plan_id],
                    phase=change.phase,
                    count=change.count,
                    mark=change.mark,
                    next_ns=change.next_ns,
                    refusals=change.refusals,
                    retry_ns=change.retry_ns,
                ),
            )
        case PlanEnded() if change.plan_id in plans.running:
            running = dict(plans.running)
            plan = running.pop(change.plan_id)
            ended = EndedPlan(plan.plan_id, plan.strategy, change.reason, change.filled, at.time_ns)
            return Plans(running, (*plans.ended, ended)[-ENDED_MAX:])
        case _:
            return plans


def _put(plans: Plans, plan: ExecutionPlan) -> Plans:
    return Plans({**plans.running, plan.plan_id: plan}, plans.ended)
