"""Binance USD-M futures: linear contracts, margined in the quote asset.

Market data only; binance_futures does the work.
"""

from typing import ClassVar

from engine.venues.binance_common.archive_layout import USDM
from engine.venues.binance_futures import BOOKS, TRADES, BinanceFutures, FuturesVariant
from engine.venues.public_archive import PublicArchive
from engine.venues.venue import Endpoints, Network


class BinanceUsdm(BinanceFutures):
    """An engine.venues.venue.Venue.

    Since 2026-04-23 a stream subscribed on another's route, or on none, is silent (1).
    """

    name = "binance_usdm"
    public_archive: ClassVar[PublicArchive] = USDM
    variant = FuturesVariant(
        prefix="/fapi/v1",
        inverse=False,
        routes=(("/public", BOOKS), ("/market", TRADES)),
        endpoints={
            Network.LIVE: Endpoints(rest="https://fapi.binance.com", stream="wss://fstream.binance.com"),
            Network.TESTNET: Endpoints(rest="https://demo-fapi.binance.com", stream="wss://fstream.binancefuture.com"),
            Network.LOCAL: Endpoints(),
        },
    )
