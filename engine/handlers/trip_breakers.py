"""Breakers: pause an instrument or a strategy whose orders are refused again and again, and say so.

A paused strategy runs for its exits alone: orders that reduce a position leave, live orders that protect one stay, and
its other orders are cancelled. Where it only exceeded a rate, its orders stay. A paused instrument gets no new orders
but exits. Other intents to place leave no record, and the journal does not grow. Before `safeguards.paused_exits`, a
paused strategy did not run. engine/state/breakers.py counts.
"""

from decimal import Decimal

from engine.bodies import CommandBody, NoteLevel
from engine.facts import BreakerScope, BreakerTripped
from engine.handlers.cancel_rules import cancel_if_permitted
from engine.model import Side
from engine.money import ZERO
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.breakers import COMMAND_SCOPES, is_of_rates, next_pause_ns
from engine.state.orders import Order
from engine.step_context import StepContext

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
        of_rates = is_of_rates(kind)
        exits_only = session.safeguards.paused_exits and scope == BreakerScope.STRATEGY and not of_rates
        tripped = BreakerTripped(
            BreakerScope(scope),
            subject,
            reason,
            step.time_ns + wait_ns,
            may_run=of_rates or exits_only,
            exits_only=exits_only,
        )
        step.emit(tripped, source=SOURCE)
        text = (
            f"{scope} {subject} pauses for {-(-wait_ns // SECOND_NS)} s: its orders were refused again and again "
            f"({reason}). `verbatim control SESSION resume-{scope} {subject}` resumes it now"
        )
        is_short = wait_ns < session.safeguards.pause_first_ns
        step.note(NoteLevel.WARNING if is_short else NoteLevel.ALARM, text)
        if tripped.scope is BreakerScope.STRATEGY:
            cancel_paused(session, step)


def cancel_paused(session: SessionContext, step: StepContext) -> None:
    """Cancel the live orders of paused strategies, but not those that protect a position while only exits leave."""
    breakers, protected = step.account.breakers, dict[tuple[str, str, Side], Decimal]()
    if not breakers.pauses:
        return
    for order in step.account.orders.live_by_age():
        pause = breakers.active(BreakerScope.STRATEGY, order.strategy, step.time_ns)
        is_exits_only = pause is not None and pause.exits_only
        if breakers.may_run(order.strategy, step.time_ns) and not is_exits_only:
            continue
        if is_exits_only and _protects(step, order, protected):
            continue
        cancel_if_permitted(session, step, order)


def _protects(step: StepContext, order: Order, protected: dict[tuple[str, str, Side], Decimal]) -> bool:
    """Return True if an order, with the older ones in `protected`, can only reduce its strategy's position."""
    side = order.order.side
    held = -step.account.positions.get(order.strategy, order.order.instrument).quantity * side.sign
    key = (order.strategy, order.order.instrument, side)
    quantity = protected.get(key, ZERO) + order.leaves_quantity
    if not order.order.reduce_only and quantity > held:
        return False
    protected[key] = quantity
    return True


def handle_resume(session: SessionContext, step: StepContext, body: CommandBody) -> None:
    """Say what an ordered end of a pause led to; the pause itself ended when the command was applied."""
    scope = COMMAND_SCOPES[body.command]
    if scope is BreakerScope.INSTRUMENT:
        is_known = body.about in session.instrument_by_name
    else:
        is_known = body.about in session.strategies
    stopped_for = "" if scope is BreakerScope.INSTRUMENT else step.account.strategies.get(body.about).stopped_for
    if stopped_for:
        step.note(
            NoteLevel.WARNING,
            f"strategy {body.about} is stopped, not paused, so nothing resumes: {stopped_for}. "
            "`verbatim control SESSION resume` starts it again",
        )
    elif is_known:
        step.note(NoteLevel.INFO, f"{scope} {body.about} resumes, ordered by {body.by or 'operator'}")
    else:
        step.note(NoteLevel.WARNING, f"the session has no {scope} {body.about}, so nothing resumes")
