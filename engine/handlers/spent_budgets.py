"""Budgets of cancels and replacements, and the time for which an execution plan waits for a budget.

They bound strategies and plans. A safety order, a stop and a pause cancel beyond them.
"""

from collections.abc import Iterable

from engine.facts import BreakerScope, NewOrder
from engine.model import Instrument
from engine.risk.budget_answers import budget_answer
from engine.risk.context import RiskAnswer
from engine.risk.exits import only_reduces
from engine.session_context import SessionContext
from engine.state.execution_plans import ExecutionPlan
from engine.state.order_budgets import BudgetKind, renewed_ns
from engine.step_context import StepContext


def budget_rules(
    session: SessionContext, step: StepContext, kind: BudgetKind, *, strategy: str, instrument: Instrument
) -> dict[str, RiskAnswer]:
    """Return what each budget of one more request says, by the name of its rule; {} without such limits."""
    if not session.reducer_settings.has_order_budgets:
        return {}
    answers = {
        scope: budget_answer(
            step.account.order_budgets,
            kind,
            scope,
            limits=session.limits_of[instrument.id],
            instrument=instrument.id,
            strategy=strategy,
            time_ns=step.time_ns,
        )
        for scope in (BreakerScope.INSTRUMENT, BreakerScope.STRATEGY)
    }
    return {
        f"{'strategy_' if scope is BreakerScope.STRATEGY else ''}{kind}_budget": answer
        for scope, answer in answers.items()
        if answer is not None
    }


def is_spent(
    session: SessionContext, step: StepContext, kinds: Iterable[BudgetKind], *, strategy: str, instrument: Instrument
) -> bool:
    """Return True if a budget of one of these kinds allows no further request in this minute."""
    return any(
        answer.reason
        for kind in kinds
        for answer in budget_rules(session, step, kind, strategy=strategy, instrument=instrument).values()
    )


def placement_from_ns(
    session: SessionContext, step: StepContext, plan: ExecutionPlan, order: NewOrder, instrument: Instrument
) -> int:
    """Return the time from which budgets allow a plan's order; 0: they do now.

    An exit never waits. A reduce-only order is cut to the rest of the position before its review.
    """
    if not session.reducer_settings.has_order_budgets:
        return 0
    if order.reduce_only or only_reduces(step.account, plan.strategy, order):
        return 0
    kinds = (BudgetKind.PLACEMENT, *((BudgetKind.REPLACEMENT,) if plan.replaces_next else ()))
    is_waiting = is_spent(session, step, kinds, strategy=plan.strategy, instrument=instrument)
    return renewed_ns(step.time_ns) if is_waiting else 0


def replacement_from_ns(session: SessionContext, step: StepContext, plan: ExecutionPlan, instrument: Instrument) -> int:
    """Return the time from which budgets allow a plan to replace its resting order; 0: they do now."""
    if not plan.replaces_next:
        return 0
    is_waiting = is_spent(session, step, BudgetKind, strategy=plan.strategy, instrument=instrument)
    return renewed_ns(step.time_ns) if is_waiting else 0
