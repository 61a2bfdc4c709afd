"""Binance USD-M futures: linear contracts, margined in the quote asset. binance_futures does the work."""

from typing import ClassVar

from engine.venues.binance_common.archive_layout import USDM
from engine.venues.binance_futures import BOOKS, TRADES, TRADING, BinanceFutures, FuturesVariant
from engine.venues.public_archive import PublicArchive
from engine.venues.venue import Endpoints, Network


class BinanceUsdm(BinanceFutures):
    """An engine.venues.venue.Venue.

    Since 2026-04-23 a stream subscribed on another's route, or on none, is silent (1).
    """

    name = "binance_usdm"
    public_archive: ClassVar[PublicArchive] = USDM
    trades: ClassVar[bool] = True
    capabilities = TRADING
    variant = FuturesVariant(
        prefix="/fapi/v1",
        inverse=False,
        routes=(("/public", BOOKS), ("/market", TRADES)),
        endpoints={
            Network.LIVE: Endpoints(
                rest="https://fapi.binance.com",
                stream="wss://fstream.binance.com",
                private="wss://fstream.binance.com",
            ),
            Network.TESTNET: Endpoints(
                rest="https://demo-fapi.binance.com",
                stream="wss://fstream.binancefuture.com",
                private="wss://fstream.binancefuture.com",
            ),
            Network.LOCAL: Endpoints(
                rest="http://127.0.0.1:9090", stream="ws://127.0.0.1:9090", private="ws://127.0.0.1:9090"
            ),  # the default of `verbatim venue`
        },
        account_prefix="/fapi/v3",
        private_path="/private/ws/{token}",
    )
