"""The policy stage, at the end of a step: breakers, mode, safety orders, reconciliation, the end of a session."""

from operator import attrgetter

from engine.execution import ledger_check, reconciliation
from engine.facts import ModeChanged
from engine.handlers.block_instruments import block_unready, mode_reasons
from engine.handlers.expiries import cancel_expired, has_expired
from engine.handlers.run_plans import advance_plans
from engine.handlers.safety import advance_safety
from engine.handlers.shutdown import advance_shutdown
from engine.handlers.trip_breakers import trip_breakers
from engine.handlers.venue_trouble import decide_account_modes
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
    if _is_quiet(session, step):  # a further stage below must be added there
        return True
    if step.account.breakers.due:
        trip_breakers(session, step)
    # the mode comes before the round: one that began before RUNNING ended would prove nothing
    market_reasons = decide_mode(session, step)
    if step.account.plans.running:
        advance_plans(session, step)
    if step.account.orders.expiring:
        cancel_expired(session, step)
    account = step.account
    is_safe = not advance_safety(session, step)
    is_round_due = reconciliation.advance(step, session.accounts.scopes.values())
    ledger_check.halt_for_drift(step)
    if step.account is not account:
        decide_mode(session, step, market_reasons)
        if step.account.modes is not account.modes and step.account.plans.running:
            advance_plans(session, step)  # a plan protects its position before a strategy decides
    modes = step.account.modes
    if modes.stopping_since_ns:
        advance_shutdown(session, step)
        return False
    is_quiescent = (
        modes.mode is Mode.RUNNING
        and is_safe
        and not step.account.orders.missing_fills
        and not is_round_due
        and not _is_blocked(step)
        and not has_expired(session, step)
    )
    is_quiet = is_quiescent and not (
        modes.reasons or step.account.access.by_venue or step.account.reconciling.any_running
    )  # an access refusal ends by time, a round with the last answer
    step.state.quiet_parts = _quiet_parts(step.account) if is_quiet else ()
    return is_quiescent


# the parts that the policy reads, without those that `_is_quiet` reads at every step
_quiet_parts = attrgetter(
    "modes", "links", "reconciling", "access", "safety", "blocks", "instruments", "lateness", "account_modes"
)


def _is_quiet(session: SessionContext, step: StepContext) -> bool:
    """Return True if the policy has nothing to do, since nothing moved after it last found that.

    Parts are immutable, so equal parts lead to the same decisions. Orders, budgets, timers and strategies move with
    every order: only what of them leads to a decision is read. A drift is recorded by a round, which moves a part.
    """
    known, account = step.state.quiet_parts, step.account
    if not known or _quiet_parts(account) != known:
        return False
    orders = account.orders
    if orders.missing_fills or orders.doubted or account.breakers.due or account.plans.running:
        return False
    if orders.expiring and has_expired(session, step):
        return False
    due_ns = account.timers.due_ns
    for timer in session.accounts.round_timers:
        if timer not in due_ns:
            return False
    for status in account.strategies.by_name.values():
        if status.stopped_for:
            return False
    for budget in account.limits.by_venue.values():
        if step.time_ns < budget.blocked_until_ns:
            return False
    return step.market.are_live(with_book=session.settings.books)


def _is_blocked(step: StepContext) -> bool:
    """Return True if a venue demands that we wait."""
    budgets = step.account.limits.by_venue.values()
    return bool(budgets) and step.time_ns < max([budget.blocked_until_ns for budget in budgets])


def decide_mode(
    session: SessionContext, step: StepContext, market_reasons: tuple[ModeReason, ...] | None = None
) -> tuple[ModeReason, ...]:
    """Emit the mode if it or its reasons changed. Return what the market lacks, for a second call in the step."""
    blocked: tuple[ModeReason, ...] = ()
    accounts = decide_account_modes(session, step)
    if session.settings.block_instruments:
        block_unready(session, step)
        market_reasons, blocked = (), mode_reasons(session, step)
    elif market_reasons is None:
        with_books, market = session.settings.books, step.market
        market_reasons = tuple(
            ModeReason(ReasonCode.NO_BOOK, f"{name} has no synchronised book", name)
            if with_books and market.awaits_book(index)
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
        accounts=accounts,
        time_ns=step.time_ns,
    )
    if (mode, reasons) != (modes.mode, modes.reasons):
        step.emit(ModeChanged(mode, reasons), source="mode")
    return market_reasons
