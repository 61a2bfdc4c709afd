"""Public endpoints of prices: last price, best bid and ask, and statistics of a day, a window or a trading day."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.candles import DAY_NS, MS, zone_ns
from engine.sim.binance.endpoints import Call, Endpoint
from engine.sim.binance.params import Params
from engine.sim.exchange.symbol_view import MinuteBar, SymbolMarket
from engine.sim.exchange.venue_arrays import MINUTE_NS
from engine.sim.units import ONE, text

STATUSES: Final = ("TRADING", "HALT", "BREAK", "CANCEL_ONLY", "END_OF_DAY")
_MINI: Final = (
    "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime",
    "firstId", "lastId", "count",
)  # fmt: skip
OF_DAY_ALONE: Final = ("prevClosePrice", "lastQty", "bidPrice", "bidQty", "askPrice", "askQty")
_WINDOW: Final = re.compile(r"^(?:([1-9]|[1-5][0-9])m|([1-9]|1[0-9]|2[0-3])h|([1-7])d)$")
_WEIGHT_MAX: Final = 200


def names_of(params: Params) -> list[str] | None:
    """Return the requested symbols, from symbol=X or symbols=["X","Y"]; None for all."""
    one, many = params.get("symbol"), params.get("symbols")
    if one and many:
        raise refusals.invalid_combination()
    if not many:
        return [one] if one else None
    try:
        names = msgspec.json.decode(many, type=list[str])
    except msgspec.DecodeError:
        raise refusals.invalid_parameter("symbols") from None
    if len(set(names)) < len(names):
        raise refusals.duplicate_symbols()
    return names


def markets_of(call: Call) -> list[SymbolMarket]:
    """Return the requested markets with the requested status; refuse a single symbol with another status."""
    names = names_of(call.params)
    status = call.params.get("symbolStatus")
    if status is not None and status not in STATUSES:
        raise refusals.invalid_symbol_status()
    found = list(call.exchange.markets.values()) if names is None else [call.exchange.market(name) for name in names]
    if call.params.get("symbol") and status is not None and found[0].rules.status != status:
        raise refusals.status_mismatch()
    return [market for market in found if status in (None, market.rules.status)]


def _one_or_many(call: Call, answers: list[Any]) -> Any:
    return answers[0] if call.params.get("symbol") else answers


def ticker_price(call: Call) -> Any:
    """Return the last price of one symbol or of several."""
    answers = [{"symbol": m.rules.symbol, "price": text(m.last_price())} for m in markets_of(call)]
    return _one_or_many(call, answers)


def best_of(market: SymbolMarket) -> dict[str, str]:
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
    return _one_or_many(call, [{"symbol": m.rules.symbol, **best_of(m)} for m in markets_of(call)])


def _statistics(market: SymbolMarket, bars: Sequence[MinuteBar], open_ns: int, close_ns: int) -> dict[str, Any]:
    last = market.last_price()
    opened = bars[0].open if bars else last
    volume = sum(bar.volume for bar in bars)
    quote = sum(bar.quote for bar in bars)
    change = last - opened
    traded = [bar for bar in bars if bar.trades]
    return {
        "symbol": market.rules.symbol,
        "priceChange": text(change),
        "priceChangePercent": f"{change * 100 / opened:.3f}" if opened else "0.000",
        "weightedAvgPrice": text(quote * ONE // volume if volume else last),
        "prevClosePrice": text(opened),
        "lastPrice": text(last),
        "lastQty": text(market.prints[-1].quantity if market.prints else 0),
        **best_of(market),
        "openPrice": text(opened),
        "highPrice": text(max((bar.high for bar in bars), default=last)),
        "lowPrice": text(min((bar.low for bar in bars), default=last)),
        "volume": text(volume),
        "quoteVolume": text(quote),
        "openTime": open_ns // MS,
        "closeTime": close_ns // MS,
        "firstId": traded[0].first_id if traded else -1,
        "lastId": traded[-1].last_id if traded else -1,
        "count": sum(bar.trades for bar in bars),
    }


def day_ticker(market: SymbolMarket, now_ns: int) -> dict[str, Any]:
    """Return the statistics of the last 24 hours."""
    bars = [bar for bar in market.minutes if bar.start_ns > now_ns - DAY_NS]
    return _statistics(market, bars, now_ns - DAY_NS, now_ns)


def _is_mini(params: Params) -> bool:
    kind = params.get("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise refusals.invalid_ticker_type()
    return kind == "MINI"


def ticker_day(call: Call) -> Any:
    """Return the statistics of the last 24 hours, of one symbol or of several."""
    mini = _is_mini(call.params)
    answers = [day_ticker(market, call.now_ns) for market in markets_of(call)]
    if mini:
        answers = [{name: answer[name] for name in _MINI} for answer in answers]
    return _one_or_many(call, answers)


def _statistics_of(call: Call, open_ns: int, close_ns: int) -> Any:
    """Return the statistics of each requested symbol from a whole minute on."""
    if names_of(call.params) is None:
        raise refusals.mandatory_either("symbol", "symbols")
    mini = _is_mini(call.params)
    answers = []
    for market in markets_of(call):
        bars = [bar for bar in market.minutes if open_ns <= bar.start_ns <= close_ns]
        whole = _statistics(market, bars, open_ns, close_ns)
        kept = _MINI if mini else [name for name in whole if name not in OF_DAY_ALONE]
        answers.append({name: whole[name] for name in kept})
    return _one_or_many(call, answers)


def ticker_window(call: Call) -> Any:
    """Return the statistics of a window that begins at a whole minute and ends now."""
    found = _WINDOW.fullmatch(call.params.get("windowSize") or "1d")
    if found is None:
        raise refusals.invalid_parameter("windowSize")
    minutes = int(found[1] or 0) + 60 * int(found[2] or 0) + 1_440 * int(found[3] or 0)
    open_ns = call.now_ns - minutes * MINUTE_NS
    return _statistics_of(call, open_ns - open_ns % MINUTE_NS, call.now_ns)


def ticker_trading_day(call: Call) -> Any:
    """Return the statistics of the trading day of a time zone."""
    local_ns = call.now_ns + zone_ns(call.params.get("timeZone"))
    open_ns = call.now_ns - local_ns % DAY_NS
    return _statistics_of(call, open_ns, open_ns + DAY_NS - MS)


def _count(params: Params) -> int:
    """Return the number of requested symbols as the weight counts it; 0 for all."""
    many = params.get("symbols")
    return 1 if params.get("symbol") else many.count(",") + 1 if many else 0


def _weight_by_symbol(params: Params) -> int:
    return min(4 * _count(params), _WEIGHT_MAX)


def _weight_of_day(params: Params) -> int:
    count = _count(params)
    return 2 if 0 < count <= 20 else 40 if 0 < count <= 100 else 80


def _weight_of_price(params: Params) -> int:
    return 2 if params.get("symbol") else 4


ENDPOINTS: Final = {
    ("GET", "/api/v3/ticker"): Endpoint(handler=ticker_window, weight=_weight_by_symbol),
    ("GET", "/api/v3/ticker/price"): Endpoint(handler=ticker_price, weight=_weight_of_price),
    ("GET", "/api/v3/ticker/bookTicker"): Endpoint(handler=ticker_book, weight=_weight_of_price),
    ("GET", "/api/v3/ticker/24hr"): Endpoint(handler=ticker_day, weight=_weight_of_day),
    ("GET", "/api/v3/ticker/tradingDay"): Endpoint(handler=ticker_trading_day, weight=_weight_by_symbol),
}
