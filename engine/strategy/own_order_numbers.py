"""A strategy's own orders as the numbers that compiled functions get."""

from engine.lifecycle import Status
from engine.model import Instrument, Side
from engine.state.session_state import Account

SETTLED = (Status.OPEN, Status.TRIGGERED, Status.PARTIALLY_FILLED)


def own_order_numbers(account: Account, strategy: str, instrument: Instrument) -> tuple[int, int, int, int, int]:
    """Return MarketTick's fields from `bids` to `unsettled`."""
    bids: list[int] = []
    asks: list[int] = []
    unsettled = 0
    for order in account.orders.live.values():
        if order.strategy == strategy and order.order.instrument == instrument.id:
            side = bids if order.order.side is Side.BUY else asks
            side.append(int(order.order.price.scaleb(instrument.price_scale)))
            unsettled += order.status not in SETTLED or order.cancel_seq > 0
    return len(bids), max(bids, default=0), len(asks), min(asks, default=0), unsettled
