"""Binance USD-M futures: linear contracts, margined in the quote asset. Market data only; binance_futures.py does the work."""

from engine.venues.binance_futures import BOOKS, TRADES, BinanceFutures, Facts


class BinanceUsdm(BinanceFutures):
    """An engine.venues.venue.MarketVenue. Since 2026-04-23 a stream asked for on another's route, or on none, is silent (1)."""

    name = "binance_usdm"
    facts = Facts(prefix="/fapi/v1", inverse=False, routes=(("/public", BOOKS), ("/market", TRADES)))
