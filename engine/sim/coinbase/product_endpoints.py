"""Products, books and the clock over the simulated Coinbase's REST interface. All are public."""

from typing import Any

from engine.sim.coinbase import refusal_bodies, words
from engine.sim.coinbase.request import Request
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import plain

BOOK_LEVELS = 1_000
TRADES = 100


def server_time(request: Request) -> dict[str, Any]:
    """Return the clock: numbers are texts."""
    seconds = request.now_ns // words.SECOND_NS
    return {
        "iso": words.time_text(seconds * words.SECOND_NS)[:19] + "Z",
        "epochSeconds": str(seconds),
        "epochMillis": str(request.now_ns // 1_000_000),
    }


def products(request: Request) -> dict[str, Any]:
    """Return the products named, or all."""
    named = request.all("product_ids")
    found = [_product(market) for name, market in request.exchange.markets.items() if not named or name in named]
    return {"products": found, "num_products": len(found)}


def product(request: Request, name: str) -> dict[str, Any]:
    """Return one product."""
    return _product(_market(request, name))


def _market(request: Request, name: str) -> SymbolMarket:
    market = request.exchange.markets.get(name)
    if market is None:
        raise refusal_bodies.not_found(f"product {name[:40]} not found")
    return market


def _product(market: SymbolMarket) -> dict[str, Any]:
    rules = market.rules
    return {
        "product_id": rules.symbol,
        "price": plain(market.last_price()),
        "volume_24h": "0",
        "base_increment": plain(rules.lot_size),
        "quote_increment": plain(rules.tick_size),
        "price_increment": plain(rules.tick_size),
        "quote_min_size": plain(rules.notional_min),
        "quote_max_size": plain(rules.notional_max),
        "base_min_size": plain(rules.quantity_min),
        "base_max_size": plain(rules.quantity_max),
        "base_name": rules.base,
        "quote_name": rules.quote,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": rules.status != "TRADING",
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": rules.quote,
        "base_currency_id": rules.base,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [],
        "base_display_symbol": rules.base,
        "quote_display_symbol": rules.quote,
        "view_only": False,
        "product_venue": "CBE",
    }


def product_book(request: Request) -> dict[str, Any]:
    """Return a book."""
    name, limit = request.first("product_id"), request.first("limit")
    most = min(int(limit), BOOK_LEVELS) if limit.isdigit() and int(limit) else BOOK_LEVELS
    bids, asks = _market(request, name).top(most)
    sides = {
        side: [{"price": plain(price), "size": plain(size)} for price, size in levels]
        for side, levels in (("bids", bids), ("asks", asks))
    }
    return {"pricebook": {"product_id": name, **sides, "time": words.time_text(request.now_ns, 6)}}


def ticker(request: Request, name: str) -> dict[str, Any]:
    """Return the newest trades, newest first, and the best bid and ask. The side is the maker's."""
    market = _market(request, name)
    bids, asks = market.top(1)
    trades = [
        {
            "trade_id": str(trade.trade_id),
            "product_id": name,
            "price": plain(trade.price),
            "size": plain(trade.quantity),
            "time": words.time_text(trade.time_ns, 6),
            "side": "BUY" if trade.buyer_is_maker else "SELL",
            "bid": "",
            "ask": "",
        }
        for trade in reversed(market.prints[-TRADES:])
    ]
    best = (plain(levels[0][0]) if levels else "" for levels in (bids, asks))
    return {"trades": trades, **dict(zip(("best_bid", "best_ask"), best, strict=True))}
