"""Public endpoints of USD-M: time, exchangeInfo, depth, trades, prices, mark prices and fundings."""

from typing import Any, Final

import msgspec

from engine.sim.binance import endpoints_market as spot
from engine.sim.binance import endpoints_tickers as tickers
from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, Endpoint, NotYetError, fixed
from engine.sim.binance.order_listing import optional_symbol
from engine.sim.binance.params import Params
from engine.sim.binance_usdm.contract_filters import exchange_info_entry
from engine.sim.binance_usdm.endpoint_calls import MS, by_symbol, contracts, market_of, one_or_many
from engine.sim.binance_usdm.market_messages import snapshot_data
from engine.sim.exchange.margin import contract_of
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds.sim_market import DepthSnapshot
from engine.sim.units import text

DEPTH_LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)


def exchange_info(call: Call) -> dict[str, Any]:
    """Return symbols, filters and rate limits."""
    markets = call.exchange.markets.values()
    assets = sorted({market.rules.settles_in for market in markets})
    return {
        "timezone": "UTC",
        "serverTime": call.now_ns // MS,
        "futuresType": "U_MARGINED",
        "rateLimits": call.limits.describe(),
        "exchangeFilters": [],
        "assets": [{"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"} for asset in assets],
        "symbols": [exchange_info_entry(market.rules) for market in markets],
    }


def depth(call: Call) -> msgspec.Raw:
    """Return the book as the public feed's diffs left it. Raises NotYetError before the feed's snapshot."""
    market = market_of(call)
    limit = call.params.integer("limit") or 500
    if limit not in DEPTH_LIMITS:
        raise refusals.VenueRefusalError(400, -4021, f"Invalid depth limit: {limit}")
    if not market.joined:
        raise NotYetError(market.rules.symbol)
    bids, asks = market.top(limit)
    return msgspec.Raw(snapshot_data(DepthSnapshot(market.update_id, bids, asks), call.now_ns))


def _depth_weight(params: Params) -> int:
    limit = params.get("limit") or "500"
    asked = int(limit) if limit.isdecimal() else 500
    return 2 if asked <= 50 else 5 if asked <= 100 else 10 if asked <= 500 else 20


def _klines_weight(params: Params) -> int:
    limit = params.get("limit") or "500"
    asked = int(limit) if limit.isdecimal() else 500
    return 1 if asked < 100 else 2 if asked < 500 else 5 if asked <= 1_000 else 10


def _chosen(call: Call) -> list[SymbolMarket]:
    symbol = optional_symbol(call)
    return list(call.exchange.markets.values()) if symbol is None else [call.exchange.market(symbol)]


def ticker_price(call: Call) -> Any:
    """Return the last price of one symbol, or of all."""
    millis = call.now_ns // MS
    rows = [{"symbol": m.rules.symbol, "price": text(m.last_price()), "time": millis} for m in _chosen(call)]
    return one_or_many(call, rows)


def ticker_book(call: Call) -> Any:
    """Return the best bid and ask of one symbol, or of all."""
    millis = call.now_ns // MS
    rows = [
        {"symbol": m.rules.symbol, **tickers.best_of(m), "time": millis, "lastUpdateId": m.update_id}
        for m in _chosen(call)
    ]
    return one_or_many(call, rows)


def ticker_day(call: Call) -> Any:
    """Return the statistics of the last 24 hours, of one symbol or of all."""
    rows = []
    for market in _chosen(call):
        shown = tickers.day_ticker(market, call.now_ns)
        rows.append({name: value for name, value in shown.items() if name not in tickers.OF_DAY_ALONE})
    return one_or_many(call, rows)


def premium_index(call: Call) -> Any:
    """Return the mark price, its index and the next funding, of one symbol or of all that have one."""
    exchange = contracts(call)
    rows = []
    for market in _chosen(call):
        symbol, mark = market.rules.symbol, exchange.mark_prints.get(market.rules.symbol)
        if mark is None and call.params.get("symbol"):
            raise refusals.unknown_error()  # no book and no mark price yet
        if mark is not None:
            rows.append(
                {
                    "symbol": symbol,
                    "markPrice": text(mark.price),
                    "indexPrice": text(mark.index_price),
                    "estimatedSettlePrice": text(mark.index_price),
                    "lastFundingRate": text(mark.rate),
                    "interestRate": text(contract_of(market.rules).interest_rate),
                    "nextFundingTime": mark.next_ns // MS,
                    "time": call.now_ns // MS,
                }
            )
    return one_or_many(call, rows)


def funding_rate(call: Call) -> list[dict[str, Any]]:
    """Return a page of the fundings that took place, oldest first."""
    symbol = optional_symbol(call)
    limit = call.params.limit(default=100, most=1_000)
    start_ms, end_ms = call.params.integer("startTime"), call.params.integer("endTime")
    found = [
        {
            "symbol": each.symbol,
            "fundingTime": each.time_ns // MS,
            "fundingRate": text(each.rate),
            "markPrice": text(each.mark),
        }
        for each in contracts(call).fundings
        if symbol in (None, each.symbol)
        and (start_ms is None or each.time_ns // MS >= start_ms)
        and (end_ms is None or each.time_ns // MS <= end_ms)
    ]
    return found[:limit] if start_ms is not None else found[-limit:]


def funding_info(call: Call) -> list[dict[str, Any]]:
    """Return the symbols whose funding interval is not 8 hours: only those, as at Binance."""
    rows = []
    for market in call.exchange.markets.values():
        contract = contract_of(market.rules)
        if contract.funding_hours != 8:
            rows.append(
                {
                    "symbol": market.rules.symbol,
                    "adjustedFundingRateCap": text(contract.funding_rate_max),
                    "adjustedFundingRateFloor": text(-contract.funding_rate_max),
                    "fundingIntervalHours": contract.funding_hours,
                    "disclaimer": False,
                }
            )
    return rows


ENDPOINTS: Final = {
    ("GET", "/fapi/v1/ping"): Endpoint(handler=spot.ping, weight=fixed(1)),
    ("GET", "/fapi/v1/time"): Endpoint(handler=spot.time, weight=fixed(1)),
    ("GET", "/fapi/v1/exchangeInfo"): Endpoint(handler=exchange_info, weight=fixed(1)),
    ("GET", "/fapi/v1/depth"): Endpoint(handler=depth, weight=_depth_weight),
    ("GET", "/fapi/v1/trades"): Endpoint(handler=spot.trades, weight=fixed(5)),
    ("GET", "/fapi/v1/historicalTrades"): Endpoint(handler=spot.historical_trades, weight=fixed(20)),
    ("GET", "/fapi/v1/aggTrades"): Endpoint(handler=spot.agg_trades, weight=fixed(20)),
    ("GET", "/fapi/v1/klines"): Endpoint(handler=spot.klines, weight=_klines_weight),
    ("GET", "/fapi/v1/ticker/price"): Endpoint(handler=ticker_price, weight=by_symbol(1, 2)),
    ("GET", "/fapi/v2/ticker/price"): Endpoint(handler=ticker_price, weight=by_symbol(1, 2)),
    ("GET", "/fapi/v1/ticker/bookTicker"): Endpoint(handler=ticker_book, weight=by_symbol(2, 5)),
    ("GET", "/fapi/v1/ticker/24hr"): Endpoint(handler=ticker_day, weight=by_symbol(1, 40)),
    ("GET", "/fapi/v1/premiumIndex"): Endpoint(handler=premium_index, weight=by_symbol(1, 10)),
    ("GET", "/fapi/v1/fundingRate"): Endpoint(handler=funding_rate, weight=fixed(0)),
    ("GET", "/fapi/v1/fundingInfo"): Endpoint(handler=funding_info, weight=fixed(0)),
}
PARAMS: Final = {
    ("GET", "/fapi/v1/ping"): "",
    ("GET", "/fapi/v1/time"): "",
    ("GET", "/fapi/v1/exchangeInfo"): "",
    ("GET", "/fapi/v1/depth"): "symbol limit",
    ("GET", "/fapi/v1/trades"): "symbol limit",
    ("GET", "/fapi/v1/historicalTrades"): "symbol limit fromId",
    ("GET", "/fapi/v1/aggTrades"): "symbol fromId startTime endTime limit",
    ("GET", "/fapi/v1/klines"): "symbol interval startTime endTime limit",
    ("GET", "/fapi/v1/ticker/price"): "symbol",
    ("GET", "/fapi/v2/ticker/price"): "symbol",
    ("GET", "/fapi/v1/ticker/bookTicker"): "symbol",
    ("GET", "/fapi/v1/ticker/24hr"): "symbol",
    ("GET", "/fapi/v1/premiumIndex"): "symbol",
    ("GET", "/fapi/v1/fundingRate"): "symbol startTime endTime limit",
    ("GET", "/fapi/v1/fundingInfo"): "",
}
