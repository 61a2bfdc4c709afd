"""The check of each second for the daily loss: it records the begin of each UTC day, and a loss that reached the limit.

At the limit every own order is cancelled; from then on the risk rule `daily_loss` allows only orders that reduce.
"""

from engine.bodies import NoteLevel
from engine.facts import DailyLossReached, DayBegan, PositionEnteredDay, SafetyCause, SafetyKind
from engine.handlers.losses_of_day import losses_of_day, unlisted_positions, worth
from engine.handlers.safety import order_safety
from engine.money import ZERO
from engine.session_context import SessionContext
from engine.state.day_pnl import day_of
from engine.step_context import StepContext
from journal.record import plain

SOURCE = "daily_loss"  # of the facts


def watch_daily_loss(session: SessionContext, step: StepContext) -> None:
    """Record the begin of a UTC day. When a loss reaches the limit, record it and cancel every own order."""
    limit = session.body.risk.daily_loss_max
    if not limit:
        return
    now = worth(session, step)
    if now.unmarked:
        return  # risk refuses new orders meanwhile
    today = day_of(step.time_ns)
    if step.account.day_pnl.day != today:
        step.emit(DayBegan(today, now.by_position, unlisted_positions(step, now)), source=SOURCE)
    for key in step.account.day_pnl.unlisted:
        if key in now.by_position:
            step.emit(PositionEnteredDay(today, key, now.by_position[key]), source=SOURCE)
    lost = step.account.day_pnl.lost
    for asset, loss in sorted(losses_of_day(session, step, now).items()):
        if loss >= limit > lost.get(asset, ZERO):
            step.emit(DailyLossReached(today, asset, loss, limit), source=SOURCE)
            reached = f"the loss of this UTC day is {plain(loss)} {asset}, and daily_loss_max is {plain(limit)}"
            step.note(NoteLevel.ALARM, f"{reached}: until 00:00 UTC orders may only reduce positions")
            if session.body.safety.pursues:
                order_safety(step, SafetyKind.CANCEL, SafetyCause.DAILY_LOSS, by=SOURCE)
