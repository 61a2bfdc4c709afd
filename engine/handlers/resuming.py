"""A person's resume: the reasons to halt that it lifts, by name, and a warning for each that holds still."""

from engine.bodies import CommandBody, NoteLevel
from engine.facts import HaltsLifted
from engine.market.views import BookState
from engine.mode_reasons import ModeReason, ReasonCode, texts
from engine.session_context import SessionContext
from engine.step_context import StepContext


def lift_halts(session: SessionContext, step: StepContext, command: CommandBody) -> None:
    """Lift every reason to halt, and name them. No-op without one, or before order_rules 1."""
    halts = step.account.modes.halts
    if not halts or not session.settings.order_rules:
        return
    by = command.by or "operator"
    held = [(reason, text) for reason in halts if (text := _still_holds(session, step, reason))]
    step.emit(HaltsLifted(by, halts))
    step.note(NoteLevel.WARNING, f"{by} resumed and lifted {len(halts)} reasons to halt: {texts(halts)}")
    for reason, text in held:
        step.note(NoteLevel.ALARM, f"lifted, but it holds still: {reason.text} ({text})")


def _still_holds(session: SessionContext, step: StepContext, reason: ModeReason) -> str:
    """Return how a reason to halt shows itself now, or "" if nothing shows it."""
    account = step.account
    match reason.code:
        case ReasonCode.KEY_REFUSED if reason.about in account.access.by_venue:
            return "no answer since proves access"
        case ReasonCode.ORDER_CONTRADICTED if reason.about in account.orders.doubted:
            return "the venue has not agreed since"
        case ReasonCode.RECORDS_LOST if reason.about in account.orders.live:
            return "the order is open"
        case ReasonCode.MARKET_DATA_INVALID if reason.about in session.indexes:
            state = step.market.book_state(session.indexes[reason.about])
            return f"its book is {state.name.lower()}" if state is BookState.BROKEN else ""
        case ReasonCode.BALANCE_DRIFT if reason.about in account.ledger.drifted:
            return "only accept-balance ends it"
        case _:
            return ""
