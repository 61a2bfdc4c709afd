"""Binance Spot's exchangeInfo as our instruments. Knows its filters; nothing of orders, streams or requests."""

import msgspec

from engine.model import Instrument, RateLimits
from engine.venues.binance_common.metadata import (
    LEVEL_OVER_ORDER,
    Filter,
    RateLimit,
    allowance,
    decimals,
    fitting_scale,
    number,
)

VENUE = "binance_spot"


class _Symbol(msgspec.Struct):
    symbol: str
    status: str
    baseAsset: str  # noqa: N815  the wire's name
    quoteAsset: str  # noqa: N815  the wire's name
    filters: list[Filter]
    baseAssetPrecision: int = 8  # noqa: N815  the wire's name
    quoteAssetPrecision: int = 8  # noqa: N815  the wire's name


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]
    rateLimits: list[RateLimit] = []  # noqa: N815  the wire's name


_DECODER = msgspec.json.Decoder(_ExchangeInfo, strict=False)  # some mirrors quote their integers


def read_exchange_info(payload: bytes, venue: str = VENUE) -> tuple[Instrument, ...]:
    """Every symbol in the venue's order; ValueError where the answer is not what it should be."""
    return tuple(_instrument(of, venue) for of in _DECODER.decode(payload).symbols)


def read_allowance(payload: bytes) -> RateLimits:
    """What the same answer says of rates (section 11)."""
    return allowance(_DECODER.decode(payload).rateLimits, RateLimits())


def _instrument(symbol: _Symbol, venue: str) -> Instrument:
    filters = {of.filterType: of for of in symbol.filters}
    absent = Filter()
    price = filters.get("PRICE_FILTER", absent)
    lot = filters.get("LOT_SIZE", absent)
    market_lot = filters.get("MARKET_LOT_SIZE", absent)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or absent
    to_market = notional.applyMinToMarket if "NOTIONAL" in filters else notional.applyToMarket
    tick_size = number(price.tickSize)
    lot_size = number(lot.stepSize)
    quantity_max = number(lot.maxQty)
    return Instrument(
        id=f"{venue}:{symbol.symbol}",
        venue=venue,
        symbol=symbol.symbol,
        base=symbol.baseAsset,
        quote=symbol.quoteAsset,
        # a filter of 0 is switched off; then only the asset's precision bounds the decimals
        price_scale=decimals(tick_size) if tick_size else symbol.quoteAssetPrecision,
        # Real books hold levels off the lot grid (25.42618900 BTC at 200000, lot 0.00001, line 1885 of
        # spot_btcusdt_20240808), so it is the asset's precision, or less where large sizes would leave the integers
        size_scale=fitting_scale(symbol.baseAssetPrecision, decimals(lot_size), quantity_max * LEVEL_OVER_ORDER),
        tick_size=tick_size,
        lot_size=lot_size,
        price_min=number(price.minPrice),
        price_max=number(price.maxPrice),
        quantity_min=number(lot.minQty),
        quantity_max=quantity_max,
        market_quantity_max=number(market_lot.maxQty),
        notional_min=number(notional.minNotional),
        notional_min_applies_to_market=to_market,
        trading=symbol.status == "TRADING",
    )
