"""The check of the day's losses: it records the start of each day, its highest P&L, and a loss at its limit.

It runs each second and, in sessions with `risk.figures`, at the record at which a loss reaches its limit: after each
change of a position, and when a price reaches a level (engine/handlers/loss_levels.py). At the limit every own order is
cancelled; from then on the risk rule `daily_loss` allows only orders that reduce.
"""

from engine import contracts
from engine.bodies import NoteLevel
from engine.facts import AmountRated, DailyLossReached, DayBegan, PnlPeak, PositionEnteredDay, SafetyCause, SafetyKind
from engine.handlers.loss_memory import LossOfDay, PnlNow
from engine.handlers.losses_of_day import known_losses, name_of_day, pnl_now, unlisted_positions
from engine.handlers.pnl import emit_pnl
from engine.handlers.safety import order_safety
from engine.mode_reasons import ModeReason, ReasonCode
from engine.money import MONEY, ZERO, to_ledger
from engine.risk_settings import LossAction
from engine.session_context import SessionContext
from engine.state.day_pnl import UTC_DAY, day_of, key_of
from engine.state.rates import recorded_rate
from engine.step_context import StepContext
from journal.record import plain

SOURCE = "daily_loss"  # of the facts


def watch_daily_loss(session: SessionContext, step: StepContext) -> None:
    """Record the start of a day and its highest P&L. When a loss reaches its limit, record it and act."""
    if not session.loss_limits:
        return
    now = pnl_now(session, step.state)
    today = day_of(step.time_ns, session.body.risk.day)
    if now.unmarked and step.account.day_pnl.day < today:
        return  # the day begins once all positions have a mark; risk refuses new orders meanwhile
    if step.account.day_pnl.day < today:  # a clock that changes to winter time repeats an hour
        unlisted = unlisted_positions(step.account, now)
        step.emit(DayBegan(today, now.by_position, unlisted, now.reported), source=SOURCE)
    _enter_positions(session, step, now, today)
    losses = known_losses(session, step.state, now, step.time_ns)
    was_lost = step.account.day_pnl.lost
    for loss in losses:
        limit, day = loss.limit, step.account.day_pnl
        if limit.is_drawdown and loss.asset and loss.pnl >= limit.peak_step(day, loss.asset):
            step.emit(PnlPeak(today, limit.name, loss.asset, loss.pnl), source=SOURCE)
        elif loss.used >= limit.limit > day.lost.get(key_of(limit.recorded, loss.asset), ZERO):
            step.emit(DailyLossReached(today, loss.asset, loss.used, limit.limit, limit.recorded), source=SOURCE)
            _act(session, step, loss)
    if session.reducer_settings.has_reported_losses and step.account.day_pnl.lost is not was_lost:
        emit_pnl(session, step)  # the report of the record at which the limit was reached


def rate_amounts(session: SessionContext, step: StepContext) -> None:
    """Value P&L that had no rate at the first rate that is known. No-op before accounting 4."""
    currency = session.reducer_settings.reporting_currency
    if not session.reducer_settings.has_reported_losses:
        return
    for key in sorted([key for key, line in step.account.pnl.by_key.items() if line.unrated]):
        line = step.account.pnl.by_key[key]
        for asset in sorted(line.unrated):
            rate = recorded_rate(step.market, asset, currency)
            if rate is not None:
                fact = AmountRated(line.strategy, line.instrument, asset, line.unrated[asset], rate)
                step.emit(fact, source=SOURCE)


def _enter_positions(session: SessionContext, step: StepContext, now: PnlNow, today: int) -> None:
    """Record the opening P&L of positions that had no mark or no rate when the day began."""
    day = step.account.day_pnl
    for key in day.unlisted:
        if key in now.by_position:
            step.emit(PositionEnteredDay(today, key, now.by_position[key], now.reported.get(key)), source=SOURCE)
    for key in day.opening:
        if key not in now.reported or key in day.reported:
            continue
        instrument = session.instruments[step.account.positions.by_key[key].instrument]
        rate = now.rates[contracts.asset_of(instrument)]
        if rate is not None:
            since = to_ledger(MONEY.multiply(now.by_position[key] - day.opening[key], rate))
            fact = PositionEnteredDay(today, key, day.opening[key], now.reported[key] - since)
            step.emit(fact, source=SOURCE)


def _act(session: SessionContext, step: StepContext, loss: LossOfDay) -> None:
    """Raise the alarm and do what the session does at the limit."""
    action, limit = session.body.risk.on_loss, loss.limit
    text = f"the {limit.kind} of this {name_of_day(session)} is {plain(loss.used)} {loss.asset}"
    text += f", and {limit.name} is {plain(limit.limit)}"
    until = "00:00 UTC" if session.body.risk.day == UTC_DAY else "the day ends"
    step.note(NoteLevel.ALARM, f"{text}: until {until} orders may only reduce positions")
    if session.body.safety.pursues:
        kind = SafetyKind.FLATTEN if action is LossAction.FLATTEN else SafetyKind.CANCEL
        order_safety(step, kind, SafetyCause.DAILY_LOSS, by=SOURCE)
    if action is LossAction.HALT:
        step.halt(ModeReason(ReasonCode.LOSS_LIMIT, text, limit.name))
