"""Breakers: pause an instrument or a strategy whose orders are refused again and again, and say so.

A paused strategy does not run, and its live orders are cancelled; where it only exceeded a rate, it runs and may
cancel. A paused instrument gets no new orders: intents to place there leave no record, and the journal does not grow.
engine/state/breakers.py counts.
"""

from engine.bodies import CommandBody, NoteLevel
from engine.facts import BreakerScope, BreakerTripped
from engine.handlers.cancel_rules import cancel_rules, repeats_cancel
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.breakers import COMMAND_SCOPES, is_of_rates, next_pause_ns
from engine.step_context import StepContext
from engine.strategy.api import Amend, Cancel, Intent, Run

SOURCE = "breakers"


def trip_breakers(session: SessionContext, step: StepContext) -> None:
    """Pause the subjects whose equal refusals reached the limit, with an alarm; a warning for a short pause."""
    for key, kind in step.account.breakers.due:
        breakers = step.account.breakers
        if (key, kind) not in breakers.due:
            continue  # it is paused by now, for another reason
        scope, _, subject = key.partition(" ")
        reason = breakers.tallies[key][kind].reason
        wait_ns = next_pause_ns(breakers.pauses.get(key), kind, step.time_ns, session.safeguards)
        tripped = BreakerTripped(BreakerScope(scope), subject, reason, step.time_ns + wait_ns, is_of_rates(kind))
        step.emit(tripped, source=SOURCE)
        text = (
            f"{scope} {subject} pauses for {-(-wait_ns // SECOND_NS)} s: its orders were refused again and again "
            f"({reason}). `verbatim control SESSION resume-{scope} {subject}` resumes it now"
        )
        is_short = wait_ns < session.safeguards.pause_first_ns
        step.note(NoteLevel.WARNING if is_short else NoteLevel.ALARM, text)
        if tripped.scope is BreakerScope.STRATEGY:
            cancel_paused(session, step)


def drops_intent(session: SessionContext, step: StepContext, strategy: str, intent: Intent) -> bool:
    """Return True for a new order that a pause forbids, and for a cancel that repeats one under way."""
    if isinstance(intent, Cancel):
        return repeats_cancel(step, intent.client_order_id)
    if not step.account.breakers.pauses or isinstance(intent, Amend | Run):  # these check pauses themselves
        return False
    instrument = session.instrument_by_name.get(intent.instrument)
    name = intent.instrument if instrument is None else instrument.id
    subjects = ((BreakerScope.INSTRUMENT, name), (BreakerScope.STRATEGY, strategy))
    return any(step.account.breakers.pause_reason(scope, subject, step.time_ns) for scope, subject in subjects)


def cancel_paused(session: SessionContext, step: StepContext) -> None:
    """Cancel the live orders of strategies that do not run."""
    if not step.account.breakers.pauses:
        return
    for order in step.account.orders.live_by_age():
        if order.adopted or step.account.breakers.may_run(order.strategy, step.time_ns):
            continue
        instrument = session.instruments[order.order.instrument]
        rules = cancel_rules(step, order.strategy, order.client_order_id, venue=instrument.venue)
        if not any(rules.values()):
            session.factories[instrument.venue].cancel(
                step, client_order_id=order.client_order_id, instrument=instrument
            )


def handle_resume(session: SessionContext, step: StepContext, body: CommandBody) -> None:
    """Say what an ordered end of a pause led to; the pause itself ended when the command was applied."""
    scope = COMMAND_SCOPES[body.command]
    if scope is BreakerScope.INSTRUMENT:
        is_known = body.about in session.instrument_by_name
    else:
        is_known = body.about in session.strategies
    if is_known:
        step.note(NoteLevel.INFO, f"{scope} {body.about} resumes, ordered by {body.by or 'operator'}")
    else:
        step.note(NoteLevel.WARNING, f"the session has no {scope} {body.about}, so nothing resumes")
