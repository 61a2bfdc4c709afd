"""Public endpoints of the simulated Kraken: its clock, its assets and pairs, and its market."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.kraken import pair_rules, words
from engine.sim.kraken.request import Request
from engine.sim.units import plain

LEVELS: Final = 100


def _time(request: Request) -> dict[str, Any]:
    return {"unixtime": request.now_ns // 10**9, "rfc1123": ""}


def _status(request: Request) -> dict[str, Any]:
    return {"status": "online", "timestamp": words.stamp(request.now_ns)}


def _assets(request: Request) -> dict[str, Any]:
    names = {name for market in request.exchange.markets.values() for name in (market.rules.base, market.rules.quote)}
    return {
        pair_rules.rest_asset(name): {
            "aclass": "currency", "altname": name, "decimals": 10, "display_decimals": 5, "status": "enabled"
        }
        for name in sorted(names)
    }  # fmt: skip


def _markets(request: Request) -> dict[str, SymbolMarket]:
    """Return the pairs that a request names, or all, by their keys in answers."""
    named = [name for name in request.params.get("pair", "").split(",") if name]
    chosen = [request.pairs.instrument(name).partition(":")[2] for name in named] or list(request.exchange.markets)
    return {pair_rules.rest_name(market.rules): market for market in map(request.exchange.market, chosen)}


def _pairs(request: Request) -> dict[str, Any]:
    return {name: pair_rules.description(market.rules) for name, market in _markets(request).items()}


def _ticker(request: Request) -> dict[str, Any]:
    return {name: _tick(market) for name, market in _markets(request).items()}


def _tick(market: SymbolMarket) -> dict[str, Any]:
    bids, asks = market.top(1)
    (bid, bid_size), (ask, ask_size) = bids[0] if bids else (0, 0), asks[0] if asks else (0, 0)
    last = plain(market.last_price())
    return {
        "a": [plain(ask), "1", plain(ask_size)], "b": [plain(bid), "1", plain(bid_size)], "c": [last, "0"],
        "v": ["0", "0"], "p": [last, last], "t": [0, 0], "l": [last, last], "h": [last, last], "o": last,
    }  # fmt: skip


def _depth(request: Request) -> dict[str, Any]:
    time_s = request.now_ns // 10**9
    found: dict[str, Any] = {}
    for name, market in _markets(request).items():
        bids, asks = ([[plain(price), plain(size), time_s] for price, size in side] for side in market.top(LEVELS))
        found[name] = {"asks": asks, "bids": bids}
    return found


def _trades(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {"last": str(request.now_ns)}
    for name, market in _markets(request).items():
        found[name] = [
            [plain(each.price), plain(each.quantity), words.seconds(each.time_ns), "s" if each.buyer_is_maker else "b",
             "m", "", each.trade_id]
            for each in market.prints
        ]  # fmt: skip
    return found


ENDPOINTS: Final[Mapping[str, Callable[[Request], Any]]] = {
    "Time": _time,
    "SystemStatus": _status,
    "Assets": _assets,
    "AssetPairs": _pairs,
    "Ticker": _ticker,
    "Depth": _depth,
    "Trades": _trades,
}
