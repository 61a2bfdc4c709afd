"""The policy stage: it closes every step. It chooses the mode, advances reconciliation, and ends a stopping session."""

from engine.execution import ledger_check, reconciliation
from engine.facts import ModeChanged
from engine.handlers.block_instruments import block_unready, mode_reasons
from engine.handlers.safety import advance_safety
from engine.handlers.shutdown import advance_shutdown
from engine.handlers.trip_breakers import trip_breakers
from engine.market.views import BookState
from engine.mode_reasons import Mode, ModeReason, ReasonCode
from engine.session_context import SessionContext
from engine.state.mode import right_mode
from engine.step_context import StepContext


def advance_policy(session: SessionContext, step: StepContext) -> bool:
    """Do what is due after any input.

    Returns:
        True if the policy is quiescent: it has nothing to do at any later time, as long as neither the account nor the
        liveness of a market changes. Only then may a step skip it.

    """
    if step.account.breakers.due:
        trip_breakers(session, step)
    # the mode comes first: a round that began before RUNNING ended would prove nothing
    market_reasons = decide_mode(session, step)
    account = step.account
    is_safe = not advance_safety(session, step)
    is_round_due = reconciliation.advance(step, session.requests, session.instruments)
    ledger_check.halt_for_drift(step)
    if step.account is not account:
        decide_mode(session, step, market_reasons)
    modes = step.account.modes
    if modes.stopping_since_ns:
        advance_shutdown(session, step)
        return False
    return (
        modes.mode is Mode.RUNNING
        and is_safe
        and not step.account.orders.missing_fills
        and not is_round_due
        and all(budget.blocked_until_ns <= step.time_ns for budget in step.account.limits.by_venue.values())
    )


def decide_mode(
    session: SessionContext, step: StepContext, market_reasons: tuple[ModeReason, ...] | None = None
) -> tuple[ModeReason, ...]:
    """Emit the mode if it or its reasons changed. Return what the market lacks, for a second call in the step."""
    blocked: tuple[ModeReason, ...] = ()
    if session.settings.block_instruments:
        block_unready(session, step)
        market_reasons, blocked = (), mode_reasons(session, step)
    elif market_reasons is None:
        with_books, market = session.settings.books, step.market
        market_reasons = tuple(
            ModeReason(ReasonCode.NO_BOOK, f"{name} has no synchronised book", name)
            if with_books and market.book_state(index) is not BookState.SYNCED
            else ModeReason(ReasonCode.NO_QUOTE, f"{name} has no quote", name)
            for name, index in session.indexes.items()
            if not market.is_live(index, with_book=with_books)
        )
    account = step.account
    modes = account.modes
    mode, reasons = right_mode(
        modes,
        links=account.links,
        limits=account.limits,
        orders=account.orders,
        reconciling=account.reconciling,
        access=account.access,
        forbidden=account.instruments.forbidden,
        safety=account.safety,
        market_reasons=market_reasons,
        blocks=blocked,
        is_all_blocked=bool(blocked) and len(blocked) == len(session.instruments),
        late=account.lateness,
        time_ns=step.time_ns,
    )
    if (mode, reasons) != (modes.mode, modes.reasons):
        step.emit(ModeChanged(mode, reasons), source="mode")
    return market_reasons
