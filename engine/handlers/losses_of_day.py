"""P&L of the day, and why it forbids new orders. engine/handlers/watch_losses.py records what reached a limit.

The day's P&L of an asset is realised and unrealised P&L less fees, now, less the same at the start of the day. From
accounting 3 on it is that of the exact lines (engine/state/pnl_lines.py), which have funding too. From accounting 4 on
the mark is `engine.pnl_mark`, before it the mid; and a P&L in the reporting currency is what `verbatim pnl` reports
(engine/state/pnl_figures.py), before it the P&L in each asset at the current rate.

It counts the positions of all strategies of the account, over restarts. Positions of other programs do not count. A
position whose instrument was not listed when the day began counts from its first mark of the day. One whose instrument
is not listed any more counts as the session before left it (engine/handlers/carry_day.py).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from engine import contracts, lots
from engine.bodies import Figure
from engine.facts import Position
from engine.handlers.loss_memory import LossMemory, LossOfDay, MarkedPnl, PnlNow, memory_of
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.model import Instrument
from engine.money import ZERO
from engine.risk.loss_limits import LossLimit, recorded_losses
from engine.session_context import SessionContext
from engine.state.day_pnl import UTC_DAY, DayPnl, LastPnl, day_of
from engine.state.orders import EXTERNAL
from engine.state.pnl_figures import marked_line
from engine.state.positions import unrealised
from engine.state.rates import recorded_rate
from engine.state.session_state import Account, State
from engine.step_context import StepContext
from journal.record import plain


def mid_of(session: SessionContext, market: Market, instrument: str) -> Decimal:
    """Return the mid of an instrument's last quote; 0 without one, also for an instrument that the session lacks."""
    index = session.indexes.get(instrument)
    quote = None if index is None else market.quote(index)
    return ZERO if quote is None else (quote.bid + quote.ask) / 2


def last_of(session: SessionContext, market: Market, instrument: str) -> Decimal:
    """Return the price of an instrument's last trade; 0 without one."""
    index = session.indexes.get(instrument)
    trade = None if index is None else market.last_trade(index)
    return ZERO if trade is None else trade.price


def own_positions(session: SessionContext, account: Account) -> Iterable[tuple[str, Position, Instrument]]:
    """Return (key, position, instrument) of strategies' positions in instruments that the session lists."""
    for key in sorted(account.positions.by_key):
        position = account.positions.by_key[key]
        instrument = session.instruments.get(position.instrument)
        if position.strategy != EXTERNAL and instrument is not None:
            yield key, position, instrument


def stale_pnl(session: SessionContext, account: Account) -> Iterable[tuple[str, Position, LastPnl]]:
    """Return (key, position, last P&L) of strategies' positions in instruments that the session does not list.

    Those whose P&L before this day is not known are left out: they count from their first mark.
    """
    day = account.day_pnl
    for key, last in day.last.items():
        position = account.positions.by_key.get(key)
        if position is None or position.strategy == EXTERNAL or key in day.unlisted:
            continue
        if position.instrument not in session.instruments:
            yield key, position, last


def pnl_now(session: SessionContext, state: State) -> PnlNow:
    """Return the P&L of the positions of all strategies.

    Positions in instruments that the session does not list stay out, because nothing marks them: see `stale_pnl`.
    """
    account, market, memory = state.account, state.market, memory_of(session, state)
    marks = market.mark_integers()
    if memory.now is not None and memory.is_current(account, marks):
        return memory.now
    if not session.reducer_settings.has_reported_losses:
        now = _own_pnl_now(session, account, market)
        memory.keep(now, account, marks, None)
        return now
    at = _Moment(session, account, market, memory, marks)
    moved = memory.moved_keys(account, marks)
    now_moved = None if moved is None else _moved_pnl(at, memory.now, moved)
    now = now_moved or _reported_pnl_now(at)
    memory.keep(now, account, marks, moved if now_moved is not None else None)
    return now


def _own_pnl_now(session: SessionContext, account: Account, market: Market) -> PnlNow:
    """Return the P&L before accounting 4."""
    by_position: dict[str, Decimal] = {}
    unmarked = ""
    for key, position, instrument in own_positions(session, account):
        mid = mid_of(session, market, position.instrument) if position.quantity else ZERO
        if position.quantity and not mid:
            unmarked = unmarked or position.instrument
            continue
        by_position[key] = _pnl_of(session, account, position, instrument, mid)
    return PnlNow(by_position, unmarked, {}, {}, {})


class _Moment(NamedTuple):
    """The account and the market at which P&L is computed, and that computed last."""

    session: SessionContext
    account: Account
    market: Market
    memory: LossMemory
    marks: Rows


def _reported_pnl_now(at: _Moment) -> PnlNow:
    """Return the P&L from the lines. One whose line, mark and rate are the same as before is not computed again."""
    by_position: dict[str, Decimal] = {}
    reported: dict[str, Decimal] = {}
    rates: dict[str, Decimal | None] = {}
    marked_at: dict[str, Decimal] = {}
    unmarked = ""
    for key, position, instrument in own_positions(at.session, at.account):
        asset = contracts.asset_of(instrument)
        if asset not in rates:
            rates[asset] = recorded_rate(at.market, asset, at.session.reducer_settings.reporting_currency)
        entry = _marked(at, key, position, rates[asset])
        if entry.own is None:
            unmarked = unmarked or instrument.id
            continue
        by_position[key] = entry.own
        if entry.reported is not None:
            reported[key] = entry.reported
        if entry.mark is not None and position.quantity:
            marked_at[instrument.id] = entry.mark
    return PnlNow(by_position, unmarked, reported, rates, marked_at)


def _moved_pnl(at: _Moment, before: PnlNow | None, moved: Iterable[str]) -> PnlNow | None:
    """Return the P&L with that of the positions that moved; None if more than figures changed."""
    assert before is not None, "something moved since"
    currency = at.session.reducer_settings.reporting_currency
    if any(recorded_rate(at.market, asset, currency) != rate for asset, rate in before.rates.items()):
        return None
    by_position, reported, marked_at = dict(before.by_position), dict(before.reported), dict(before.marks)
    for key in moved:
        if key not in by_position:
            continue  # another program's, or of an instrument that the session does not list
        position = at.account.positions.by_key[key]
        rate = before.rates[contracts.asset_of(at.session.instruments[position.instrument])]
        entry = _marked(at, key, position, rate)
        is_open, is_reported = bool(position.quantity), entry.reported is not None
        if (
            entry.own is None
            or is_reported is not (key in reported)
            or is_open is not (position.instrument in marked_at)
        ):
            return None
        by_position[key] = entry.own
        if entry.reported is not None:
            reported[key] = entry.reported
        if entry.mark is not None and is_open:
            marked_at[position.instrument] = entry.mark
    return PnlNow(by_position, "", reported, before.rates, marked_at)


def _marked(at: _Moment, key: str, position: Position, rate: Decimal | None) -> MarkedPnl:
    """Return the P&L of a position, known or computed."""
    index = at.session.indexes[position.instrument]
    marks = at.marks[index].tobytes()
    source: object = at.account.pnl.by_key.get(key, position)
    entry = at.memory.by_position.get(key)
    if entry is None or entry.source is not source or entry.marks != marks or entry.rate != rate:
        marked = marked_line(at.account, at.market, at.session.reducer_settings, position.strategy, index)
        is_unmarked = marked.mark is None and marked.line.quantity
        own = None if is_unmarked else marked.own_pnl
        entry = MarkedPnl(index, source, rate, marks, marked.mark, own, marked.reported_pnl(rate))
        at.memory.by_position[key] = entry
    return entry


def _pnl_of(
    session: SessionContext, account: Account, position: Position, instrument: Instrument, mid: Decimal
) -> Decimal:
    settings = session.reducer_settings
    if settings.has_pnl:
        line = account.pnl.line(account.positions, instrument, position.strategy, settings.reporting_currency)
        return line.own.net + (lots.unrealised(line.lots, instrument, mid) if position.quantity else ZERO)
    pnl = position.realised_pnl - position.fees_quote
    return pnl + unrealised(position, mid, instrument) if position.quantity else pnl


def unlisted_positions(account: Account, now: PnlNow) -> tuple[str, ...]:
    """Return the positions that nothing marks, by name."""
    positions = account.positions.by_key
    return tuple(key for key in sorted(positions) if positions[key].strategy != EXTERNAL and key not in now.by_position)


def losses_of_day(session: SessionContext, state: State, now: PnlNow, time_ns: int) -> list[LossOfDay]:
    """Return the P&L of this day by limit and asset. Empty before its begin is recorded."""
    day, memory = state.account.day_pnl, memory_of(session, state)
    is_begun = day.day >= day_of(time_ns, session.body.risk.day)  # a clock set back, or another zone, begins no day
    losses, is_same = memory.losses, memory.now is now and memory.day is day and memory.is_begun is is_begun
    if losses is None or not is_same:
        losses = _losses_of_day(session, state, memory, now) if is_begun else []
        if memory.now is now:
            memory.losses, memory.day, memory.is_begun, memory.reasons = losses, day, is_begun, {}
    return losses


def _pnl_of_day(
    session: SessionContext, account: Account, now: PnlNow, keys: Iterable[str]
) -> Iterable[tuple[str, str, Instrument, Decimal]]:
    """Return (key, strategy, instrument, P&L since the day began) of positions that count in the day."""
    opening, positions, unlisted = account.day_pnl.opening, account.positions.by_key, account.day_pnl.unlisted
    for key in keys:
        if key in now.by_position and key not in unlisted:  # an unlisted one counts from its first mark
            position, pnl = positions[key], now.by_position[key]
            since = pnl - opening[key] if key in opening else pnl
            yield key, position.strategy, session.instruments[position.instrument], since


def _amounts_of_day(
    session: SessionContext, account: Account, memory: LossMemory, now: PnlNow
) -> dict[str, dict[str, Decimal]]:
    """Return asset -> the P&L of the day of each position. Only that of positions that moved is computed again."""
    day = account.day_pnl
    is_kept = memory.now is now and memory.amounts_day is day and memory.moved is not None
    keys = memory.moved if is_kept and memory.moved is not None else now.by_position
    amounts: dict[str, dict[str, Decimal]] = memory.amounts if is_kept else {}
    for key, _, instrument, pnl in _pnl_of_day(session, account, now, keys):
        amounts.setdefault(contracts.asset_of(instrument), {})[key] = pnl
    if memory.now is now:
        memory.amounts, memory.amounts_day, memory.moved = amounts, day, set()
    return amounts


def _losses_of_day(session: SessionContext, state: State, memory: LossMemory, now: PnlNow) -> list[LossOfDay]:
    account, market, day = state.account, state.market, state.account.day_pnl
    stale = list(stale_pnl(session, account)) if day.last else []
    found: list[LossOfDay] = []
    has_reported_losses = session.reducer_settings.has_reported_losses
    of_day: list[tuple[str, str, Instrument, Decimal]] = []
    for limit in session.loss_limits:
        sums: dict[str, Decimal] = {}
        if not (limit.strategy or limit.instrument or limit.venue or limit.in_reporting):
            amounts = _amounts_of_day(session, account, memory, now)
            sums = {asset: sum(of_asset.values(), ZERO) for asset, of_asset in amounts.items()}
        else:
            of_day = of_day or list(_pnl_of_day(session, account, now, now.by_position))
            for key, strategy, instrument, pnl in of_day:
                if limit.concerns(strategy, instrument):
                    asset, amount = contracts.asset_of(instrument), pnl
                    if limit.in_reporting and has_reported_losses:
                        asset, amount = _reported(session, day, key, now)
                    elif limit.in_reporting and pnl:
                        asset, amount = _converted(session, market, asset, pnl)
                    sums[asset] = sums.get(asset, ZERO) + amount
        for key, position, last in stale:
            if limit.concerns_unlisted(position.strategy, position.instrument):
                asset, amount = last.asset, last.pnl - day.opening.get(key, ZERO)
                if limit.in_reporting and has_reported_losses:
                    asset, amount = _stale_reported(session, day, key, last)
                elif limit.in_reporting and amount:
                    asset, amount = _converted(session, market, asset, amount)
                sums[asset] = sums.get(asset, ZERO) + amount
        found += [LossOfDay(limit, asset, pnl, limit.used(day, asset, pnl)) for asset, pnl in sorted(sums.items())]
    return found


def known_losses(session: SessionContext, state: State, now: PnlNow, time_ns: int) -> list[LossOfDay]:
    """Return the losses of this day without those of limits that concern a position without a mark."""
    losses = losses_of_day(session, state, now, time_ns)
    if not now.unmarked:
        return losses
    unmarked = [
        (position.strategy, instrument)
        for key, position, instrument in own_positions(session, state.account)
        if key not in now.by_position
    ]
    return [loss for loss in losses if not any(loss.limit.concerns(*each) for each in unmarked)]


def _reported(session: SessionContext, day: DayPnl, key: str, now: PnlNow) -> tuple[str, Decimal]:
    """Return the reported P&L of a position since the day began; of no asset if it is not known."""
    if key not in now.reported or (key in day.opening and key not in day.reported):
        return "", ZERO
    return session.reducer_settings.reporting_currency, now.reported[key] - day.reported.get(key, ZERO)


def _stale_reported(session: SessionContext, day: DayPnl, key: str, last: LastPnl) -> tuple[str, Decimal]:
    """Return the same of a position that nothing marks."""
    if last.reported is None or (key in day.opening and key not in day.reported):
        return "", ZERO
    return session.reducer_settings.reporting_currency, last.reported - day.reported.get(key, ZERO)


def _converted(session: SessionContext, market: Market, asset: str, amount: Decimal) -> tuple[str, Decimal]:
    """Return an amount in the reporting currency; of no asset if its rate is not known."""
    currency = session.reducer_settings.reporting_currency
    rate = recorded_rate(market, asset, currency)
    return ("", ZERO) if rate is None else (currency, amount * rate)


def loss_reason(
    session: SessionContext, step: StepContext, strategy: str, instrument: Instrument
) -> tuple[str, tuple[str, Figure] | None]:
    """Return why a loss of the day forbids orders that open a position, or "", and the limit that is used most."""
    if not session.loss_limits:
        return "", None
    now = pnl_now(session, step.state)
    if now.unmarked:
        return f"{now.unmarked} has no quote: the loss of this {name_of_day(session)} is not known", None
    losses = losses_of_day(session, step.state, now, step.time_ns)
    memory, key = memory_of(session, step.state), (strategy, instrument.id)
    reason = memory.reasons.get(key)
    if reason is None:
        limits = memory.limits_of.get(key)
        if limits is None:
            limits = memory.limits_of[key] = [
                limit for limit in session.loss_limits if limit.concerns(strategy, instrument)
            ]
        reason = memory.reasons[key] = _loss_reason(session, step, limits, losses)
    return reason


def _loss_reason(
    session: SessionContext, step: StepContext, limits: Iterable[LossLimit], losses: list[LossOfDay]
) -> tuple[str, tuple[str, Figure] | None]:
    day = step.account.day_pnl
    is_lost = bool(day.lost) and day.day >= day_of(step.time_ns, session.body.risk.day)
    best: tuple[str, Figure] | None = None
    for limit in limits:
        used = {loss.asset: loss.used for loss in losses if loss.limit is limit}
        if "" in used:
            currency = session.reducer_settings.reporting_currency
            return f"a rate in {currency} is missing: the loss of this {name_of_day(session)} is not known", None
        recorded = recorded_losses(day, limit) if is_lost else {}
        for asset in sorted({*used, *recorded}):
            loss = max(used.get(asset, ZERO), recorded.get(asset, ZERO))
            figure = (loss, limit.limit, loss)
            if loss >= limit.limit:
                text = f"the {limit.kind} of this {name_of_day(session)} reached {plain(loss)} {asset}"
                return f"{text}, and {limit.name} is {plain(limit.limit)}", (limit.name, figure)
            if best is None or loss * best[1][1] > best[1][0] * limit.limit:
                best = (limit.name, figure)
    return "", best


def name_of_day(session: SessionContext) -> str:
    """Return the day's name in texts."""
    return "UTC day" if session.body.risk.day == UTC_DAY else "day"
