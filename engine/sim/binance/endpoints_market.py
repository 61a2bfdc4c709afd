"""Public endpoints: time, exchangeInfo, depth, trades, klines. They read the market and change nothing."""

from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.candles import Interval, zone_ns
from engine.sim.binance.endpoints import Call, Endpoint, NotYetError, fixed
from engine.sim.binance.endpoints_tickers import STATUSES, markets_of, names_of
from engine.sim.binance.filters import exchange_info_entry
from engine.sim.binance.params import Params
from engine.sim.exchange.symbol_view import AVERAGE_MINUTES
from engine.sim.feeds.sim_market import DepthSnapshot, TradePrint, snapshot_data
from engine.sim.units import product, text

MS: Final = 1_000_000


def ping(_: Call) -> dict[str, Any]:
    """Return an empty answer."""
    return {}


def time(call: Call) -> dict[str, Any]:
    """Return the venue's clock."""
    return {"serverTime": call.now_ns // MS}


def exchange_info(call: Call) -> dict[str, Any]:
    """Return symbols, filters and rate limits."""
    params = call.params
    wanted = params.get("symbolStatus")
    if wanted is not None and wanted not in STATUSES:
        raise refusals.invalid_symbol_status()
    if (params.get("permissions") or wanted) and names_of(params) is not None:
        raise refusals.invalid_combination()
    if params.get("permissions") not in (None, "SPOT", '["SPOT"]'):
        raise refusals.not_implemented("another permission than SPOT")
    symbols = [exchange_info_entry(market.rules) for market in markets_of(call)]
    symbols = [entry for entry in symbols if wanted in (None, entry["status"])]
    if (params.get("showPermissionSets") or "true").lower() == "false":
        symbols = [entry | {"permissionSets": []} for entry in symbols]
    return {
        "timezone": "UTC",
        "serverTime": call.now_ns // MS,
        "rateLimits": call.limits.describe(),
        "exchangeFilters": [],
        "symbols": symbols,
        "sors": [],
    }


def depth(call: Call) -> msgspec.Raw:
    """Return the book as the public feed's diffs left it. Raises NotYetError before the feed's snapshot."""
    symbol = call.params.symbol()
    [market] = markets_of(call)
    limit = call.params.limit(default=100, most=5_000)
    if not market.joined:
        raise NotYetError(symbol)
    bids, asks = market.top(limit)
    return msgspec.Raw(snapshot_data(DepthSnapshot(market.update_id, bids, asks)))


def _depth_weight(params: Params) -> int:
    limit = params.get("limit") or "100"
    asked = int(limit) if limit.isdecimal() else 100
    return 5 if asked <= 100 else 25 if asked <= 500 else 50 if asked <= 1000 else 250


def _trade(trade: TradePrint) -> dict[str, Any]:
    return {
        "id": trade.trade_id,
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "quoteQty": text(product(trade.price, trade.quantity)),
        "time": trade.time_ns // MS,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def trades(call: Call) -> list[dict[str, Any]]:
    """Return the newest public trades."""
    market = call.exchange.market(call.params.symbol())
    limit = call.params.limit(default=500, most=1_000)
    return [_trade(trade) for trade in list(market.prints)[-limit:]]


def agg_trades(call: Call) -> list[dict[str, Any]]:
    """Return a page of public trades, each as an aggregate of one, out of those that the venue keeps.

    From an id or a start on the oldest come, else the newest (Binance Spot API, compressed/aggregate trades list).
    """
    params = call.params
    market = call.exchange.market(params.symbol())
    limit = params.limit(default=500, most=1_000)
    from_id, start_ms, end_ms = params.integer("fromId"), params.integer("startTime"), params.integer("endTime")
    if from_id is not None and (start_ms is not None or end_ms is not None):
        raise refusals.invalid_combination()
    found = [
        trade
        for trade in market.prints
        if (from_id is None or trade.trade_id >= from_id)
        and (start_ms is None or trade.time_ns // MS >= start_ms)
        and (end_ms is None or trade.time_ns // MS <= end_ms)
    ]
    is_forward = from_id is not None or start_ms is not None
    return [
        {
            "a": trade.trade_id,
            "p": text(trade.price),
            "q": text(trade.quantity),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time_ns // MS,
            "m": trade.buyer_is_maker,
            "M": True,
        }
        for trade in (found[:limit] if is_forward else found[-limit:])
    ]


def historical_trades(call: Call) -> list[dict[str, Any]]:
    """Return a page of the public trades that the venue keeps, from an id on or the newest."""
    market = call.exchange.market(call.params.symbol())
    limit = call.params.limit(default=500, most=1_000)
    from_id = call.params.integer("fromId")
    found = [_trade(trade) for trade in market.prints if from_id is None or trade.trade_id >= from_id]
    return found[-limit:] if from_id is None else found[:limit]


def average_price(call: Call) -> dict[str, Any]:
    """Return the average price of the last minutes, with the time of the last trade."""
    market = call.exchange.market(call.params.symbol())
    last_ns = market.prints_last().time_ns if market.has_prints else call.now_ns
    return {"mins": AVERAGE_MINUTES, "price": text(market.average_price()), "closeTime": last_ns // MS}


def klines(call: Call) -> list[list[Any]]:
    """Return a page of candles: from a start on the oldest, else the newest."""
    params = call.params
    market = call.exchange.market(params.symbol())
    interval = Interval(params.required("interval"), zone_ns(params.get("timeZone")))
    limit = params.limit(default=500, most=1_000)
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    start_ns, end_ns = (None if time_ms is None else time_ms * MS for time_ms in (start_ms, end_ms))
    bars = market.seconds if interval.is_second else market.minutes
    return interval.page(bars, call.now_ns, start_ns, end_ns, limit)


ENDPOINTS: Final = {
    ("GET", "/api/v3/ping"): Endpoint(handler=ping, weight=fixed(1)),
    ("GET", "/api/v3/time"): Endpoint(handler=time, weight=fixed(1)),
    ("GET", "/api/v3/exchangeInfo"): Endpoint(handler=exchange_info, weight=fixed(20)),
    ("GET", "/api/v3/depth"): Endpoint(handler=depth, weight=_depth_weight),
    ("GET", "/api/v3/trades"): Endpoint(handler=trades, weight=fixed(25)),
    ("GET", "/api/v3/historicalTrades"): Endpoint(handler=historical_trades, weight=fixed(25)),
    ("GET", "/api/v3/aggTrades"): Endpoint(handler=agg_trades, weight=fixed(4)),
    ("GET", "/api/v3/avgPrice"): Endpoint(handler=average_price, weight=fixed(2)),
    ("GET", "/api/v3/klines"): Endpoint(handler=klines, weight=fixed(2)),
    ("GET", "/api/v3/uiKlines"): Endpoint(handler=klines, weight=fixed(2)),
}
