"""Commands of a person. A command that only changes the mode is folded already: see engine/state/mode.py."""

from engine.apply.batch import Applied
from engine.bodies import CommandBody, CommandName
from engine.execution import reconciliation
from engine.facts import SafetyCause, SafetyKind
from engine.handlers.safety import name_waiting, order_safety, withdraw_for_resume
from engine.handlers.shutdown import cancel_all
from engine.session_context import SessionContext
from engine.step_context import StepContext


def handle_command(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Cancel all orders or start a reconciliation, as ordered."""
    assert isinstance(applied.body, CommandBody), applied
    match applied.body.command:
        case CommandName.CANCEL_ALL if not session.body.safety.pursues:
            cancel_all(session, step, ordered=True)
        case CommandName.CANCEL_ALL:
            _order_safety(session, step, applied.body, SafetyKind.CANCEL)
        case CommandName.FLATTEN:
            _order_safety(session, step, applied.body, SafetyKind.FLATTEN)
        case CommandName.RESUME:
            withdraw_for_resume(step)
        case CommandName.RECONCILE:
            reconciliation.request(step, session.requests, session.instruments)
        case _:
            pass


def _order_safety(session: SessionContext, step: StepContext, command: CommandBody, kind: SafetyKind) -> None:
    order_safety(step, kind, SafetyCause.COMMAND, by=command.by or "operator", repeat=True)
    name_waiting(session, step)
