"""The P&L of the day over a restart: positions whose instrument the next session does not list keep their last one.

A position that nothing marks cannot be valued again, and its loss of the day must not be forgotten. So the opening
state has the last P&L of each position, and it counts where the session lists no instrument for it.
"""

from decimal import localcontext
from typing import Any

from msgspec.structs import replace

from engine import contracts
from engine.bodies import NoteLevel
from engine.handlers.losses_of_day import name_of_day, pnl_now, stale_pnl
from engine.money import MONEY
from engine.session_context import SessionContext
from engine.state.day_pnl import DayPnl, LastPnl, day_of
from engine.state.session_state import State, carry_over
from engine.step_context import StepContext
from journal.record import plain


def opening_after(session: SessionContext, state: State) -> dict[str, Any]:
    """Return the opening state of the session that follows, as JSON values.

    Args:
        session: The session that the state is of.
        state: Its last state.

    Raises:
        ValueError: The state cannot be carried over.

    """
    account = state.account
    day = account.day_pnl
    if not day.day:
        return carry_over(state)
    with localcontext(MONEY):
        state.account = replace(account, day_pnl=replace(day, last=_last_pnl(session, state, day)))
    try:
        return carry_over(state)
    finally:
        state.account = account


def _last_pnl(session: SessionContext, state: State, day: DayPnl) -> dict[str, LastPnl]:
    """Return the P&L of each position that counts on this day: now, or as it last was known."""
    now = pnl_now(session, state)
    last = dict(day.last)
    for key, pnl in now.by_position.items():
        instrument = session.instruments[state.account.positions.by_key[key].instrument]
        last[key] = LastPnl(contracts.asset_of(instrument), pnl, now.reported.get(key))
    return {key: last[key] for key in sorted(last) if key not in day.unlisted}


def name_stale(session: SessionContext, step: StepContext) -> None:
    """Name, at the start, the positions that count in the losses of the day as they last were."""
    day = step.account.day_pnl
    if not session.loss_limits or not day.last or day.day < day_of(step.time_ns, session.body.risk.day):
        return
    for key, position, last in stale_pnl(session, step.account):
        text = (
            f"{position.instrument} is not listed: the P&L of strategy {position.strategy} in it counts as it last was"
        )
        amount = f"{plain(last.pnl - day.opening.get(key, 0))} {last.asset} on this {name_of_day(session)}"
        step.note(NoteLevel.WARNING, f"{text}, {amount}", key=position.instrument)
