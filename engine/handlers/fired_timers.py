"""Timers that fire. A timer that triggers a strategy leads to nothing here: the kernel runs the strategy."""

from engine.apply.batch import Applied
from engine.apply.inputs import forget_closed_orders
from engine.bodies import NoteLevel, TimerBody
from engine.facts import CloseReason, SessionClosing
from engine.handlers.link_changes import reconnect
from engine.handlers.load_history import advance_history
from engine.handlers.market_triggers import request_snapshots
from engine.handlers.order_queries import query_order
from engine.handlers.pnl import emit_pnl
from engine.handlers.poll_market import poll_due, poll_stream
from engine.handlers.refresh_balances import refresh_balances
from engine.handlers.reread_metadata import request_metadata
from engine.handlers.stop_protection import name_protection
from engine.handlers.watch import watch_session
from engine.handlers.watch_errors import watch_errors
from engine.handlers.watch_losses import rate_amounts, watch_daily_loss
from engine.record_codec import read_timer
from engine.session_context import SessionContext
from engine.state.session_state import State
from engine.step_context import StepContext
from engine.timer_names import TimerKind, TimerName
from journal.record import Record

HANDLED_ONLY = frozenset({TimerKind.CHECK, TimerKind.REPORT})  # no strategy and no policy stage follows them


def handle_timer(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Do what the timer is set for. RECONCILE is left to the policy stage, which sees that it fired."""
    assert isinstance(applied.body, TimerBody), applied
    timer = TimerName.parse(applied.body.timer)
    match timer.kind:
        case TimerKind.CHECK:
            watch_session(session, step)
            watch_errors(session, step)
            rate_amounts(session, step)
            watch_daily_loss(session, step)
            refresh_balances(session, step)
            if session.history_needs:
                advance_history(session, step)
            if session.polled.streams:
                poll_due(session, step)
        case TimerKind.POLL:
            poll_stream(session, step, timer.subject)
        case TimerKind.BARS if session.history_needs:
            advance_history(session, step)
        case TimerKind.REPORT:
            emit_pnl(session, step)
        case TimerKind.CONNECT:
            reconnect(session, step, timer.subject)
        case TimerKind.QUERY_ORDER:
            query_order(session, step, timer.subject)
        case TimerKind.SNAPSHOT:
            request_snapshots(session, step)
        case TimerKind.METADATA:
            request_metadata(session, step)
        case TimerKind.RATE_BLOCK:  # links whose venue had forbidden requests
            for source in sorted(step.account.links.by_source):
                if not step.account.timers.is_set(TimerKind.CONNECT, source):
                    reconnect(session, step, source)
        case TimerKind.STOP if step.account.modes.stopping_since_ns and not step.account.modes.closing:
            step.note(NoteLevel.WARNING, "stopped without an answer from the venue to everything that was asked")
            name_protection(session, step)
            step.emit(SessionClosing(CloseReason.DEADLINE))
        case _:
            pass


def leads_to_nothing(session: SessionContext, state: State, timer: Record) -> bool:
    """Return True if a TIMER of HANDLED_ONLY leads to no output and drops no order. The state stays as it is."""
    body, account = read_timer(timer.body or ""), state.account
    if TimerName.parse(body.timer).kind is TimerKind.CHECK:
        if state.market.history:
            return False
        forget_closed_orders(session, state, timer.time_ns)
    if state.account is account:
        step = StepContext(state, timer, session.reducer_settings)
        handle_timer(session, step, Applied(body=body))
        if not step.outputs:
            return True
    state.account = account  # the ordinary step does it
    return False
