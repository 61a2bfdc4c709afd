"""The mode of each account in a session of several venues, and what one venue's trouble stops."""

from engine.block_reasons import BlockCode, BlockReason
from engine.facts import AccountModeChanged
from engine.handlers.block_instruments import block, unblock
from engine.mode_reasons import Mode, ModeReason
from engine.session_context import SessionContext
from engine.state.mode import trouble
from engine.step_context import StepContext
from engine.venue_choices import VenueTrouble


def decide_account_modes(session: SessionContext, step: StepContext) -> list[ModeReason] | None:
    """Emit the mode of each account that changed, and block the instruments of one that stops alone.

    Returns:
        The reasons that stop the whole session; None in a session of one venue.

    """
    if not session.reducer_settings.has_accounts:
        return None
    for venue in session.venues:
        _decide(session, step, venue)
    modes = step.account.account_modes
    reasons = [reason for venue in session.venues for reason in modes.get(venue).reasons]
    if session.settings.on_venue_trouble is VenueTrouble.ALL:
        return reasons
    for venue in session.venues:
        _block(session, step, venue)
    is_any_running = any(modes.get(venue).mode is Mode.RUNNING for venue in session.venues)
    return [] if is_any_running else reasons


def _decide(session: SessionContext, step: StepContext, venue: str) -> None:
    """Emit the mode of one account if it or its reasons changed."""
    account, scope = step.account, session.accounts.scopes.get(venue)
    reasons = tuple(
        trouble(
            venue,
            links=account.links,
            limits=account.limits,
            orders=account.orders,
            access=account.access,
            forbidden=account.instruments.forbidden,
            is_reconciled=scope is None or scope.rounds(step).done_started_seq > scope.stale_since_seq(step),
            time_ns=step.time_ns,
        )
    )
    known = account.account_modes.get(venue)
    is_starting = known.mode is Mode.STARTING and not account.links.all_ready(venue)
    mode = Mode.RUNNING if not reasons else Mode.STARTING if is_starting else Mode.SYNCING
    if (mode, reasons) != (known.mode, known.reasons):
        step.emit(AccountModeChanged(venue, mode, reasons), source="mode")


def _block(session: SessionContext, step: StepContext, venue: str) -> None:
    """Block the instruments of a venue while its account does not run."""
    is_running = step.account.account_modes.get(venue).mode is Mode.RUNNING
    for name, instrument in session.instruments.items():
        if instrument.venue != venue:
            continue
        if is_running:
            unblock(step, name, BlockCode.ACCOUNT, venue)
        else:
            block(step, name, BlockReason(BlockCode.ACCOUNT, f"the account at {venue} does not run", venue))
