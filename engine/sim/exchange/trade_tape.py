"""The venue's tape: its trades, each once, and the minutes of trades. Compiled."""

from engine.market import rows as r
from engine.market.fold.trades import is_repeated
from engine.market.jit import compiled
from engine.market.rows import Rows
from engine.sim.exchange.venue_arrays import (
    HIGHEST,
    LARGEST,
    M_CLOSE,
    M_COUNT,
    M_FIELDS,
    M_FIRST_ID,
    M_HIGH,
    M_LAST_ID,
    M_LOW,
    M_OPEN,
    M_QUOTE,
    M_START_NS,
    M_TAKER_BASE,
    M_TAKER_QUOTE,
    M_VOLUME,
    MINUTE_NS,
    MINUTES_KEPT,
    ONE,
    P_BUYER_IS_MAKER,
    P_ID,
    P_PRICE,
    P_SIZE,
    P_TIME_NS,
    PRINTS_KEPT,
    V_BARS,
    V_PRICE_UNIT,
    V_PRINTS,
    V_SIZE_UNIT,
    V_TRADE_ID,
    V_TRADE_NS,
    V_TRADES,
)


@compiled
def product(price: int, size: int) -> int:
    """Return price times size, cut to 8 places, without an intermediate above 2**63; at most HIGHEST."""
    if float(price) * float(size) >= float(HIGHEST) * float(ONE):
        return HIGHEST
    return price * (size // ONE) + (price // ONE) * (size % ONE) + (price % ONE) * (size % ONE) // ONE


@compiled
def add_up_to_largest(sums: Rows, field: int, amount: int) -> None:
    """Add an amount to a sum, which stays at LARGEST rather than wrap."""
    sums[field] = min(sums[field], LARGEST - amount) + amount


@compiled
def is_new_trade(i: int, row: Rows, v: Rows) -> bool:
    """Return True unless the trade is repeated, as the fold decides it, and remember it as the last one."""
    if is_repeated(v[i, V_TRADES], v[i, V_TRADE_ID], v[i, V_TRADE_NS], row[r.TRADE_ID], row[r.VENUE_NS]):
        return False
    v[i, V_TRADES] += 1
    v[i, V_TRADE_ID] = row[r.TRADE_ID]
    v[i, V_TRADE_NS] = row[r.VENUE_NS]
    return True


@compiled
def apply_trade(i: int, row: Rows, v: Rows, prints: Rows, minutes: Rows) -> None:
    """Add a trade to the tape and to its minute by the venue's time."""
    price = row[r.TRADE_PRICE] * v[i, V_PRICE_UNIT]
    size = row[r.TRADE_SIZE] * v[i, V_SIZE_UNIT]
    at = v[i, V_PRINTS] % PRINTS_KEPT
    v[i, V_PRINTS] += 1
    prints[i, at, P_ID] = row[r.TRADE_ID]
    prints[i, at, P_PRICE] = price
    prints[i, at, P_SIZE] = size
    prints[i, at, P_TIME_NS] = row[r.VENUE_NS]
    prints[i, at, P_BUYER_IS_MAKER] = row[r.TRADE_BUYER_IS_MAKER]
    start_ns = row[r.VENUE_NS] - row[r.VENUE_NS] % MINUTE_NS
    at = (v[i, V_BARS] - 1) % MINUTES_KEPT
    if v[i, V_BARS] == 0 or minutes[i, at, M_START_NS] < start_ns:
        at = v[i, V_BARS] % MINUTES_KEPT
        v[i, V_BARS] += 1
        for field in range(M_FIELDS):
            minutes[i, at, field] = 0
        minutes[i, at, M_START_NS] = start_ns
        for field in range(M_OPEN, M_VOLUME):
            minutes[i, at, field] = price
        minutes[i, at, M_FIRST_ID] = row[r.TRADE_ID]
    minutes[i, at, M_HIGH] = max(minutes[i, at, M_HIGH], price)
    minutes[i, at, M_LOW] = min(minutes[i, at, M_LOW], price)
    minutes[i, at, M_CLOSE] = price
    minutes[i, at, M_LAST_ID] = row[r.TRADE_ID]
    quote = product(price, size)
    add_up_to_largest(minutes[i, at], M_VOLUME, size)
    add_up_to_largest(minutes[i, at], M_QUOTE, quote)
    minutes[i, at, M_COUNT] += 1
    if row[r.TRADE_BUYER_IS_MAKER] == 0:
        add_up_to_largest(minutes[i, at], M_TAKER_BASE, size)
        add_up_to_largest(minutes[i, at], M_TAKER_QUOTE, quote)
