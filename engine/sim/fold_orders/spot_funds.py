"""A position of spot, which fees in base lower, and prices at the venue's bounds. Compiled."""

from typing import Final

from engine.market.jit import compiled
from engine.market.layout import Q_ASK, Q_BID, Q_LIVE
from engine.market.rows import Rows
from engine.sim.exchange.trade_tape import product
from engine.sim.exchange.venue_arrays import ONE
from engine.sim.fold_orders.fold_layout import (
    W_FEE_MAKER,
    W_FEE_TAKER,
    W_HIGH_SHARE,
    W_LOW_SHARE,
    W_PAYS_BASE,
    W_SIZE_UNIT,
)

DOUBT: Final = 0.1  # shares so close to a bound of the mid are not decided here


@compiled
def position_change(w: Rows, side: int, size: int, is_maker: int) -> int:
    """Return a fill's change of the position, in units of 1e-8. A spot buy adds its size less its fee."""
    amount = size * w[W_SIZE_UNIT]
    if side < 0 or w[W_PAYS_BASE] == 0:
        return int(side * amount)
    return int(amount - product(amount, w[W_FEE_MAKER] if is_maker else w[W_FEE_TAKER]))


@compiled
def is_far_from_market(w: Rows, t: Rows, price: int) -> bool:
    """Return True if risk, once it knows the venue's bounds, may refuse a price for its distance."""
    if t[0, Q_LIVE] == 0 or t[0, Q_BID] == 0 or t[0, Q_ASK] == 0:
        return False
    share = 2.0 * price / float(t[0, Q_BID] + t[0, Q_ASK])
    low = float(w[W_LOW_SHARE]) / ONE
    high = float(w[W_HIGH_SHARE]) / ONE
    return bool(share < low * (1 + DOUBT) or (high > 0.0 and share > high * (1 - DOUBT)))
