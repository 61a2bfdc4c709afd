"""Binance Spot's exchangeInfo as our instruments. Knows its filters; nothing of orders, streams or requests."""

import msgspec

from engine.market.rows import fitting_scale
from engine.model import Instrument, OrderTerm, RateLimits
from engine.venues.binance_common.metadata import (
    LEVEL_OVER_ORDER,
    Filter,
    RateLimit,
    decimals,
    number,
    rate_limits,
)

VENUE = "binance_spot"


class _SpotSymbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[Filter]
    base_asset_precision: int = 8
    quote_asset_precision: int = 8
    iceberg_allowed: bool = True
    allow_trailing_stop: bool = True
    quote_order_qty_market_allowed: bool = True


class _SpotInfo(msgspec.Struct, rename="camel"):
    symbols: list[_SpotSymbol]
    rate_limits: list[RateLimit] = []


_DECODER = msgspec.json.Decoder(_SpotInfo, strict=False)  # some mirrors quote their integers


def read_exchange_info(payload: bytes, venue: str = VENUE) -> tuple[Instrument, ...]:
    """Return every symbol in the venue's order. Raises ValueError for any other answer."""
    return tuple(_instrument(of, venue) for of in _DECODER.decode(payload).symbols)


def read_rate_limits(payload: bytes) -> RateLimits:
    """Return the rate limits of the same answer (section 11)."""
    return rate_limits(_DECODER.decode(payload).rate_limits, RateLimits())


def _instrument(symbol: _SpotSymbol, venue: str) -> Instrument:
    filters = {of.filter_type: of for of in symbol.filters}
    absent = Filter()
    trailing = filters.get("TRAILING_DELTA", absent)
    price = filters.get("PRICE_FILTER", absent)
    lot = filters.get("LOT_SIZE", absent)
    market_lot = filters.get("MARKET_LOT_SIZE", absent)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or absent
    by_side = filters.get("PERCENT_PRICE_BY_SIDE", absent)
    to_market = notional.apply_min_to_market if "NOTIONAL" in filters else notional.apply_to_market
    tick_size = number(price.tick_size)
    lot_size = number(lot.step_size)
    quantity_max = number(lot.max_qty)
    return Instrument(
        id=f"{venue}:{symbol.symbol}",
        venue=venue,
        symbol=symbol.symbol,
        base=symbol.base_asset,
        quote=symbol.quote_asset,
        # a filter of 0 is switched off; then only the asset's precision bounds the decimals
        price_scale=decimals(tick_size) if tick_size else symbol.quote_asset_precision,
        # Real books hold levels off the lot grid (25.42618900 BTC at 200000, lot 0.00001, line 1885 of
        # spot_btcusdt_20240808): the scale is the asset's precision, or less where large sizes would leave the integers
        size_scale=fitting_scale(symbol.base_asset_precision, decimals(lot_size), quantity_max * LEVEL_OVER_ORDER),
        tick_size=tick_size,
        lot_size=lot_size,
        price_min=number(price.min_price),
        price_max=number(price.max_price),
        quantity_min=number(lot.min_qty),
        quantity_max=quantity_max,
        market_quantity_max=number(market_lot.max_qty),
        notional_min=number(notional.min_notional),
        notional_min_applies_to_market=to_market,
        trading=symbol.status == "TRADING",
        buy_price_low=number(by_side.bid_multiplier_down),
        buy_price_high=number(by_side.bid_multiplier_up),
        sell_price_low=number(by_side.ask_multiplier_down),
        sell_price_high=number(by_side.ask_multiplier_up),
        iceberg_parts_max=filters.get("ICEBERG_PARTS", absent).limit,
        trailing_delta_min=max(trailing.min_trailing_above_delta, trailing.min_trailing_below_delta),
        trailing_delta_max=_lower_bound(trailing.max_trailing_above_delta, trailing.max_trailing_below_delta),
        forbids=tuple(term for term, is_allowed in _allowed(symbol).items() if not is_allowed),
    )


def _allowed(symbol: _SpotSymbol) -> dict[OrderTerm, bool]:
    return {
        OrderTerm.TRAILING: symbol.allow_trailing_stop,
        OrderTerm.ICEBERG: symbol.iceberg_allowed,
        OrderTerm.QUOTE_QUANTITY: symbol.quote_order_qty_market_allowed,
    }


def _lower_bound(one: int, other: int) -> int:
    """Return the smaller of two upper bounds; 0 is no bound."""
    return min(bound for bound in (one, other) if bound) if one or other else 0
