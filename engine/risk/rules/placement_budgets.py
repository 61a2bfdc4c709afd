"""An instrument and a strategy stay within their placements per minute. Orders that only reduce a position pass.

Cancels and replacements have no new order to review: engine/handlers/spent_budgets.py applies their budgets.
"""

from engine.facts import BreakerScope
from engine.risk.budget_answers import budget_answer
from engine.risk.context import RiskAnswer, RiskContext, RiskRule
from engine.risk.exits import only_reduces
from engine.risk.rules.scope_limits import limited_by_strategy
from engine.state.order_budgets import BudgetKind


def placement_budget(context: RiskContext) -> str | RiskAnswer:
    """Return why the instrument gets no further order in this minute, or ""."""
    return _answer(context, BreakerScope.INSTRUMENT)


def strategy_placement_budget(context: RiskContext) -> str | RiskAnswer:
    """Return why the strategy places no further order in this minute, or ""."""
    return _answer(context, BreakerScope.STRATEGY)


def _answer(context: RiskContext, scope: BreakerScope) -> str | RiskAnswer:
    answer = budget_answer(
        context.account.order_budgets,
        BudgetKind.PLACEMENT,
        scope,
        limits=context.limits,
        instrument=context.order.instrument,
        strategy=context.strategy,
        time_ns=context.time_ns,
        count=1 + context.linked,
    )
    if answer is None:
        return ""
    is_exit = bool(answer.reason) and only_reduces(context.account, context.strategy, context.order)
    return answer._replace(reason="") if is_exit else answer


RULES = (
    RiskRule(placement_budget, name="placement_budget", is_set=lambda limits: bool(limits.placements_per_minute_max)),
    RiskRule(
        strategy_placement_budget,
        name="strategy_placement_budget",
        is_set=limited_by_strategy("placements_per_minute_max"),
    ),
)
