"""Timers that fire. A timer that triggers a strategy leads to nothing here: the kernel runs the strategy."""

from engine.apply.batch import Applied
from engine.facts import SessionClosing, TimerBody
from engine.handlers.links import reconnect
from engine.handlers.market_triggers import request_snapshots
from engine.handlers.order_queries import query_order
from engine.handlers.pnl import emit_pnl
from engine.handlers.watch import watch_session
from engine.session_context import SessionContext
from engine.step_context import StepContext


def handle_timer(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Do what the timer is set for. "reconcile" is left to the policy stage, which sees that it fired."""
    assert isinstance(applied.body, TimerBody), applied
    kind, _, name = applied.body.timer.partition(".")
    match kind:
        case "every" if name == "watch":
            watch_session(session, step)
        case "every" if name == "report":
            emit_pnl(session, step)
        case "connect":
            reconnect(session, step, name)
        case "ask":
            query_order(session, step, name)
        case "depth":
            request_snapshots(session, step)
        case "rate":  # links whose venue had forbidden requests
            for source in sorted(step.account.links.by_source):
                if f"connect.{source}" not in step.account.timers.due_ns:
                    reconnect(session, step, source)
        case "stop" if step.account.modes.stopping_since_ns and not step.account.modes.closing:
            step.note("warning", "stopped without an answer from the venue to everything that was asked")
            step.emit(SessionClosing("deadline"))
        case _:
            pass
