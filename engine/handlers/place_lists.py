"""Order lists of execution plans: one intent, one verdict over the worst case, one request.

The list has the number 0 of its record, its orders the numbers after it. They are orders as any other.
"""

from msgspec.structs import replace

from engine.bodies import IntentBody, IntentKind
from engine.facts import BreakerScope, ListLeg, NewOrder
from engine.handlers.intents import risk_context
from engine.model import Instrument
from engine.risk.exits import exit_quantity
from engine.risk.review import review_list
from engine.session_context import SessionContext
from engine.state.execution_plans import ExecutionPlan
from engine.step_context import StepContext

SOURCE = "plan"  # of the records that plans lead to


def place_list(
    session: SessionContext,
    step: StepContext,
    plan: ExecutionPlan,
    orders: tuple[NewOrder, ...],
    instrument: Instrument,
) -> bool:
    """Place orders as one list. Return False if risk or a pause refuses it.

    Args:
        session: The session.
        step: The current step.
        plan: The plan whose orders they are.
        orders: Two exits, or an entry and two exits that wait for it.
        instrument: The instrument of all of them.

    """
    has_entry = orders[0].side is not orders[-1].side
    if has_entry and is_paused(step, plan, instrument):
        return False
    seq, order_ids = step.next_seq, session.venues[instrument.venue].order_ids
    list_id, *names = (
        order_ids.make(session=session.body.session, strategy=plan.strategy, version=plan.version, seq=seq, leg=leg)
        for leg in range(len(orders) + 1)
    )
    if not has_entry:
        orders = _within_position(step, plan, orders, instrument)
    quote = step.quote(session.indexes[instrument.id])
    rationale = {"quote_seq": quote.seq} if quote else {}
    body = IntentBody(
        IntentKind.PLACE_LIST, plan.strategy, plan.version, legs=orders, rationale=rationale, plan_id=plan.plan_id
    )
    seq = step.emit(body, source=SOURCE, key=list_id)
    entry_name = names[0] if has_entry else ""
    reviewed = []
    for name, order in zip(names, orders, strict=True):
        leg = ListLeg(name, order, "" if name == entry_name else entry_name)
        context = risk_context(session, step, plan.strategy, order, quote)
        is_protecting = not has_entry and bool(step.account.modes.stopping_since_ns)
        reviewed.append((leg, replace(context, linked=len(orders) - 1, is_protecting=is_protecting)))
    verdict, approved = review_list(reviewed, session.risk_rules)
    if approved is None and session.names_refused:
        verdict = replace(verdict, strategy=plan.strategy, instrument=instrument.id)
    seq = step.emit(verdict, source="risk", key=list_id, cause=seq)
    if approved is None:
        return False
    session.factories[instrument.venue].place_list(
        step,
        approved,
        list_id=list_id,
        strategy=plan.strategy,
        instrument=instrument,
        cause=seq,
        plan_id=plan.plan_id,
    )
    return True


def is_paused(step: StepContext, plan: ExecutionPlan, instrument: Instrument) -> bool:
    """Return True if a pause of the strategy or the instrument forbids a plan's orders that open a position."""
    breakers = step.account.breakers
    subjects = ((BreakerScope.INSTRUMENT, instrument.id), (BreakerScope.STRATEGY, plan.strategy))
    return bool(breakers.pauses) and any(
        breakers.pause_reason(scope, subject, step.time_ns) for scope, subject in subjects
    )


def _within_position(
    step: StepContext, plan: ExecutionPlan, orders: tuple[NewOrder, ...], instrument: Instrument
) -> tuple[NewOrder, ...]:
    """Return the exits cut to the position: the venue takes one quantity for both."""
    left = min(
        exit_quantity(step.account, plan.strategy, instrument, order.side, is_market=order.terms.price is None)
        for order in orders
    )
    return tuple(replace(order, quantity=min(order.quantity, left)) for order in orders)
