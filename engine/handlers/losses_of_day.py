"""P&L of the UTC day, and why it forbids new orders. engine/handlers/watch_losses.py records what reached the limit.

The day's P&L of an asset is realised and unrealised P&L less fees, now, less the same at the begin of the day. It
counts the positions of all strategies of the account, over restarts. Positions of other programs do not count. A
position whose instrument was not listed when the day began counts from its first mark of the day.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from engine import contracts
from engine.money import ZERO
from engine.session_context import SessionContext
from engine.state.day_pnl import day_of
from engine.state.orders import EXTERNAL
from engine.state.positions import unrealised
from engine.step_context import StepContext
from journal.record import plain


class Worth(NamedTuple):
    """The P&L of each position since it first existed, and the first instrument that cannot be marked, or ""."""

    by_position: dict[str, Decimal]  # "strategy instrument" -> realised and unrealised P&L less fees
    unmarked: str


def worth(session: SessionContext, step: StepContext) -> Worth:
    """Return the P&L of the positions of all strategies, marked at the mid of the last quote.

    Positions in instruments that the session does not list stay out, because nothing marks them.
    """
    by_position: dict[str, Decimal] = {}
    unmarked = ""
    for key in sorted(step.account.positions.by_key):
        position = step.account.positions.by_key[key]
        index = session.indexes.get(position.instrument)
        if position.strategy == EXTERNAL or index is None:
            continue
        pnl = position.realised_pnl - position.fees_quote
        if position.quantity:
            quote = step.market.quote(index)
            if quote is None:
                unmarked = unmarked or position.instrument
                continue
            mark = (quote.bid + quote.ask) / 2
            pnl += unrealised(position, mark, session.instruments[position.instrument])
        by_position[key] = pnl
    return Worth(by_position, unmarked)


def unlisted_positions(step: StepContext, now: Worth) -> tuple[str, ...]:
    """Return the positions that nothing marks, by name."""
    positions = step.account.positions.by_key
    return tuple(key for key in sorted(positions) if positions[key].strategy != EXTERNAL and key not in now.by_position)


def losses_of_day(session: SessionContext, step: StepContext, now: Worth) -> dict[str, Decimal]:
    """Return the loss of this UTC day by asset. Empty before its begin is recorded."""
    day = step.account.day_pnl
    if day.day != day_of(step.time_ns):
        return {}
    losses: dict[str, Decimal] = {}
    for key, pnl in now.by_position.items():
        if key in day.unlisted:
            continue  # it counts from its first mark, which the next check records
        instrument = session.instruments[step.account.positions.by_key[key].instrument]
        asset = contracts.asset_of(instrument)
        losses[asset] = losses.get(asset, ZERO) - (pnl - day.opening.get(key, ZERO))
    return losses


def loss_reason(session: SessionContext, step: StepContext) -> str:
    """Return why the daily loss forbids orders that open a position, or ""."""
    limit = session.body.risk.daily_loss_max
    if not limit:
        return ""
    now = worth(session, step)
    if now.unmarked:
        return f"{now.unmarked} has no quote: the loss of this UTC day is not known"
    day = step.account.day_pnl
    recorded: Mapping[str, Decimal] = day.lost if day.day == day_of(step.time_ns) else {}
    losses = losses_of_day(session, step, now)
    for asset in sorted({*losses, *recorded}):
        loss = max(losses.get(asset, ZERO), recorded.get(asset, ZERO))
        if loss >= limit:
            return f"the loss of this UTC day reached {plain(loss)} {asset}, and daily_loss_max is {plain(limit)}"
    return ""
