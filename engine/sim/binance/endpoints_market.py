"""Public endpoints: time, exchangeInfo, depth, trades, tickers, klines. They read the market and change nothing."""

from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, Endpoint, NotYetError, fixed
from engine.sim.binance.filters import exchange_info_entry
from engine.sim.binance.params import Params
from engine.sim.exchange.matching_kernel import MINUTE_NS
from engine.sim.exchange.symbol_view import AVERAGE_MINUTES, MinuteBar, SymbolMarket
from engine.sim.feeds.sim_market import DepthSnapshot, TradePrint, snapshot_data
from engine.sim.units import ONE, product, text

MS: Final = 1_000_000
_MINI: Final = (
    "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime",
    "firstId", "lastId", "count",
)  # fmt: skip
_STATUSES: Final = ("TRADING", "HALT", "BREAK", "CANCEL_ONLY", "END_OF_DAY")
_INTERVAL_MINUTES: Final = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
    "1d": 1440,
}  # fmt: skip


def ping(_: Call) -> dict[str, Any]:
    """Return an empty answer."""
    return {}


def time(call: Call) -> dict[str, Any]:
    """Return the venue's clock."""
    return {"serverTime": call.now_ns // MS}


def _names(params: Params) -> list[str] | None:
    """Return the requested symbols, from symbol=X or symbols=["X","Y"]; None for all."""
    one, many = params.get("symbol"), params.get("symbols")
    if one and many:
        raise refusals.invalid_combination()
    if many:
        try:
            return msgspec.json.decode(many, type=list[str])
        except msgspec.DecodeError:
            raise refusals.invalid_parameter("symbols") from None
    return [one] if one else None


def _markets(call: Call) -> list[SymbolMarket]:
    names = _names(call.params)
    if names is None:
        return list(call.exchange.markets.values())
    return [call.exchange.market(name) for name in names]


def _one_or_many(call: Call, answers: list[Any]) -> Any:
    return answers[0] if call.params.get("symbol") else answers


def exchange_info(call: Call) -> dict[str, Any]:
    """Return symbols, filters and rate limits."""
    params = call.params
    wanted = params.get("symbolStatus")
    if wanted is not None and wanted not in _STATUSES:
        raise refusals.invalid_parameter("symbolStatus")
    if (params.get("permissions") or wanted) and _names(params) is not None:
        raise refusals.invalid_combination()
    if params.get("permissions") not in (None, "SPOT", '["SPOT"]'):
        raise refusals.not_implemented("another permission than SPOT")
    symbols = [exchange_info_entry(market.rules) for market in _markets(call)]
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
    market = call.exchange.market(symbol)
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


def ticker_price(call: Call) -> Any:
    """Return the last price of one symbol or of several."""
    answers = [{"symbol": m.rules.symbol, "price": text(m.last_price())} for m in _markets(call)]
    return _one_or_many(call, answers)


def _best(market: SymbolMarket) -> dict[str, str]:
    """Return the public best bid and ask, from the newer one of quote and book."""
    quote = market.quote
    if quote is not None and quote.update_id >= market.update_id:
        values = (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity)
    else:
        bids, asks = market.top(1)
        values = (*(bids[0] if bids else (0, 0)), *(asks[0] if asks else (0, 0)))
    return dict(zip(("bidPrice", "bidQty", "askPrice", "askQty"), map(text, values), strict=True))


def ticker_book(call: Call) -> Any:
    """Return the best bid and ask of one symbol or of several."""
    return _one_or_many(call, [{"symbol": m.rules.symbol, **_best(m)} for m in _markets(call)])


def day_ticker(market: SymbolMarket, now_ns: int) -> dict[str, Any]:
    """Return the statistics of the last 24 hours."""
    bars = [bar for bar in market.bars if bar.start_ns > now_ns - 1440 * MINUTE_NS]
    last = market.last_price()
    opened = bars[0].open if bars else last
    volume = sum(bar.volume for bar in bars)
    quote = sum(bar.quote for bar in bars)
    change = last - opened
    return {
        "symbol": market.rules.symbol,
        "priceChange": text(change),
        "priceChangePercent": f"{change * 100 / opened:.3f}" if opened else "0.000",
        "weightedAvgPrice": text(quote * ONE // volume if volume else last),
        "prevClosePrice": text(opened),
        "lastPrice": text(last),
        "lastQty": text(market.prints[-1].quantity if market.prints else 0),
        **_best(market),
        "openPrice": text(opened),
        "highPrice": text(max((bar.high for bar in bars), default=last)),
        "lowPrice": text(min((bar.low for bar in bars), default=last)),
        "volume": text(volume),
        "quoteVolume": text(quote),
        "openTime": (now_ns - 1440 * MINUTE_NS) // MS,
        "closeTime": now_ns // MS,
        "firstId": bars[0].first_id if bars else -1,
        "lastId": bars[-1].last_id if bars else -1,
        "count": sum(bar.trades for bar in bars),
    }


def ticker_day(call: Call) -> Any:
    """Return the statistics of the last 24 hours, of one symbol or of several."""
    kind = call.params.get("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise refusals.invalid_parameter("type")
    answers = [day_ticker(market, call.now_ns) for market in _markets(call)]
    if kind == "MINI":
        answers = [{name: answer[name] for name in _MINI} for answer in answers]
    return _one_or_many(call, answers)


def average_price(call: Call) -> dict[str, Any]:
    """Return the average price of the last minutes."""
    market = call.exchange.market(call.params.symbol())
    return {"mins": AVERAGE_MINUTES, "price": text(market.average_price()), "closeTime": call.now_ns // MS}


def _kline(bars: list[MinuteBar], start_ns: int, length_ns: int) -> list[Any]:
    return [
        start_ns // MS,
        text(bars[0].open),
        text(max(bar.high for bar in bars)),
        text(min(bar.low for bar in bars)),
        text(bars[-1].close),
        text(sum(bar.volume for bar in bars)),
        (start_ns + length_ns) // MS - 1,
        text(sum(bar.quote for bar in bars)),
        sum(bar.trades for bar in bars),
        text(sum(bar.taker_base for bar in bars)),
        text(sum(bar.taker_quote for bar in bars)),
        "0",
    ]


def klines(call: Call) -> list[list[Any]]:
    """Return candles of whole minutes from the trades seen. Minutes without trades are left out."""
    market = call.exchange.market(call.params.symbol())
    minutes = _INTERVAL_MINUTES.get(call.params.required("interval"))
    if minutes is None:
        raise refusals.invalid_interval()
    limit = call.params.limit(default=500, most=1_000)
    start_ms, end_ms = call.params.integer("startTime"), call.params.integer("endTime")
    length_ns = minutes * MINUTE_NS
    groups: dict[int, list[MinuteBar]] = {}
    for bar in market.bars:
        groups.setdefault(bar.start_ns - bar.start_ns % length_ns, []).append(bar)
    wanted = [
        _kline(bars, start_ns, length_ns)
        for start_ns, bars in groups.items()
        if (start_ms is None or start_ns // MS >= start_ms) and (end_ms is None or start_ns // MS <= end_ms)
    ]
    return wanted[:limit] if start_ms is not None else wanted[-limit:]


ENDPOINTS: Final = {
    ("GET", "/api/v3/ping"): Endpoint(handler=ping, weight=fixed(1)),
    ("GET", "/api/v3/time"): Endpoint(handler=time, weight=fixed(1)),
    ("GET", "/api/v3/exchangeInfo"): Endpoint(handler=exchange_info, weight=fixed(20)),
    ("GET", "/api/v3/depth"): Endpoint(handler=depth, weight=_depth_weight),
    ("GET", "/api/v3/trades"): Endpoint(handler=trades, weight=fixed(25)),
    ("GET", "/api/v3/aggTrades"): Endpoint(handler=agg_trades, weight=fixed(4)),
    ("GET", "/api/v3/ticker/price"): Endpoint(handler=ticker_price, weight=fixed(2)),
    ("GET", "/api/v3/ticker/bookTicker"): Endpoint(handler=ticker_book, weight=fixed(2)),
    ("GET", "/api/v3/ticker/24hr"): Endpoint(handler=ticker_day, weight=fixed(2)),
    ("GET", "/api/v3/avgPrice"): Endpoint(handler=average_price, weight=fixed(2)),
    ("GET", "/api/v3/klines"): Endpoint(handler=klines, weight=fixed(2)),
}
