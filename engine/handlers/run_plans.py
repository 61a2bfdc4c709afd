"""Execution plans: start them, perform their moves through risk, and end them.

engine/execution/plans decides, engine/state/execution_plans.py keeps them. A plan acts while the session is RUNNING;
one that is ordered to end cancels its orders in any mode.
"""

from msgspec.structs import replace

from engine.bodies import IntentBody, IntentKind, NoteLevel, VerdictBody
from engine.execution.plans import PLANS
from engine.execution.plans.seen import NOTHING, PlanMove, Seen, cancellable
from engine.facts import NewOrder, PlanEnded, PlanMoved, PlanPhase, PlanStarted
from engine.handlers.cancel_rules import cancel_if_permitted
from engine.handlers.intents import emit_request, review_order
from engine.handlers.place_lists import SOURCE, is_paused, place_list
from engine.handlers.plan_waits import CHECK_NS, growing_wait_ns, is_watching, keeps_wait, order_from_ns, retry_ns
from engine.handlers.spent_budgets import placement_from_ns, replacement_from_ns
from engine.mode_reasons import Mode
from engine.model import Instrument, OrderTerm, OrderType
from engine.money import ZERO, on_grid
from engine.plan_terms import Bracket, PlanTerms
from engine.risk.exits import exit_quantity
from engine.rounding import on_price_grid, price_grid_text
from engine.session_context import SessionContext
from engine.session_record import REFUSAL_RULES, RESTING_RULES, TERM_RULES
from engine.state.execution_plans import ExecutionPlan
from engine.state.kept_exits import keeps_exits
from engine.state.orders import Order
from engine.step_context import StepContext
from engine.strategy.api import Cancel, Run

REFUSALS_MAX = 20  # in a row; then a plan that protects no position ends


def is_plan(step: StepContext, name: str) -> bool:
    """Return True if a name is that of an execution plan that runs."""
    return name in step.account.plans.running


def handle_plan_intent(session: SessionContext, step: StepContext, strategy: str, intent: Run | Cancel) -> None:
    """Emit an intent to run or end a plan and its verdict; act on it if it is approved."""
    if isinstance(intent, Cancel):
        _end_for_strategy(session, step, strategy, intent)
    else:
        _start(session, step, strategy, intent)


def _start(session: SessionContext, step: StepContext, strategy: str, intent: Run) -> None:
    version = session.strategies[strategy].settings.version
    terms = intent.plan
    instrument = session.instrument_by_name.get(terms.instrument)
    venue = session.venues[instrument.venue] if instrument else next(iter(session.venues.values()))
    plan_id = venue.order_ids.make(
        session=session.body.session, strategy=strategy, version=version, seq=step.next_seq, leg=0
    )
    body = IntentBody(IntentKind.RUN, strategy, version, rationale=dict(intent.rationale), plan=terms, plan_id=plan_id)
    seq = step.emit(body, source=f"strategy.{strategy}", key=plan_id)
    if instrument is None:
        rules = {"instrument": f"{terms.instrument} is not traded here"}
    else:
        terms = replace(terms, instrument=instrument.id)
        rules = _rules(step, terms, step.account.instruments.current(instrument))
    is_approved = not any(rules.values())
    seq = step.emit(VerdictBody(is_approved, rules), source="risk", key=plan_id, cause=seq)
    if is_approved and not session.body.read_only:
        step.emit(PlanStarted(plan_id, strategy, version, terms), source=SOURCE, key=plan_id, cause=seq)


def _rules(step: StepContext, terms: PlanTerms, instrument: Instrument) -> dict[str, str]:
    """Return each rule with its reason against a plan as a whole, or "". Each of its orders is reviewed by itself."""
    off_tick = [price for price in terms.prices if not on_price_grid(price, instrument)]
    off_lot = [size for size in terms.quantities if size <= 0 or not on_grid(size, instrument.lot_size)]
    return {
        "lot": f"quantity {off_lot[0]} is not a multiple of the lot {instrument.lot_size}" if off_lot else "",
        "tick": f"price {price_grid_text(off_tick[0], instrument)}" if off_tick else "",
        "trading": "" if instrument.trading else f"{instrument.symbol} is not trading",
        "mode": "the session is stopping" if step.account.modes.stopping_since_ns else "",
    }


def _end_for_strategy(session: SessionContext, step: StepContext, strategy: str, intent: Cancel) -> None:
    plan = step.account.plans.running[intent.client_order_id]
    version = session.strategies[strategy].settings.version
    body = IntentBody(IntentKind.CANCEL, strategy, version, cancels=plan.plan_id, rationale=dict(intent.rationale))
    seq = step.emit(body, source=f"strategy.{strategy}", key=plan.plan_id)
    rules = {"known": "" if plan.strategy == strategy else "not a plan of this strategy"}
    step.emit(VerdictBody(not any(rules.values()), rules), source="risk", key=plan.plan_id, cause=seq)
    if not any(rules.values()) and plan.phase is not PlanPhase.STOPPING:
        _stop(step, plan)


def _stop(step: StepContext, plan: ExecutionPlan) -> None:
    step.emit(PlanMoved(plan.plan_id, PlanPhase.STOPPING, plan.count, plan.mark), source=SOURCE, key=plan.plan_id)


def advance_plans(session: SessionContext, step: StepContext) -> None:
    """Advance every plan that runs, oldest first."""
    modes = step.account.modes
    for plan in step.account.plans.by_age():
        instrument = session.instruments.get(plan.terms.instrument)
        if instrument is None:
            continue  # this session does not trade it
        is_over = modes.stopping_since_ns and not plan.terms.protects
        if plan.phase is PlanPhase.STOPPING:
            _advance_stop(session, step, plan)
        elif is_over or step.account.safety.is_pausing(plan.strategy):
            _stop(step, plan)
            _advance_stop(session, step, step.account.plans.running[plan.plan_id])
        elif modes.mode is not Mode.RUNNING or plan.strategy not in session.strategies:
            continue
        elif not modes.stopping_since_ns or keeps_exits(plan, session.settings):
            _advance(session, step, plan, instrument)


def decide_plan(session: SessionContext, step: StepContext, plan: ExecutionPlan) -> PlanMove | None:
    """Return the next move of a plan, without performing it; while the session stops, its exits alone.

    None if this session does not trade its instrument.
    """
    instrument = session.instruments.get(plan.terms.instrument)
    if instrument is None or plan.phase is PlanPhase.STOPPING:
        return None
    return _move(step, _seen(session, step, plan, instrument))


def _move(step: StepContext, seen: Seen) -> PlanMove:
    move = PLANS[type(seen.plan.terms)](seen)
    is_stopping = step.account.modes.stopping_since_ns
    return NOTHING if is_stopping and not all(order.reduce_only for order in move.place) else move


def _orders(step: StepContext, plan: ExecutionPlan) -> tuple[Order, ...]:
    return tuple(step.account.orders.known(name) for name in plan.orders)


def _advance_stop(session: SessionContext, step: StepContext, plan: ExecutionPlan) -> None:
    """Cancel the orders of a plan that was ordered to end; end it when none may fill any more.

    A strategy that ends its plan keeps its budget of cancels; a stop and a safety order do not.
    """
    seen = _seen(session, step, plan, session.instruments[plan.terms.instrument])
    is_ordered = bool(step.account.modes.stopping_since_ns) or step.account.safety.is_pausing(plan.strategy)
    for order in cancellable(seen.live):
        cancel_if_permitted(session, step, order, is_budgeted=not (is_ordered or plan.terms.protects))
    if not seen.live:
        _end(step, seen, "ordered to end")


def _seen(session: SessionContext, step: StepContext, plan: ExecutionPlan, instrument: Instrument) -> Seen:
    index = session.indexes[instrument.id]
    quote, orders = step.market.quote(index), _orders(step, plan)
    return Seen(
        plan=plan,
        time_ns=step.time_ns,
        instrument=step.account.instruments.current(instrument),
        bid=quote.bid if quote else ZERO,
        ask=quote.ask if quote else ZERO,
        orders=orders,
        position=step.account.positions.get(plan.strategy, instrument.id).quantity,
        read_book=lambda: step.market.book_top(index, 20),
        has_stops=OrderType.STOP in session.venues[instrument.venue].capabilities.types
        and OrderType.STOP not in instrument.lacks_types,
        lists=session.factories[instrument.venue].order_lists,
        has_trailing=_has_trailing(session, step, instrument),
        replace_from_ns=replacement_from_ns(session, step, plan, instrument),
        retries=session.settings.order_rules >= REFUSAL_RULES,
        rests_again=session.settings.order_rules >= RESTING_RULES,
        retry_ns=retry_ns(step, plan, orders),
    )


def _has_trailing(session: SessionContext, step: StepContext, instrument: Instrument) -> bool:
    """Return True if a plan may place a trailing stop at the venue; False in sessions recorded before plans did."""
    if session.settings.order_rules < TERM_RULES:
        return False
    term, offered = OrderTerm.TRAILING, session.venues[instrument.venue].capabilities.terms
    return term in offered and term not in step.account.instruments.current(instrument).forbids


def _advance(session: SessionContext, step: StepContext, plan: ExecutionPlan, instrument: Instrument) -> None:
    seen = _seen(session, step, plan, instrument)
    move = _move(step, seen)
    if move == NOTHING:
        return
    for live in move.cancel:
        cancel_if_permitted(session, step, live, is_budgeted=not plan.terms.protects)
    if move.ended:
        _end(step, seen, move.ended)
        return
    if move.place and (from_ns := order_from_ns(step, seen, move.place[0])):
        ends_ns = plan.ends_ns if seen.rests_again else 0
        _wait(step, plan, min(from_ns, ends_ns) if ends_ns > step.time_ns else from_ns)
        return
    if move.linked and (from_ns := placement_from_ns(session, step, plan, move.linked[0], instrument)):
        _wait(step, plan, from_ns)
        return
    is_kept = keeps_wait(step, plan, move)
    if move.linked and place_list(session, step, plan, move.linked, instrument):
        move = move._replace(place=())
    for placed, order in enumerate(move.place):
        if from_ns := placement_from_ns(session, step, plan, order, instrument):
            _wait(step, plan, from_ns, placed)
            return
        if not _place(session, step, plan, order, instrument):
            _count_refusal(step, plan, placed)
            return
    moved = _moved(plan, move, is_kept=is_kept)
    if moved != _moved(plan, NOTHING, is_kept=True):
        step.emit(moved, source=SOURCE, key=plan.plan_id)


def _moved(plan: ExecutionPlan, move: PlanMove, *, is_kept: bool = False) -> PlanMoved:
    """Return a plan's state after a move. `is_kept`: the refusals in a row and their wait stay."""
    return PlanMoved(
        plan_id=plan.plan_id,
        phase=plan.phase if move.phase is None else move.phase,
        count=plan.count if move.counted is None else move.counted,
        mark=plan.mark if move.mark is None else move.mark,
        next_ns=plan.next_ns if move.next_ns is None else move.next_ns,
        refusals=plan.refusals if is_kept else 0,
        retry_ns=plan.retry_ns if is_kept else 0,
    )


def _wait(step: StepContext, plan: ExecutionPlan, until_ns: int, placed: int = 0) -> None:
    """Make a plan wait with its next order, unless it waits already. `placed`: orders that it placed in this step."""
    watches = is_watching(step, plan)
    if watches and not placed and step.time_ns < plan.next_ns <= until_ns:
        return
    next_ns = min(until_ns, step.time_ns + CHECK_NS) if watches else until_ns
    if placed or plan.next_ns != next_ns:
        move = PlanMove(counted=plan.count + placed, next_ns=next_ns)
        step.emit(_moved(plan, move, is_kept=watches and not placed), source=SOURCE, key=plan.plan_id)


def _place(
    session: SessionContext, step: StepContext, plan: ExecutionPlan, order: NewOrder, instrument: Instrument
) -> bool:
    """Place one order of a plan. Return False if risk or a pause refuses it."""
    if not order.reduce_only and is_paused(step, plan, instrument):
        return False
    if order.reduce_only:
        is_market = order.terms.price is None
        left = exit_quantity(step.account, plan.strategy, instrument, order.side, is_market=is_market)
        order = replace(order, quantity=min(order.quantity, left))
    order_id = session.venues[instrument.venue].order_ids.make(
        session=session.body.session, strategy=plan.strategy, version=plan.version, seq=step.next_seq, leg=0
    )
    quote = step.quote(session.indexes[instrument.id])
    rationale = {"quote_seq": quote.seq} if quote else {}
    body = IntentBody(
        IntentKind.PLACE, plan.strategy, plan.version, order=order, rationale=rationale, plan_id=plan.plan_id
    )
    seq = step.emit(body, source=SOURCE, key=order_id)
    approved = review_order(
        session,
        step,
        plan.strategy,
        order,
        quote=quote,
        order_id=order_id,
        cause=seq,
        is_protecting=bool(step.account.modes.stopping_since_ns),
    )
    if approved is None:
        return False
    emit_request(session, step, approved, plan_id=plan.plan_id)
    return True


def _count_refusal(step: StepContext, plan: ExecutionPlan, placed: int) -> None:
    """Wait longer after each refusal in a row. A plan that protects a position never gives up, and raises an alarm."""
    refusals = plan.refusals + 1
    until_ns, watches = step.time_ns + growing_wait_ns(refusals), is_watching(step, plan)
    next_ns = min(until_ns, step.time_ns + CHECK_NS) if watches else until_ns
    move = PlanMove(counted=plan.count + placed, next_ns=next_ns)
    if plan.terms.protects:
        text = f"plan {plan.plan_id} could not place its order ({refusals} times in a row): its position is unprotected"
        is_open = plan.count or (watches and not isinstance(plan.terms, Bracket))  # else it is the entry
        step.note(NoteLevel.ALARM if is_open else NoteLevel.WARNING, text, key=plan.plan_id)
    elif refusals >= REFUSALS_MAX:
        step.note(NoteLevel.WARNING, f"plan {plan.plan_id} ends: {refusals} orders in a row were refused")
        move = move._replace(phase=PlanPhase.STOPPING)
    moved = replace(_moved(plan, move), refusals=refusals, retry_ns=until_ns if watches else 0)
    step.emit(moved, source=SOURCE, key=plan.plan_id)


def _end(step: StepContext, seen: Seen, reason: str) -> None:
    plan = seen.plan
    filled = seen.filled(plan.terms.side)
    step.emit(PlanEnded(plan.plan_id, reason, filled), source=SOURCE, key=plan.plan_id)
