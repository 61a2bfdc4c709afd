"""Binance Spot's exchangeInfo as our instruments. Knows its filters; nothing of orders, streams or requests."""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from engine.market.rows import VALUE_MAX
from engine.model import Allowance, Instrument

VENUE = "binance_spot"
_LEVEL_OVER_ORDER: Final = 1000  # room for a level of this many largest orders


class _Filter(msgspec.Struct):
    """The fields of all the filters we use; each filter has its own few. Numbers are decimal strings."""

    filterType: str = ""  # noqa: N815  the wire's name
    minPrice: str = "0"  # noqa: N815  the wire's name
    maxPrice: str = "0"  # noqa: N815  the wire's name
    tickSize: str = "0"  # noqa: N815  the wire's name
    minQty: str = "0"  # noqa: N815  the wire's name
    maxQty: str = "0"  # noqa: N815  the wire's name
    stepSize: str = "0"  # noqa: N815  the wire's name
    minNotional: str = "0"  # noqa: N815  the wire's name
    applyMinToMarket: bool = True  # noqa: N815  the wire's name, in NOTIONAL
    applyToMarket: bool = True  # noqa: N815  the wire's name, in MIN_NOTIONAL


class _Symbol(msgspec.Struct):
    symbol: str
    status: str
    baseAsset: str  # noqa: N815  the wire's name
    quoteAsset: str  # noqa: N815  the wire's name
    filters: list[_Filter]
    baseAssetPrecision: int = 8  # noqa: N815  the wire's name
    quoteAssetPrecision: int = 8  # noqa: N815  the wire's name


class _RateLimit(msgspec.Struct):
    rateLimitType: str = ""  # noqa: N815  the wire's name
    interval: str = ""
    intervalNum: int = 0  # noqa: N815  the wire's name
    limit: int = 0


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]
    rateLimits: list[_RateLimit] = []  # noqa: N815  the wire's name


_DECODER = msgspec.json.Decoder(_ExchangeInfo, strict=False)  # some mirrors quote their integers


def read_exchange_info(payload: bytes, venue: str = VENUE) -> tuple[Instrument, ...]:
    """Every symbol in the venue's order; ValueError where the answer is not what it should be."""
    return tuple(_instrument(of, venue) for of in _DECODER.decode(payload).symbols)


def read_allowance(payload: bytes) -> Allowance:
    """What the same answer says of rates (section 11); what it does not say, or says as 0, is as documented."""
    told = {(row.rateLimitType, row.interval, row.intervalNum): row.limit for row in _DECODER.decode(payload).rateLimits}
    documented = Allowance()
    return Allowance(
        weight_minute_max=told.get(("REQUEST_WEIGHT", "MINUTE", 1), 0) or documented.weight_minute_max,
        orders_10s_max=told.get(("ORDERS", "SECOND", 10), 0) or documented.orders_10s_max,
    )


def _instrument(symbol: _Symbol, venue: str) -> Instrument:
    filters = {of.filterType: of for of in symbol.filters}
    absent = _Filter()
    price = filters.get("PRICE_FILTER", absent)
    lot = filters.get("LOT_SIZE", absent)
    market_lot = filters.get("MARKET_LOT_SIZE", absent)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or absent
    to_market = notional.applyMinToMarket if "NOTIONAL" in filters else notional.applyToMarket
    tick_size = _number(price.tickSize)
    lot_size = _number(lot.stepSize)
    quantity_max = _number(lot.maxQty)
    return Instrument(
        id=f"{venue}:{symbol.symbol}",
        venue=venue,
        symbol=symbol.symbol,
        base=symbol.baseAsset,
        quote=symbol.quoteAsset,
        # a filter of 0 is switched off; then only the asset's precision bounds the decimals
        price_scale=_scale(tick_size) if tick_size else symbol.quoteAssetPrecision,
        size_scale=_size_scale(lot_size, quantity_max, symbol.baseAssetPrecision),
        tick_size=tick_size,
        lot_size=lot_size,
        price_min=_number(price.minPrice),
        price_max=_number(price.maxPrice),
        quantity_min=_number(lot.minQty),
        quantity_max=quantity_max,
        market_quantity_max=_number(market_lot.maxQty),
        notional_min=_number(notional.minNotional),
        notional_min_applies_to_market=to_market,
        trading=symbol.status == "TRADING",
    )


def _number(text: str) -> Decimal:
    """A filter's number without trailing zeros; raises ValueError for what is no plain finite number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"{text!r} bounds nothing")
    digits = f"{number:f}"
    return Decimal(digits.rstrip("0").rstrip(".") if "." in digits else digits)


def _scale(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int), exponent  # _number lets only finite ones through
    return max(0, -exponent)


def _size_scale(lot_size: Decimal, quantity_max: Decimal, asset_precision: int) -> int:
    """The decimals of sizes in market data. Real books hold levels off the lot grid (25.42618900 BTC at 200000, lot 0.00001,
    line 1885 of spot_btcusdt_20240808), so it is the asset's precision, or less where large sizes would leave the integers.
    """
    scale = asset_precision
    lot_scale = _scale(lot_size)
    while scale > lot_scale and quantity_max * _LEVEL_OVER_ORDER * 10**scale > VALUE_MAX:
        scale -= 1
    return max(scale, lot_scale)
