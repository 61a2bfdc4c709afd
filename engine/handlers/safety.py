"""Safety orders, pursued by each step: cancel every own order, then flatten if ordered, until the account shows it.

engine/state/safety_orders.py keeps them. Orders of other programs are spared.
"""

from engine.bodies import NoteLevel
from engine.execution import reconciliation
from engine.execution.account_scope import AccountScope
from engine.facts import SafetyCause, SafetyKind, SafetyOrdered, SafetyOrderEnded
from engine.handlers.cancel_rules import cancel_if_permitted, cancel_reasons, is_probe_due, waits_for_access
from engine.handlers.flatten import flatten_positions
from engine.lifecycle import Status
from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.orders import Order
from engine.state.safety_orders import SafetyOrder, probe_name
from engine.step_context import StepContext, records_of

SOURCE = "safety"  # of the records that safety orders lead to
ALARM_AFTER_NS = 10 * SECOND_NS  # a safety order that is not done by then needs a person
ALARM_EVERY_NS = 60 * SECOND_NS
CANCELS_MAX = 8  # on their way at a time: if the venue refuses for its limits, few are refused
NAMED_MAX = 5  # orders that a message names


def order_safety(
    step: StepContext,
    kind: SafetyKind,
    cause: SafetyCause,
    *,
    by: str,
    strategy: str = "",
    repeat: bool = False,
    also: tuple[str, ...] = (),
) -> None:
    """Put a safety order in force, unless one is that does as much.

    Args:
        step: The current step.
        kind: Its kind.
        cause: Its cause.
        by: The person or the part of the engine that gives it.
        strategy: The strategy whose orders it concerns; "": all.
        repeat: Put it in force also if one is that does as much.
        also: Older sessions whose orders it concerns too.

    """
    safety = step.account.safety
    if repeat or not safety.is_active(kind, strategy):
        step.emit(SafetyOrdered(safety.number + 1, kind, cause, by, strategy, also), source=SOURCE)


def advance_safety(session: SessionContext, step: StepContext) -> bool:
    """Advance every safety order in force. Return True while there is one."""
    if not session.body.safety.pursues:
        return False
    if session.body.safety.cancels_on_failure:
        _cancel_for_stopped(session, step)
    if step.account.safety.active and not step.account.modes.closing:
        for order in step.account.safety.active:
            _pursue(session, step, order)
        if step.account.safety.active and step.account.access.by_venue:
            _probe_refused(session, step)
    return bool(step.account.safety.active)


def withdraw_for_resume(step: StepContext) -> None:
    """End the safety orders that a person's resume ends. One for blindness stays."""
    for order in step.account.safety.active:
        if order.cause is not SafetyCause.BLIND:
            step.emit(SafetyOrderEnded(order.number, withdrawn=True), source=SOURCE)


def own_live(session: SessionContext, step: StepContext, strategy: str = "") -> list[Order]:
    """Return the live orders that are ours, oldest first: of one strategy, or all.

    Not those at a venue where this session has no account: it can neither query nor cancel them.
    """
    return [
        order
        for order in step.account.orders.live_by_age()
        if strategy in ("", order.strategy)
        and session.is_ours(order, step.account.safety)
        and session.accounts.has_account_for(order.order.instrument)
    ]


def _cancel_for_stopped(session: SessionContext, step: StepContext) -> None:
    """Cancel the orders of strategies that stopped: nothing manages them."""
    for name, status in step.account.strategies.by_name.items():
        if status.stopped_for and own_live(session, step, name):
            order_safety(step, SafetyKind.CANCEL, SafetyCause.STRATEGY_STOPPED, by="engine", strategy=name)


def _pursue(session: SessionContext, step: StepContext, order: SafetyOrder) -> None:
    """Do what can be done now for one safety order; end it if nothing is left to do."""
    orders = own_live(session, step, order.strategy)
    for each in orders:
        cancel_when_due(session, step, each)
    if orders:
        return
    if not order.strategy and any(pending.request.mutates for pending in step.account.requests.by_seq.values()):
        return
    if not _is_confirmed(session, step, order):
        return
    left: tuple[str, ...] = ()
    if order.kind is SafetyKind.FLATTEN and not order.strategy:
        is_waiting, left = flatten_positions(session, step, order)
        if is_waiting:
            return
    step.emit(SafetyOrderEnded(order.number, left), source=SOURCE)
    whose = f"order of strategy {order.strategy}" if order.strategy else "own order"
    text = f"{order.title}, for {order.by}: no {whose} is open"
    if left:
        step.note(NoteLevel.ALARM, f"{text}; {'; '.join(left)}")
    else:
        step.note(NoteLevel.INFO, text if order.kind is SafetyKind.CANCEL else f"{text}, and no position")


def cancel_when_due(session: SessionContext, step: StepContext, order: Order) -> None:
    """Cancel one order if that can help now. Tries that did not end it get further apart, but never stop."""
    if order.status is Status.UNKNOWN or order.order.instrument not in session.instruments:
        return  # an unknown order is queried; once it is known to be open, it is cancelled
    venue = session.instruments[order.order.instrument].venue
    tries = step.account.safety.tries.get(order.client_order_id)
    if (
        _cancels_pending(step) >= CANCELS_MAX
        or (tries is not None and step.time_ns < tries.next_ns())
        or (step.account.access.by_venue and waits_for_access(step, venue, own_live(session, step)))
    ):
        return
    cancel_if_permitted(session, step, order, repeats=True)  # the tries of the safety order count instead


def _probe_refused(session: SessionContext, step: StepContext) -> None:
    """Query the open orders of each venue that refuses access and has no order whose cancel is the probe."""
    instruments, pending = session.instruments, step.account.requests.by_seq.values()
    with_orders = {
        instruments[order.order.instrument].venue
        for order in own_live(session, step)
        if order.status is not Status.UNKNOWN and order.order.instrument in instruments
    }
    asked = {each.request.venue for each in pending if each.request.purpose is Purpose.OPEN_ORDERS}
    for venue in sorted(step.account.access.by_venue.keys() - with_orders - asked):
        tries = step.account.safety.tries.get(probe_name(venue))
        if is_probe_due(step, venue, 0 if tries is None else tries.last_ns):
            session.factories[venue].open_orders(step, reconcile_round=0)


def _cancels_pending(step: StepContext) -> int:
    return sum(pending.request.purpose is Purpose.CANCEL for pending in step.account.requests.by_seq.values())


def cancel_after_failure(session: SessionContext, step: StepContext) -> None:
    """Record the cancel of every own order after the core failed. The shell sends them; the next session continues."""
    if not session.body.safety.cancels_on_failure:
        return
    order_safety(step, SafetyKind.CANCEL, SafetyCause.CORE_FAILED, by="engine", repeat=True)
    for order in own_live(session, step):
        name, instrument = order.client_order_id, session.instruments.get(order.order.instrument)
        if instrument is None or order.cancel_seq:
            continue
        before, count = step.account, len(step.outputs)
        try:
            session.factories[instrument.venue].cancel(step, client_order_id=name, instrument=instrument)
            records_of(step.outputs[count:])  # one that cannot be written must not cost the record of the failure
        except Exception as error:  # noqa: BLE001 - the failed code may be the one that cancels
            step.remove_outputs(count, before)
            step.note(NoteLevel.ALARM, f"order {name} is not cancelled: {type(error).__name__}: {error}", key=name)


def name_waiting(session: SessionContext, step: StepContext) -> None:
    """Tell the person who orders which orders cannot be cancelled at once, and why."""
    for order in own_live(session, step):
        if order.order.instrument not in session.instruments:
            continue
        if reasons := cancel_reasons(session, step, order, repeats=True, unknown="it is unknown: it is queried"):
            text = f"order {order.client_order_id} is not cancelled now: {reasons}"
            step.note(NoteLevel.WARNING, text, key=order.client_order_id)


def _is_confirmed(session: SessionContext, step: StepContext, order: SafetyOrder) -> bool:
    """Return True if a reconciliation began after the last change of an order that it concerns; start it otherwise."""
    waiting = [scope for scope in session.accounts.scopes.values() if not _is_confirmed_at(step, scope, order)]
    return not waiting


def _is_confirmed_at(step: StepContext, scope: AccountScope, order: SafetyOrder) -> bool:
    rounds, closed_orders = scope.rounds(step), step.account.orders.closed.values()
    ended = (
        closed.updated_seq
        for closed in closed_orders
        if order.strategy in ("", closed.strategy) and scope.concerns(closed.order.instrument)
    )
    if rounds.done_started_seq > max(order.since_seq, max(ended, default=-1)):
        return True
    if not rounds.failures:  # after a failure a timer starts the next round
        reconciliation.request(step, (scope,))
    return False


def watch_safety(session: SessionContext, step: StepContext) -> None:
    """Cancel if the session is blind for too long, and name what safety orders could not do so far."""
    settings, safety = session.body.safety, step.account.safety
    if not settings.pursues:
        return
    since_ns, after_ns = safety.not_running_since_ns, settings.blind_after_ns
    if after_ns and since_ns and step.time_ns - since_ns >= after_ns and own_live(session, step):
        order_safety(step, SafetyKind.CANCEL, SafetyCause.BLIND, by="on_blind")
    for order in step.account.safety.active:
        if _is_alarm_due(session, step, order.since_ns):
            step.note(NoteLevel.ALARM, _not_done(session, step, order))


def _is_alarm_due(session: SessionContext, step: StepContext, since_ns: int) -> bool:
    """Return True if the first alarm, or another minute after it, became due since the last check."""
    age_ns = step.time_ns - since_ns - ALARM_AFTER_NS
    before_ns = age_ns - session.settings.check_interval_ns
    return age_ns >= 0 and (before_ns < 0 or age_ns // ALARM_EVERY_NS > before_ns // ALARM_EVERY_NS)


def _not_done(session: SessionContext, step: StepContext, order: SafetyOrder) -> str:
    """Return the text of the alarm about a safety order that is not done."""
    head = f"{order.title}, for {order.by}, is not done after {(step.time_ns - order.since_ns) // SECOND_NS} s"
    orders = own_live(session, step, order.strategy)
    if not orders:
        return f"{head}: no own order is known to be open, and the venue has not confirmed it"
    named = ", ".join(f"{each.client_order_id} {each.status}" for each in orders[:NAMED_MAX])
    more = f" and {len(orders) - NAMED_MAX} more" if len(orders) > NAMED_MAX else ""
    return f"{head}: {len(orders)} orders may still be open ({named}{more})"
