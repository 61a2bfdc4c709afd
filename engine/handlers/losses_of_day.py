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

import msgspec

from engine import contracts, lots
from engine.bodies import Figure
from engine.facts import Position
from engine.market.market_state import Market
from engine.model import Instrument
from engine.money import ZERO
from engine.risk.loss_limits import LossLimit, recorded_losses
from engine.session_context import SessionContext
from engine.state.day_pnl import UTC_DAY, DayPnl, LastPnl, day_of
from engine.state.orders import EXTERNAL
from engine.state.pnl_figures import marked_line
from engine.state.positions import unrealised
from engine.state.rates import recorded_rate
from engine.state.session_state import Account
from engine.step_context import StepContext
from journal.record import plain


class PnlNow(NamedTuple):
    """The P&L of each position since it first existed, and the first instrument that cannot be marked, or ""."""

    by_position: dict[str, Decimal]  # "strategy instrument" -> realised and unrealised P&L and funding, less fees
    unmarked: str
    reported: dict[str, Decimal]  # the same in the reporting currency, of positions without a missing rate
    rates: dict[str, Decimal | None]  # by asset: its rate in the reporting currency
    marks: dict[str, Decimal]  # by instrument with an open position: the price at which it counts


class LossOfDay(NamedTuple):
    """The P&L of the day in one asset, by one limit."""

    limit: LossLimit
    asset: str  # "": an asset has no known rate in the reporting currency
    pnl: Decimal
    used: Decimal


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


class _MarkedPnl(msgspec.Struct, frozen=True):
    """The P&L of a position, and what it was computed from."""

    index: int  # of its instrument
    asset: str  # of its P&L
    source: object  # the line, or the position if it has none yet
    rate: Decimal | None
    marks: tuple[int, ...]  # of the instrument, as integers
    mark: Decimal | None  # None: no quote is known
    own: Decimal | None  # None: it cannot be marked
    reported: Decimal | None


class LossMemory:
    """The losses computed last, kept beside the market: levels, checks and orders of a step read the same.

    The P&L is known for the same positions, lines and marks; the losses for the same P&L, day and parts of the day; a
    reason for the same losses. Parts are immutable, so the same object has the same content.
    """

    __slots__ = ("by_position", "day", "is_begun", "lines", "losses", "marks", "now", "positions", "reasons", "session")

    def __init__(self, session: SessionContext) -> None:
        self.session = session
        self.by_position: dict[str, _MarkedPnl] = {}
        self.now: PnlNow | None = None
        self.positions: object = None  # the parts of the account from which `now` follows
        self.lines: object = None
        self.marks: list[tuple[int, ...]] = []
        self.losses: list[LossOfDay] | None = None
        self.day: object = None
        self.is_begun = False
        self.reasons: dict[tuple[str, str], tuple[str, tuple[str, Figure] | None]] = {}


def _memory(session: SessionContext, market: Market) -> LossMemory:
    """Return the losses computed last for a market in a session."""
    found = market.loss_memory
    if isinstance(found, LossMemory) and found.session is session:
        return found
    market.loss_memory = made = LossMemory(session)
    return made


def pnl_now(session: SessionContext, account: Account, market: Market) -> PnlNow:
    """Return the P&L of the positions of all strategies.

    Positions in instruments that the session does not list stay out, because nothing marks them: see `stale_pnl`.
    """
    memory, marks = _memory(session, market), market.mark_integers()
    now, positions, lines = memory.now, account.positions, account.pnl
    if now is None or memory.positions is not positions or memory.lines is not lines or memory.marks != marks:
        if session.reducer_settings.has_reported_losses:
            now = _reported_pnl_now(session, account, market, memory.by_position, marks)
        else:
            now = _own_pnl_now(session, account, market)
        memory.now, memory.positions, memory.lines, memory.marks, memory.losses = now, positions, lines, marks, None
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


def _reported_pnl_now(
    session: SessionContext,
    account: Account,
    market: Market,
    known: dict[str, _MarkedPnl],
    marks: list[tuple[int, ...]],
) -> PnlNow:
    """Return the P&L from the lines. One whose line, mark and rate are the same as before is not computed again."""
    settings = session.reducer_settings
    found = PnlNow({}, "", {}, {}, {})
    unmarked = ""
    by_position, reported, rates, marked_at = found.by_position, found.reported, found.rates, found.marks
    lines = account.pnl.by_key
    for key, position, instrument in own_positions(session, account):
        entry = known.get(key)
        if entry is None:
            index, asset = session.indexes[instrument.id], contracts.asset_of(instrument)
        else:
            index, asset = entry.index, entry.asset
        if asset not in rates:
            rates[asset] = recorded_rate(market, asset, settings.reporting_currency)
        source: object = lines.get(key, position)
        if entry is None or entry.source is not source or entry.marks != marks[index] or entry.rate != rates[asset]:
            marked = marked_line(account, market, settings, position.strategy, index)
            is_unmarked = marked.mark is None and marked.line.quantity
            entry = known[key] = _MarkedPnl(
                index, asset, source, rates[asset], marks[index], marked.mark,
                None if is_unmarked else marked.own_pnl, marked.reported_pnl(rates[asset]),
            )  # fmt: skip
        if entry.own is None:
            unmarked = unmarked or instrument.id
            continue
        by_position[key] = entry.own
        if entry.reported is not None:
            reported[key] = entry.reported
        if entry.mark is not None and position.quantity:
            marked_at[instrument.id] = entry.mark
    return found._replace(unmarked=unmarked)


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


def losses_of_day(
    session: SessionContext, account: Account, market: Market, now: PnlNow, time_ns: int
) -> list[LossOfDay]:
    """Return the P&L of this day by limit and asset. Empty before its begin is recorded."""
    day, memory = account.day_pnl, _memory(session, market)
    is_begun = day.day >= day_of(time_ns, session.body.risk.day)  # a clock set back, or another zone, begins no day
    losses, is_same = memory.losses, memory.now is now and memory.day is day and memory.is_begun is is_begun
    if losses is None or not is_same:
        losses = _losses_of_day(session, account, market, now) if is_begun else []
        if memory.now is now:
            memory.losses, memory.day, memory.is_begun, memory.reasons = losses, day, is_begun, {}
    return losses


def _losses_of_day(session: SessionContext, account: Account, market: Market, now: PnlNow) -> list[LossOfDay]:
    day = account.day_pnl
    opening, positions, instruments = day.opening, account.positions.by_key, session.instruments
    of_day = [
        (key, position.strategy, instruments[position.instrument], pnl - opening[key] if key in opening else pnl)
        for key, pnl in now.by_position.items()
        if key not in day.unlisted  # it counts from its first mark, which the next check records
        for position in (positions[key],)
    ]
    stale = list(stale_pnl(session, account)) if day.last else []
    found: list[LossOfDay] = []
    has_reported_losses = session.reducer_settings.has_reported_losses
    for limit in session.loss_limits:
        sums: dict[str, Decimal] = {}
        counts_all = not (limit.strategy or limit.instrument or limit.venue)
        for key, strategy, instrument, pnl in of_day:
            if counts_all or limit.concerns(strategy, instrument):
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


def known_losses(
    session: SessionContext, account: Account, market: Market, now: PnlNow, time_ns: int
) -> list[LossOfDay]:
    """Return the losses of this day without those of limits that concern a position without a mark."""
    losses = losses_of_day(session, account, market, now, time_ns)
    if not now.unmarked:
        return losses
    unmarked = [
        (position.strategy, instrument)
        for key, position, instrument in own_positions(session, account)
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
    now = pnl_now(session, step.account, step.market)
    if now.unmarked:
        return f"{now.unmarked} has no quote: the loss of this {name_of_day(session)} is not known", None
    losses = losses_of_day(session, step.account, step.market, now, step.time_ns)
    reasons, key = _memory(session, step.market).reasons, (strategy, instrument.id)
    if key not in reasons:
        reasons[key] = _loss_reason(session, step, strategy, instrument, losses)
    return reasons[key]


def _loss_reason(
    session: SessionContext, step: StepContext, strategy: str, instrument: Instrument, losses: list[LossOfDay]
) -> tuple[str, tuple[str, Figure] | None]:
    day, day_name = step.account.day_pnl, name_of_day(session)
    is_today = day.day >= day_of(step.time_ns, session.body.risk.day)
    best: tuple[str, Figure] | None = None
    for limit in session.loss_limits:
        if not limit.concerns(strategy, instrument):
            continue
        used = {loss.asset: loss.used for loss in losses if loss.limit is limit}
        if "" in used:
            currency = session.reducer_settings.reporting_currency
            return f"a rate in {currency} is missing: the loss of this {day_name} is not known", None
        recorded = recorded_losses(day, limit) if is_today else {}
        for asset in sorted({*used, *recorded}):
            loss = max(used.get(asset, ZERO), recorded.get(asset, ZERO))
            figure = (loss, limit.limit, loss)
            if loss >= limit.limit:
                text = f"the {limit.kind} of this {day_name} reached {plain(loss)} {asset}"
                return f"{text}, and {limit.name} is {plain(limit.limit)}", (limit.name, figure)
            if best is None or loss * best[1][1] > best[1][0] * limit.limit:
                best = (limit.name, figure)
    return "", best


def name_of_day(session: SessionContext) -> str:
    """Return the day's name in texts."""
    return "UTC day" if session.body.risk.day == UTC_DAY else "day"
