"""Binance COIN-M futures: inverse contracts of so many USD, margined in the base asset. Market data only; binance_futures.py does the work."""

from engine.venues.binance_futures import BOOKS, TRADES, BinanceFutures, Facts


class BinanceCoinm(BinanceFutures):
    """An engine.venues.venue.MarketVenue. One server has all its streams; that they would be split as those of USD-M was never said."""

    name = "binance_coinm"
    facts = Facts(prefix="/dapi/v1", inverse=True, routes=(("", (*BOOKS, *TRADES)),))
