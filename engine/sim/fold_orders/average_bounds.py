"""The venue's filters that compare its average price. Compiled."""

from typing import Final

from engine.market.jit import compiled
from engine.market.rows import Rows
from engine.sim.exchange.price_levels import LOWEST, best_offered
from engine.sim.exchange.venue_arrays import HIGHEST, M_QUOTE, M_VOLUME, MINUTES_KEPT, ONE, V_BARS, V_FAR
from engine.sim.fold_orders.fold_layout import (
    NEAR_PRICE_BOUND,
    PLACE_MARKET,
    V_NOTIONAL,
    V_PERCENT_PRICE,
    W_HIGH_SHARE,
    W_LOW_SHARE,
    W_VENUE_NOTIONAL_MIN,
)
from engine.sim.fold_orders.own_orders import OK

AVERAGE_MINUTES: Final = 5
BOUND_DOUBT: Final = 1e-6  # shares this close to a bound are decided by whole numbers, which floats are not


@compiled
def average_price(v: Rows, levels: Rows, minutes: Rows) -> float:
    """Return the venue's average price, nearly; 0 if floats cannot decide."""
    volume = 0.0
    quote = 0.0
    for n in range(max(0, v[0, V_BARS] - AVERAGE_MINUTES), v[0, V_BARS]):
        volume += float(minutes[0, n % MINUTES_KEPT, M_VOLUME])
        quote += float(minutes[0, n % MINUTES_KEPT, M_QUOTE])
    if volume > 0.0 and quote > 0.0:
        return float(quote * ONE / volume)
    bid = best_offered(levels[0], v[0, V_FAR], HIGHEST)
    ask = best_offered(levels[1], v[0, V_FAR + 1], HIGHEST)
    if v[0, V_BARS] > 0 or LOWEST in (bid, ask):
        return 0.0
    return float((bid - ask) // 2)


@compiled
def check_prices(w: Rows, v: Rows, levels: Rows, minutes: Rows, kind: int, price: int, size: int) -> int:
    """Return OK if an order passes the filters that compare the venue's average price, or the reason of the venue.

    NEAR_PRICE_BOUND if floats cannot decide.
    """
    if kind == PLACE_MARKET and w[W_VENUE_NOTIONAL_MIN] == 0:
        return OK
    average = average_price(v, levels, minutes)
    if average == 0.0:
        return NEAR_PRICE_BOUND
    if kind == PLACE_MARKET:
        share = average * float(size) / ONE / float(w[W_VENUE_NOTIONAL_MIN])
        low, high, code = 1.0, 0.0, V_NOTIONAL
    else:
        share = float(price) / average
        low, high, code = float(w[W_LOW_SHARE]) / ONE, float(w[W_HIGH_SHARE]) / ONE, V_PERCENT_PRICE
    if low * (1 + BOUND_DOUBT) < share and (high == 0.0 or share < high * (1 - BOUND_DOUBT)):
        return OK
    if share < low * (1 - BOUND_DOUBT) or (high > 0.0 and share > high * (1 + BOUND_DOUBT)):
        return code
    return NEAR_PRICE_BOUND
