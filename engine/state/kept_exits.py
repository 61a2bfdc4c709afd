"""Exits of execution plans that an ordered stop leaves at the venue, where they protect a position."""

from decimal import Decimal

from engine.facts import PlanPhase
from engine.lifecycle import LIVE
from engine.money import ZERO
from engine.plan_terms import Bracket, Oco, StopChoice, Trail
from engine.session_record import EngineSettings
from engine.state.execution_plans import ExecutionPlan
from engine.state.linked_orders import fillable_together
from engine.state.session_state import Account


def keeps_exits(plan: ExecutionPlan, settings: EngineSettings) -> bool:
    """Return True if an ordered stop leaves a plan's exits at the venue, by its own choice or the session's."""
    choice = plan.terms.on_stop if isinstance(plan.terms, Bracket | Oco | Trail) else StopChoice.CANCEL
    return (choice or settings.protection_on_stop) == StopChoice.KEEP


def kept_on_stop(account: Account, settings: EngineSettings) -> frozenset[str]:
    """Return the client order ids that an ordered stop with `cancel_on_stop` does not cancel."""
    kept: set[str] = set()
    for plan in account.plans.running.values():
        is_ending = plan.phase is PlanPhase.STOPPING or account.safety.is_pausing(plan.strategy)
        if is_ending or not keeps_exits(plan, settings):
            continue
        held = account.positions.get(plan.strategy, plan.terms.instrument).quantity
        live = account.orders.live
        exits = [live[name] for name in plan.orders if name in live and live[name].order.side.sign * held < ZERO]
        kept.update(
            order.client_order_id
            for order in exits
            if (order.list_id or order.order.terms.trigger is not None)
            and order.status in LIVE
            and order.waits_for not in live
        )
    return frozenset(kept)


def protected_quantity(account: Account, plan: ExecutionPlan, kept: frozenset[str]) -> Decimal:
    """Return the quantity that the kept exits of a plan close."""
    live = account.orders.live
    exits = [live[name] for name in plan.orders if name in kept and name in live]
    return sum((order.leaves_quantity for order in fillable_together(exits, live)), ZERO)
