"""What the account says to compiled strategies: their own orders and positions as numbers, beside what the market shows them.

Derived from the account whenever that has changed, so no record need tell of it. Who rebuilds shows nothing: nobody is to be woken.
"""

from operator import is_

from engine.lifecycle import Status
from engine.mode_reasons import Mode
from engine.model import Instrument, Side
from engine.session_context import SessionContext
from engine.state.session_state import Account, State

SETTLED = (Status.OPEN, Status.PARTIALLY_FILLED)


def refresh(program: SessionContext, state: State) -> None:
    """Before an input is folded."""
    if not program.looks:
        return
    account = state.account
    seen = (account.orders, account.positions, account.modes, account.strategies)
    if state.shown and all(map(is_, seen, state.shown)):
        return
    state.shown = seen
    state.market.lull()
    if account.modes.mode is not Mode.RUNNING or account.modes.stopping_since_ns:
        return
    for name in program.looks:
        if not account.strategies.of(name).stopped_for:
            for index, instrument in program.deciding.instruments_of(name):
                position = float(account.positions.of(name, instrument.id).quantity)
                state.market.show(program.watch_names.index(name), index, _orders(account, name, instrument), position)


def disable(program: SessionContext, state: State) -> None:
    """Before a record is folded of which nothing is to be decided."""
    if program.looks and state.shown:
        state.shown = ()
        state.market.lull()


def _orders(account: Account, strategy: str, instrument: Instrument) -> tuple[int, ...]:
    """As MarketTick names them, from `bids` to `unsettled`."""
    bids: list[int] = []
    asks: list[int] = []
    unsettled = 0
    for order in account.orders.live.values():
        if order.strategy == strategy and order.order.instrument == instrument.id:
            side = bids if order.order.side is Side.BUY else asks
            side.append(int(order.order.price.scaleb(instrument.price_scale)))
            unsettled += order.status not in SETTLED or order.cancel_seq > 0
    return len(bids), max(bids, default=0), len(asks), min(asks, default=0), unsettled
