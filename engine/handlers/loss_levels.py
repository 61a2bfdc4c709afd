"""Price levels at which a loss of the day can reach its limit: the compiled fold finds the first record past it.

Each limit has an amount left. With n positions, it cannot be lost before one of them has lost an n-th of it: that
is a level of its instrument's price. When a price reaches a level, the loss is computed, and the levels are set again.
They follow from account and market, so no record states them, and a rebuild sets none.

The price is the one at which losses count open quantities. At the touch a long counts at the bid and a short at the
ask; an instrument with both has its losses computed at each quote.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from operator import is_

from engine import contracts
from engine.handlers.loss_memory import LossOfDay, PnlNow
from engine.handlers.losses_of_day import losses_of_day, mid_of, own_positions, pnl_now
from engine.market import layout
from engine.market.rows import MARK_SCALE
from engine.model import Instrument
from engine.money import MONEY, ZERO
from engine.session_context import SessionContext
from engine.session_record import MarkChoice
from engine.state.day_pnl import key_of
from engine.state.session_state import State

TINY = Decimal("1e-9")  # of a unit of the price's scale: division rounds
BID_AND_ASK = slice(layout.LEVEL_BID_WEIGHT, layout.LEVEL_ASK_WEIGHT + 1)


def refresh_levels(session: SessionContext, state: State) -> None:
    """Set the levels for the account as it is before the next input. No-op if its parts are the same."""
    parts = (state.account.positions, state.account.pnl, state.account.day_pnl)
    if state.loss_parts and all(map(is_, parts, state.loss_parts)):
        return
    state.loss_parts = parts
    with localcontext(MONEY):
        _refresh(session, state)


def _refresh(session: SessionContext, state: State) -> None:
    levels = state.market.loss_levels
    levels[:] = layout.NO_LEVELS
    now = pnl_now(session, state)
    if now.unmarked:
        levels[session.indexes[now.unmarked], layout.LEVEL_LOW] = layout.NEVER  # its next quote
        return
    if session.reducer_settings.has_reported_losses:
        _set_weights(session, state)
    for loss in losses_of_day(session, state, now, state.time_ns):
        if loss.asset:
            _set_levels(session, state, loss, now)


def _set_levels(session: SessionContext, state: State, loss: LossOfDay, now: PnlNow) -> None:
    """Narrow the levels to those at which this limit can be reached, or a new highest P&L."""
    limit, day = loss.limit, state.account.day_pnl
    held: dict[str, Decimal] = {}
    for _, position, instrument in own_positions(session, state.account):
        if contracts.asset_of(instrument) == loss.asset and limit.concerns(position.strategy, instrument):
            held[instrument.id] = held.get(instrument.id, ZERO) + position.quantity
    held = {name: quantity for name, quantity in held.items() if quantity}
    gains = []
    if limit.limit > day.lost.get(key_of(limit.recorded, loss.asset), ZERO):
        gains.append(loss.used - limit.limit)
    if limit.is_drawdown:
        gains.append(limit.peak_step(day, loss.asset) - loss.pnl)
    shares = [gain / len(held) for gain in gains if held]
    for name, quantity in held.items():
        mark = now.marks[name] if name in now.marks else mid_of(session, state.market, name)
        for share in shares:
            _narrow(session, state, session.instruments[name], quantity, mark=mark, gain=share)


def _narrow(
    session: SessionContext, state: State, instrument: Instrument, quantity: Decimal, *, mark: Decimal, gain: Decimal
) -> None:
    """Move a level of an instrument to the price at which the position gains so much; a loss is below 0."""
    price = price_of_gain(instrument, quantity, mark, gain)
    if price is None:
        return
    row = state.market.loss_levels[session.indexes[instrument.id]]
    if _counts_at_mark(session, state, instrument):
        low, high, level = layout.LEVEL_MARK_LOW, layout.LEVEL_MARK_HIGH, price.scaleb(MARK_SCALE)
    else:  # the weights of bid and ask are two together
        low, high, level = layout.LEVEL_LOW, layout.LEVEL_HIGH, 2 * price.scaleb(instrument.price_scale)
    if price <= mark:
        row[low] = max(int(row[low]), int((level + TINY).to_integral_value(ROUND_FLOOR)))
    else:
        row[high] = min(int(row[high]), int((level - TINY).to_integral_value(ROUND_CEILING)))


def _counts_at_mark(session: SessionContext, state: State, instrument: Instrument) -> bool:
    """Return True if open quantities of an instrument count at the venue's mark price, which is known."""
    if not session.reducer_settings.has_reported_losses or not instrument.contract:
        return False
    mark = state.market.mark(session.indexes[instrument.id])
    return session.settings.pnl_mark is MarkChoice.MARK and mark is not None and bool(mark.price)


def _set_weights(session: SessionContext, state: State) -> None:
    """Let the fold compare the price at which the open quantities of each instrument count."""
    choice = session.settings.pnl_mark
    for _, position, instrument in own_positions(session, state.account):
        row = state.market.loss_levels[session.indexes[instrument.id]]
        if not position.quantity or choice is MarkChoice.MID:
            continue
        if choice is MarkChoice.TOUCH:
            is_long = position.quantity > 0
            weights = (2, 0) if is_long else (0, 2)
            if tuple(row[BID_AND_ASK]) not in ((1, 1), weights):
                row[layout.LEVEL_LOW] = layout.NEVER
            row[BID_AND_ASK] = weights
        elif instrument.contract and not _counts_at_mark(session, state, instrument):
            row[layout.LEVEL_MARK_LOW] = layout.NEVER  # its first mark price


def price_of_gain(instrument: Instrument, quantity: Decimal, mid: Decimal, gain: Decimal) -> Decimal | None:
    """Return the price at which a position has gained so much from its mid on; None if no price above 0 does."""
    units = quantity * instrument.contract_size
    if not instrument.inverse:
        price = mid + gain / units
        return price if price > 0 else None
    inverse = 1 / mid - gain / units
    return 1 / inverse if inverse > 0 else None
