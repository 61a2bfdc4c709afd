"""Which mode is right, from everything that speaks against trading now. Decides; engine/state/mode.py remembers.

Only RUNNING lets new orders out. Lost link, stale feed, gap, clock jump, disagreement: out of RUNNING at once, and back only
through a reconciliation begun after it.
"""

from engine.facts import ModeChanged
from engine.mode_reasons import Mode
from engine.session_record import SECOND_NS
from engine.step_context import StepContext

OWED_NS = 2 * SECOND_NS  # a fill may come a little after the report that counts it


def update_mode(turn: StepContext, *, market_reasons: tuple[str, ...]) -> None:
    """Puts out a ModeChanged where mode or reasons differ from what the state holds."""
    mode, reasons = _right(turn, market_reasons)
    modes = turn.account.modes
    if (mode, reasons) != (modes.mode, modes.reasons):
        turn.fact(ModeChanged(mode, reasons), source="mode")


def _right(turn: StepContext, market_reasons: tuple[str, ...]) -> tuple[Mode, tuple[str, ...]]:
    account = turn.account
    modes = account.modes
    if modes.halted_for:
        return Mode.HALTED, (modes.halted_for,)
    not_ready = [(link.source, link.state) for link in account.links.by_source.values() if link.state != "ready"]
    reasons = [f"{source} is {state}" for source, state in sorted(not_ready)] if not_ready else []
    blocked = [
        (venue, budget.reason)
        for venue, budget in account.limits.by_venue.items()
        if turn.time_ns < budget.blocked_until_ns
    ]
    if blocked:
        reasons += [f"{venue} asked us to wait: {reason}" for venue, reason in sorted(blocked)]
    if account.reconciling.done_started_seq <= modes.distrust_seq and account.links.has_account:
        reasons.append("not reconciled")
    reasons += [
        f"order {name} filled more than the fills we have say"
        for name in account.orders.owing
        if (order := account.orders.get(name)) is not None and turn.time_ns - order.reported_ns > OWED_NS
    ]
    reasons += market_reasons
    if reasons:
        return (
            Mode.STARTING if modes.mode is Mode.STARTING and not account.links.all_ready() else Mode.SYNCING
        ), tuple(reasons)
    if modes.paused_by:
        return Mode.PAUSED, (f"paused by {modes.paused_by}",)
    return Mode.RUNNING, ()
