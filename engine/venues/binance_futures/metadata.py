"""The exchangeInfo of Binance's futures, USD-M and COIN-M, as instruments. Knows its filters; nothing of orders."""

from decimal import Decimal
from typing import Final

import msgspec

from engine.events import InstrumentsReport
from engine.market.rows import fitting_scale
from engine.model import Instrument, RateLimits
from engine.venues.binance_common.metadata import (
    LEVEL_OVER_ORDER,
    Filter,
    RateLimit,
    decimals,
    number,
    rate_limits,
)

NEVER_MS: Final = 4_133_404_800_000  # the delivery of a perpetual, in the year 2100
ORDERS_MINUTE_MAX: Final = 1_200
TRAILING_DELTAS: Final = (10, 1_000)  # basis points: callbackRate 0.1 to 10 percent (7)
DOCUMENTED: Final = RateLimits(weight_minute_max=2_400, orders_10s_max=300)  # section 10


class _FuturesSymbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    filters: list[Filter]
    contract_type: str = ""
    delivery_date: int = 0
    price_precision: int = 0  # decimals that the venue writes and takes; not the tick
    quantity_precision: int = 0
    status: str = ""  # of USD-M
    contract_status: str = ""  # of COIN-M
    contract_size: int = 1  # of COIN-M, in units of quote


class _FuturesInfo(msgspec.Struct, rename="camel"):
    symbols: list[_FuturesSymbol]
    rate_limits: list[RateLimit] = []


_DECODER = msgspec.json.Decoder(_FuturesInfo, strict=False)  # some mirrors quote their integers


def read_exchange_info(payload: bytes, venue: str, *, inverse: bool, trades: bool = False) -> tuple[Instrument, ...]:
    """Return every symbol in the venue's order. Raises ValueError for any other answer.

    Args:
        payload: The answer.
        venue: The venue's name.
        inverse: Whether its contracts are inverse.
        trades: True: with the bounds of trailing stops, which a venue that is only watched does not need.

    """
    return tuple(_instrument(of, venue, inverse=inverse, trades=trades) for of in _DECODER.decode(payload).symbols)


def read_rate_limits(payload: bytes, *, trades: bool = False) -> RateLimits:
    """Return the rate limits of the same answer (section 10)."""
    rows = _DECODER.decode(payload).rate_limits
    limits = rate_limits(rows, DOCUMENTED)
    if not trades:
        return limits
    in_minute = [row.limit for row in rows if (row.rate_limit_type, row.interval) == ("ORDERS", "MINUTE")]
    return msgspec.structs.replace(limits, orders_minute_max=min(in_minute, default=0) or ORDERS_MINUTE_MAX)


def read_metadata(payload: bytes, venue: str, *, inverse: bool, trades: bool = False) -> InstrumentsReport:
    """Return instruments and rate limits. Raises ValueError."""
    instruments = read_exchange_info(payload, venue, inverse=inverse, trades=trades)
    return InstrumentsReport(instruments, read_rate_limits(payload, trades=trades))


def _instrument(symbol: _FuturesSymbol, venue: str, *, inverse: bool, trades: bool) -> Instrument:
    filters = {of.filter_type: of for of in symbol.filters}
    absent = Filter()
    price = filters.get("PRICE_FILTER", absent)
    lot = filters.get("LOT_SIZE", absent)
    tick_size, price_max = number(price.tick_size), number(price.max_price)
    lot_size, quantity_max = number(lot.step_size), number(lot.max_qty)
    return Instrument(
        id=f"{venue}:{symbol.symbol}",
        venue=venue,
        symbol=symbol.symbol,
        base=symbol.base_asset,
        quote=symbol.quote_asset,
        # the decimals that are written: when a tick grows (0.01 to 0.10 on BTCUSDT), older orders stay where they are
        price_scale=fitting_scale(symbol.price_precision, decimals(tick_size), price_max),
        size_scale=fitting_scale(symbol.quantity_precision, decimals(lot_size), quantity_max * LEVEL_OVER_ORDER),
        tick_size=tick_size,
        lot_size=lot_size,
        price_min=number(price.min_price),
        price_max=price_max,
        quantity_min=number(lot.min_qty),
        quantity_max=quantity_max,
        market_quantity_max=number(filters.get("MARKET_LOT_SIZE", absent).max_qty),
        notional_min=number(filters.get("MIN_NOTIONAL", absent).notional),
        trading="TRADING" in (symbol.status, symbol.contract_status),
        contract=symbol.contract_type,
        contract_size=Decimal(symbol.contract_size),
        inverse=inverse,
        margin=symbol.margin_asset,
        trailing_delta_min=TRAILING_DELTAS[0] if trades else 0,
        trailing_delta_max=TRAILING_DELTAS[1] if trades else 0,
        delivery_ns=0 if symbol.delivery_date in (0, NEVER_MS) else symbol.delivery_date * 1_000_000,
    )
