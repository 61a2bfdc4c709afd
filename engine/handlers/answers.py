"""Answers of a venue to our requests, and frames of private streams, which answer none."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from engine.apply.batch import Applied
from engine.apply.messages import answer_in
from engine.bodies import NoteLevel
from engine.events import (
    AccountReport,
    Answer,
    Event,
    Fill,
    FillsReport,
    InstrumentsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    PositionModeReport,
    PositionsReport,
    ServerTime,
    Subscribed,
    Unrecognised,
)
from engine.execution import doubts, order_reports, position_reports, reconciliation
from engine.execution.balance_reports import apply_balances
from engine.execution.unstated_fees import charge_unstated_fees
from engine.facts import (
    BalanceChanged,
    ClockMeasured,
    OrderAccepted,
    OrderAdopted,
    OrderAmended,
    OrderClosed,
    OrderFilled,
    OrderNotPlaced,
    OrdersBlocked,
    RateBlocked,
    RoundChanged,
)
from engine.handlers.access_refusals import admit, refuse_access
from engine.handlers.account_events import handle_event
from engine.handlers.amendments import handle_amend_answer
from engine.handlers.freshness import continue_resubscription
from engine.handlers.link_changes import disconnect, is_blocked, measure_clock, subscribe
from engine.handlers.load_history import handle_history_answer
from engine.handlers.lost_orders import is_unrecorded
from engine.handlers.margin_settings import apply_position_mode, handle_set_answer
from engine.handlers.order_queries import query_order
from engine.handlers.poll_market import handle_poll_answer
from engine.handlers.renew_tokens import handle_renewal
from engine.handlers.reread_metadata import apply_metadata, apply_permission, reread_metadata
from engine.lifecycle import LIVE
from engine.mode_reasons import ModeReason, ReasonCode
from engine.requests import LinkPhase, LinkRole, Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.account_keys import asset_key
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.state.session_state import Account
from engine.step_context import StepContext

ORDER_CHANGES = (OrderAccepted, OrderAdopted, OrderAmended, OrderClosed, OrderNotPlaced)


def handle_message(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Handle a message of a venue: an answer, or the events of a frame."""
    if applied.request is not None:
        _handle_answer(session, step, applied, applied.request)
        return
    if applied.outcome:
        text = f"an answer to request {step.record.cause}, which was answered before or never asked"
        step.note(NoteLevel.WARNING, text)
    for event in applied.events:
        handle_event(session, step, event)


def _handle_answer(session: SessionContext, step: StepContext, applied: Applied, pending: PendingRequest) -> None:
    request, purpose = pending.request, pending.request.purpose
    answer = answer_in(applied.events) or Answer(Outcome.DONE)
    if answer.outcome is Outcome.ORDER_LIMITED and not session.safeguards.order_backoff_first_ns:
        answer = replace(answer, outcome=Outcome.RATE_LIMITED)  # as such sessions were recorded
    is_done = answer.outcome is Outcome.DONE
    account, first = step.account, len(step.outputs)
    if not is_done:
        _heed_limits(session, step, pending, answer)
    elif account.access.by_venue:
        admit(step, pending, answer)
    is_absent = answer.outcome is Outcome.NOT_FOUND and purpose is Purpose.QUERY_ORDER
    if is_absent and session.factories[request.venue].follow_ups.query_again(step, request):
        return
    if (note := NOTES.get(purpose)) is not None:
        note(session, step, pending, answer)
    reports = [event for event in applied.events if type(event) is not Answer]
    for event in reports if purpose is not Purpose.HISTORY else ():
        _handle_report(session, step, applied, pending, event)
    if placed := request.placed:
        proof_after_ns = session.proof_after_ns(session.venues[request.venue])
        order_reports.apply_place_answer(
            step, pending, placed, answer, sent_ns=applied.sent_ns, proof_after_ns=proof_after_ns
        )
        if answer.is_instrument_rule:
            reread_metadata(session, step, request.venue)
    elif (handle := HANDLERS.get(purpose)) is not None:
        handle(session, step, pending, answer)
    elif purpose is Purpose.HISTORY:
        handle_history_answer(session, step, pending, answer, reports)
        return
    elif purpose is Purpose.POLL:
        handle_poll_answer(session, step, pending, answer, reports)
        return
    if not (is_done or is_absent) or Unrecognised in map(type, reports):
        reconciliation.fail(step, pending, f"{answer.outcome} {answer.text}")
    if request.round and step.settings.order_rules:
        _count_changes(step, pending, account, first)
    reconciliation.query_missing_fills(step, session.factories, session.instruments)


def _note_resubscription(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    if answer.outcome is Outcome.DONE:
        continue_resubscription(session, step, pending)
    else:
        source = pending.request.source
        step.note(NoteLevel.WARNING, f"{source}: subscription refused: {answer.coded_text}")
        disconnect(session, step, source)


def _note_subscription(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    if answer.outcome is not Outcome.DONE:
        step.note(NoteLevel.ALARM, f"subscription refused: {answer.coded_text}")
        disconnect(session, step, pending.request.source)


def _note_switch(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    del session
    if answer.outcome is not Outcome.DONE:
        why = f"{answer.outcome} {answer.coded_text}"
        step.note(NoteLevel.ALARM, f"the dead-man switch of {pending.request.instrument} is not armed: {why}")


def _note_snapshot(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    del session
    if answer.outcome is not Outcome.DONE:
        text = f"no depth snapshot of {pending.request.instrument}: {answer.outcome} {answer.text}"
        step.note(NoteLevel.WARNING, text)


def _count_changes(step: StepContext, pending: PendingRequest, before: Account, first: int) -> None:
    """Record what an answer to a round changed: its outputs since `first`. Not before order_rules 1."""
    account = step.account_of(pending.request.venue)
    rounds = step.account.reconciling.for_account(account)
    if pending.request.round != rounds.round:
        return
    bodies = [output.body for output in step.outputs[first:]]
    orders = {body.client_order_id for body in bodies if isinstance(body, ORDER_CHANGES)}
    fills = sum(isinstance(body, OrderFilled) for body in bodies)
    balances = 0
    for body in bodies:
        if isinstance(body, BalanceChanged):
            known = before.balances.by_asset.get(asset_key(body.venue, body.asset))
            balances += known is None or (known.free, known.locked) != (body.free, body.locked)
    if orders or fills or balances:
        step.emit(RoundChanged(rounds.round, len(orders), fills, balances, account), source="reconcile")


def _handle_cancel_answer(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Record the answer to a cancel; ask about the order, by the venue's id once cancels keep being refused."""
    name = pending.request.client_order_id
    counted = answer if session.safeguards.cancel_backoff_max_ns else None
    must_query = order_reports.apply_cancel_answer(step, pending, answer, counted=counted)
    refused, limit = step.account.cancels.refused.get(name, 0), session.safeguards.cancel_refusals_max
    order = step.account.orders.live.get(name)
    if order is not None and refused and refused % limit == 0:
        wait_s = step.account.cancels.wait_ns(name, session.safeguards) // SECOND_NS
        text = f"the venue refused {refused} cancels of order {name} ({answer.coded_text}); next in {wait_s} s"
        step.note(NoteLevel.ALARM, text, key=name)
        venue = pending.request.venue
        may_query = not is_blocked(step, venue) and not step.account.access.is_refused(venue, step.time_ns)
        if order.venue_order_id and not order.query_seq and may_query:
            instrument = session.instruments[order.order.instrument]
            session.factories[instrument.venue].query_order(
                step, instrument=instrument, client_order_id=name, venue_order_id=order.venue_order_id
            )
            return
    if must_query:
        query_order(session, step, name, if_unknown=False)


def _handle_report(
    session: SessionContext, step: StepContext, applied: Applied, pending: PendingRequest, event: Event
) -> None:
    venue = pending.request.venue
    match event:
        case OrderReport():
            _handle_queried_order(session, step, pending, event)
        case OpenOrdersReport():
            reconciliation.apply_open_orders(
                step,
                session.factories[venue],
                session.instruments,
                pending,
                event,
                is_own=is_unrecorded(session, step),
            )
        case AccountReport():
            apply_balances(step, pending, event, session.accounts.assets_at(venue))
            charge_unstated_fees(step, session.accounts.scopes[step.account_of(venue)])
            if event.can_trade is not None:
                apply_permission(session, step, venue, is_allowed=event.can_trade)
        case PositionsReport():
            position_reports.apply_positions(step, pending, event, session.instruments)
        case PositionModeReport():
            apply_position_mode(session, step, venue, event)
        case InstrumentsReport():
            apply_metadata(session, step, venue, event)
        case FillsReport():
            recorded = reconciliation.apply_fills(step, session.factories[venue], session.instruments, pending, event)
            _check_silent_stream(session, step, venue, recorded)
        case ServerTime() if applied.sent_ns:
            middle_ns = (applied.sent_ns + step.time_ns) // 2
            step.emit(ClockMeasured(venue, event.venue_ns - middle_ns))
        case Subscribed() if pending.request.purpose is Purpose.SUBSCRIBE:
            subscribe(session, step, pending.request.source, pending.request.unsigned)
        case _:
            handle_event(session, step, event)


def _handle_queried_order(
    session: SessionContext, step: StepContext, pending: PendingRequest, event: OrderReport
) -> None:
    request = pending.request
    is_query = request.purpose is Purpose.QUERY_ORDER
    is_orphan = is_query and not request.client_order_id
    reported = step.account.orders.find(event.instrument, event.client_order_id, event.venue_order_id)
    if reported is None and (is_orphan or event.status in order_reports.OPEN) and is_unrecorded(session, step)(event):
        order_reports.halt_for_lost(step, event)
    if is_query and reported is not None and step.settings.order_rules:
        _judge_closed(step, pending, reported, event)
        reported = None  # a doubt may have changed it
    known = step.account.orders.get(request.client_order_id)
    was_apart = known is not None and session.factories[request.venue].keeps_apart(known)
    order = order_reports.apply_report(step, event, session.instruments, reported)
    if was_apart and order is not None and order.venue_order_id and order.status in LIVE:
        query_order(session, step, order.client_order_id, if_unknown=False)  # its order in the market says how it is
    name = request.instrument
    if is_orphan and not reconciliation.queries_orphans(step, name):
        # the orders of the unknown fills are known now, so the fills can be recorded
        session.factories[request.venue].fills(
            step,
            instrument=session.instruments[name],
            after=step.account.reconciling.confirmed_cursor(name) or step.fill_cursor(request.venue).start,
            reconcile_round=request.round,
        )


def _judge_closed(step: StepContext, pending: PendingRequest, known: Order, event: OrderReport) -> None:
    """Record a doubt about a closed order that its own answer states as open. It halts if it lasts."""
    if doubts.is_contradiction(step, known, event, as_of_ns=pending.time_ns):
        doubts.doubt(step, known, doubts.contradiction(known))


def _check_absent(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Doubt, or under order_rules 0 halt for, a live order that the venue does not know. It may only be late."""
    name = pending.request.client_order_id
    if answer.outcome is not Outcome.NOT_FOUND or not name:
        return
    if order_reports.not_found(step, name, asked_ns=pending.time_ns):
        doubts.settle(step, step.account.orders.get(name))
        return
    text = f"order {name} is live here, and the venue does not know it"
    age_ns = step.time_ns - step.account.orders.live[name].updated_ns
    is_old = age_ns > session.proof_after_ns(session.venues[pending.request.venue])
    if is_old and session.settings.order_rules:
        doubts.doubt(step, step.account.orders.live[name], text)
    elif is_old:
        step.halt(ModeReason(ReasonCode.ORDER_CONTRADICTED, text, name))
    else:
        step.note(NoteLevel.WARNING, text, key=name)


def _check_silent_stream(session: SessionContext, step: StepContext, venue: str, recorded: list[Fill]) -> None:
    """Reconnect a private stream that did not deliver fills of its time, which only a query found (S7, S8)."""
    offset_ns = step.account.limits.get(venue).clock_offset_ns
    grace_ns = session.settings.order_query_interval_ns // 2  # how late a fill may be on the stream
    for source in sorted(step.account.links.by_source):
        link = step.account.links.by_source[source]
        if link.venue != venue or link.role is not LinkRole.PRIVATE or link.state is not LinkPhase.READY:
            continue
        if source in session.polled.sources:
            continue  # only queries find its fills
        missed = [
            fill.fill_id
            for fill in recorded
            if link.changed_ns + grace_ns < fill.venue_ns - offset_ns < step.time_ns - grace_ns
        ]
        if missed:
            step.note(NoteLevel.ALARM, f"{source}: fills {', '.join(missed[:10])} were never streamed")
            disconnect(session, step, source)


def _heed_limits(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Wait as long as the venue demands, measure its clock, or stop trading if it refuses access."""
    venue = pending.request.venue
    match answer.outcome:
        case Outcome.RATE_LIMITED:
            # the instant is of the venue's clock
            budget, max_ns = step.account.limits.get(venue), session.safeguards.rate_backoff_max_ns
            retry_at_ns = answer.retry_at_ns - budget.clock_offset_ns
            is_stated = answer.retry_after_ns > 0 or retry_at_ns > step.time_ns
            wait_ns = answer.retry_after_ns or (SECOND_NS if is_stated else budget.next_wait_ns(step.time_ns, max_ns))
            until_ns = max(retry_at_ns, step.time_ns + wait_ns)
            own_ns = 0 if is_stated or not max_ns else wait_ns
            step.emit(RateBlocked(venue, until_ns, answer.coded_text, own_ns))
        case Outcome.ORDER_LIMITED:
            wait_ns = step.account.order_blocks.next_wait_ns(venue, step.time_ns, session.safeguards)
            until_ns = step.time_ns + max(wait_ns, answer.retry_after_ns)
            step.emit(OrdersBlocked(venue, until_ns, answer.coded_text, wait_ns))
        case Outcome.CLOCK:
            measure_clock(session, step, venue)
        case Outcome.AUTH:
            refuse_access(session, step, pending, answer)
        case _:
            pass


# purpose -> what an answer to it leads to, before its reports
NOTES: Final[dict[Purpose, Callable[[SessionContext, StepContext, PendingRequest, Answer], None]]] = {
    Purpose.QUERY_ORDER: _check_absent,
    Purpose.RESUBSCRIBE: _note_resubscription,
    Purpose.SUBSCRIBE: _note_subscription,
    Purpose.ARM_SWITCH: _note_switch,
    Purpose.DEPTH: _note_snapshot,
}
# purpose -> what an answer to it leads to, after its reports
HANDLERS: Final[dict[Purpose, Callable[[SessionContext, StepContext, PendingRequest, Answer], None]]] = {
    Purpose.AMEND: handle_amend_answer,
    Purpose.CANCEL: _handle_cancel_answer,
    Purpose.SET_LEVERAGE: handle_set_answer,
    Purpose.SET_MARGIN_MODE: handle_set_answer,
    Purpose.RENEW_TOKEN: handle_renewal,
}
