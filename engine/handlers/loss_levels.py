"""Price levels at which a loss of the day can reach its limit: the compiled fold finds the first record past it.

Each limit has an amount left. With n positions, it cannot be lost before one of them has lost an n-th of it: that
is a level of its instrument's price. When a price reaches a level, the loss is computed, and the levels are set again.
They follow from account and market, so no record states them, and a rebuild sets none.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from operator import is_

from engine import contracts
from engine.handlers.losses_of_day import LossOfDay, losses_of_day, mid_of, own_positions, worth
from engine.market import layout
from engine.model import Instrument
from engine.money import MONEY, ZERO
from engine.session_context import SessionContext
from engine.state.day_pnl import key_of
from engine.state.session_state import State

TINY = Decimal("1e-9")  # of a unit of the price's scale: division rounds


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
    levels[:, 0], levels[:, 1] = 0, layout.NEVER
    now = worth(session, state.account, state.market)
    if now.unmarked:
        levels[session.indexes[now.unmarked], 0] = layout.NEVER  # its next quote
        return
    for loss in losses_of_day(session, state.account, state.market, now, state.time_ns):
        if loss.asset:
            _set_levels(session, state, loss)


def _set_levels(session: SessionContext, state: State, loss: LossOfDay) -> None:
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
    for name, quantity in held.items():
        for gain in gains:
            _narrow(session, state, session.instruments[name], quantity, gain / len(held))


def _narrow(session: SessionContext, state: State, instrument: Instrument, quantity: Decimal, gain: Decimal) -> None:
    """Move a level of an instrument to the price at which the position gains so much; a loss is below 0."""
    mid = mid_of(session, state.market, instrument.id)
    price = price_of_gain(instrument, quantity, mid, gain)
    if price is None:
        return
    row = state.market.loss_levels[session.indexes[instrument.id]]
    level = 2 * price.scaleb(instrument.price_scale)  # the fold adds bid and ask
    if price <= mid:
        row[0] = max(int(row[0]), int((level + TINY).to_integral_value(ROUND_FLOOR)))
    else:
        row[1] = min(int(row[1]), int((level - TINY).to_integral_value(ROUND_CEILING)))


def price_of_gain(instrument: Instrument, quantity: Decimal, mid: Decimal, gain: Decimal) -> Decimal | None:
    """Return the price at which a position has gained so much from its mid on; None if no price above 0 does."""
    units = quantity * instrument.contract_size
    if not instrument.inverse:
        price = mid + gain / units
        return price if price > 0 else None
    inverse = 1 / mid - gain / units
    return 1 / inverse if inverse > 0 else None
