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


def read_exchange_info(payload: bytes, venue: str, *, inverse: bool) -> tuple[Instrument, ...]:
    """Return every symbol in the venue's order. Raises ValueError for any other answer."""
    return tuple(_instrument(of, venue, inverse=inverse) for of in _DECODER.decode(payload).symbols)


def read_rate_limits(payload: bytes) -> RateLimits:
    """Return the rate limits of the same answer (section 10)."""
    return rate_limits(_DECODER.decode(payload).rate_limits, DOCUMENTED)


def read_metadata(payload: bytes, venue: str, *, inverse: bool) -> InstrumentsReport:
    """Return instruments and rate limits. Raises ValueError."""
    return InstrumentsReport(read_exchange_info(payload, venue, inverse=inverse), read_rate_limits(payload))


def _instrument(symbol: _FuturesSymbol, venue: str, *, inverse: bool) -> Instrument:
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
        delivery_ns=0 if symbol.delivery_date in (0, NEVER_MS) else symbol.delivery_date * 1_000_000,
    )
