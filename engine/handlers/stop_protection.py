"""The protection of positions at an ordered stop: what must rest at the venue before the session ends.

A plan that keeps its exits still places them while the session stops. Its entry is cancelled as any other order.
"""

from engine.bodies import NoteLevel
from engine.execution.plans.seen import PlanMove
from engine.facts import PlanPhase
from engine.handlers.run_plans import decide_plan
from engine.mode_reasons import Mode
from engine.money import ZERO
from engine.session_context import SessionContext
from engine.state.kept_exits import keeps_exits, kept_on_stop, protected_quantity
from engine.step_context import StepContext
from journal.record import plain


def awaits_protection(session: SessionContext, step: StepContext) -> bool:
    """Return True while a plan that keeps its exits must still place or replace them."""
    if step.account.modes.mode is not Mode.RUNNING:
        return False  # no plan acts
    for plan in step.account.plans.by_age():
        if not keeps_exits(plan, session.settings) or plan.strategy not in session.strategies:
            continue
        move = decide_plan(session, step, plan)
        if move is not None and _is_at_work(move, plan.phase):
            return True
    return False


def _is_at_work(move: PlanMove, phase: PlanPhase) -> bool:
    return bool(move.place or move.cancel or move.is_waiting or phase is PlanPhase.EXITING)


def name_protection(session: SessionContext, step: StepContext) -> None:
    """State, at the end of a session, what protects the positions of plans until the next one.

    No-op in older sessions, which state no choice.
    """
    is_stated = session.settings.protection_on_stop is not None
    kept = kept_on_stop(step.account, session.settings)
    for plan in step.account.plans.by_age():
        held = step.account.positions.get(plan.strategy, plan.terms.instrument).quantity
        if not plan.terms.protects or held == ZERO or not (is_stated or keeps_exits(plan, session.settings)):
            continue
        names = [name for name in plan.orders if name in kept]
        if not session.settings.cancel_on_stop:
            names = [name for name in plan.orders if name in step.account.orders.live]
        protected = protected_quantity(step.account, plan, frozenset(names))
        instrument = session.instruments.get(plan.terms.instrument)
        is_whole = instrument is not None and abs(held) - protected < max(instrument.lot_size, instrument.quantity_min)
        position = f"the position of {plain(held)} {plan.terms.instrument} of {plan.strategy}"
        text = f"until the next session nothing protects {position}"
        if names:
            text = f"orders {', '.join(names)} stay at the venue and protect {plain(protected)} of {position}"
        level = NoteLevel.INFO if names and is_whole else NoteLevel.ALARM
        step.note(level, f"plan {plan.plan_id}: {text}", key=plan.plan_id)
