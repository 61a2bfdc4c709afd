"""The budgets of placements, cancels and replacements that apply to one order: its instrument's and its strategy's."""

from decimal import Decimal

from engine.facts import BreakerScope
from engine.risk.context import RiskAnswer
from engine.risk_settings import NO_LIMITS, ScopeLimits
from engine.session_record import RiskSettings
from engine.state.order_budgets import BudgetKind, OrderBudgets

PREFIX = {BreakerScope.INSTRUMENT: "", BreakerScope.STRATEGY: "strategy."}  # of the limit's name in a verdict


def limit_name(kind: BudgetKind) -> str:
    """Return the name of the setting that limits a kind of requests."""
    return f"{kind}s_per_minute_max"


def has_budgets(risk: RiskSettings) -> bool:
    """Return True if the session limits placements, cancels or replacements anywhere."""
    scopes: list[RiskSettings | ScopeLimits] = [risk, *risk.instrument.values(), *risk.strategy.values()]
    return any(getattr(scope, limit_name(kind)) for scope in scopes for kind in BudgetKind)


def budget_answer(
    budgets: OrderBudgets,
    kind: BudgetKind,
    scope: BreakerScope,
    *,
    limits: RiskSettings,
    instrument: str,
    strategy: str,
    time_ns: int,
    count: int = 1,
) -> RiskAnswer | None:
    """Return what the budget of a scope says of one more request; None if it has no limit.

    Args:
        budgets: The counts of this minute.
        kind: The kind of the request.
        scope: INSTRUMENT or STRATEGY.
        limits: The limits of the order's instrument.
        instrument: The order's instrument.
        strategy: The order's strategy.
        time_ns: The time.
        count: What it counts as: each order of a list counts.

    """
    is_strategy = scope is BreakerScope.STRATEGY
    name = limit_name(kind)
    limit = getattr(limits.strategy.get(strategy, NO_LIMITS) if is_strategy else limits, name)
    if not limit:
        return None
    subject = strategy if is_strategy else instrument
    used = budgets.used(kind, scope, subject, time_ns)
    reason = (
        f"{used} {kind}s of {subject} in this minute, {PREFIX[scope]}{name} is {limit}" if used + count > limit else ""
    )
    return RiskAnswer(reason, f"{PREFIX[scope]}{name}", (Decimal(used), Decimal(limit), Decimal(used + count)))
