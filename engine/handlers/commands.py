"""Commands of a person. A command that only changes the mode is folded already: see engine/state/mode.py."""

from engine.apply.batch import Applied
from engine.bodies import CommandBody, CommandName, NoteLevel
from engine.execution import reconciliation
from engine.facts import SafetyCause, SafetyKind
from engine.handlers.link_changes import disconnect
from engine.handlers.pause_strategy import pause_strategy
from engine.handlers.pnl import emit_pnl
from engine.handlers.resuming import lift_halts
from engine.handlers.safety import name_waiting, order_safety, withdraw_for_resume
from engine.handlers.shutdown import cancel_all
from engine.handlers.trip_breakers import handle_resume
from engine.session_context import SessionContext
from engine.step_context import StepContext
from journal.record import plain


def handle_command(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Do what a person ordered: cancel all, flatten, resume, reconcile, accept a balance, end a pause."""
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
            lift_halts(session, step, applied.body)
        case CommandName.RECONCILE:
            for scope in session.accounts.scopes.values():
                hindrance = reconciliation.hindrance(step, scope)
                if hindrance and session.settings.order_rules:
                    where = f" at {scope.account}" if scope.account else ""
                    step.note(NoteLevel.WARNING, f"no reconciliation{where} starts now: {hindrance}")
            reconciliation.request(step, session.accounts.scopes.values())
        case CommandName.ACCEPT_BALANCE:
            _note_accepted(step, applied.body)
        case CommandName.RESUME_INSTRUMENT | CommandName.RESUME_STRATEGY:
            handle_resume(session, step, applied.body)
        case CommandName.RELOAD_KEYS:
            _open_accounts_again(session, step, applied.body)
        case CommandName.REPORT:
            emit_pnl(session, step)
        case CommandName.PAUSE_STRATEGY:
            pause_strategy(session, step, applied.body)
        case _:
            pass


def _note_accepted(step: StepContext, command: CommandBody) -> None:
    """Note the ledger's number; the command itself is folded already."""
    ours = step.account.ledger.by_asset.get(command.about)
    if ours is None:
        step.note(NoteLevel.WARNING, f"the venue never reported a balance of {command.about}: nothing is accepted")
        return
    person = command.by or "operator"
    text = f"{command.about}: our records follow the venue at {plain(ours.expected)}, by {person}: {command.reason}"
    step.note(NoteLevel.INFO, text)


def _open_accounts_again(session: SessionContext, step: StepContext, command: CommandBody) -> None:
    """End the links of the accounts whose keys were read again, so that they begin with the new ones."""
    links = step.account.links.private(command.about)
    for link in links:
        disconnect(session, step, link.source)
    venues = ", ".join(sorted({link.venue for link in links}))
    step.note(NoteLevel.INFO, f"keys were read again, by {command.by or 'operator'}: {venues}")


def _order_safety(session: SessionContext, step: StepContext, command: CommandBody, kind: SafetyKind) -> None:
    also = tuple(command.about.split(",")) if command.about else ()
    order_safety(step, kind, SafetyCause.COMMAND, by=command.by or "operator", repeat=True, also=also)
    name_waiting(session, step)
