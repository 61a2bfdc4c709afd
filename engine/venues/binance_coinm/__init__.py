"""Binance COIN-M futures: inverse contracts of so many USD, margined in the base asset.

Market data only; binance_futures does the work.
"""

from typing import ClassVar

from engine.venues.binance_common.archive_layout import COINM
from engine.venues.binance_futures import BOOKS, TRADES, BinanceFutures, FuturesVariant
from engine.venues.public_archive import PublicArchive
from engine.venues.venue import Endpoints, Network


class BinanceCoinm(BinanceFutures):
    """An engine.venues.venue.Venue. One server has all its streams: no split as that of USD-M was announced."""

    name = "binance_coinm"
    public_archive: ClassVar[PublicArchive] = COINM
    variant = FuturesVariant(
        prefix="/dapi/v1",
        inverse=True,
        routes=(("", (*BOOKS, *TRADES)),),
        endpoints={
            Network.LIVE: Endpoints(rest="https://dapi.binance.com", stream="wss://dstream.binance.com"),
            Network.TESTNET: Endpoints(),  # its address is not on our fact sheet
            Network.LOCAL: Endpoints(),
        },
    )
