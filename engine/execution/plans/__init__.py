"""Execution plans: pure state machines between an intent and its orders, one file a kind.

A plan is advanced by engine/handlers/run_plans.py, which performs its moves through risk and records them.
"""

from collections.abc import Callable

from engine.execution.plans import bracket, chase, timed, trail, twap
from engine.execution.plans.seen import PlanMove, Seen
from engine.plan_terms import Bracket, Chase, Oco, PlanTerms, Scale, Timed, Trail, Twap

PLANS: dict[type[PlanTerms], Callable[[Seen], PlanMove]] = {
    Timed: timed.advance,
    Scale: timed.advance,
    Chase: chase.advance,
    Twap: twap.advance,
    Bracket: bracket.advance,
    Oco: bracket.advance,
    Trail: trail.advance,
}
