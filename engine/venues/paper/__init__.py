"""Captures of futures to trade on paper: the market of Binance's futures, and an account at the simulated venue.

The simulated venue speaks Spot's protocol, with an event `fundingFee` that Spot lacks. any_market.py does the same for
the live market of any venue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import msgspec

from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.venues.binance_coinm import BinanceCoinm
from engine.venues.binance_common import capture
from engine.venues.binance_common.public import ExchangeInfo
from engine.venues.binance_futures import BinanceFutures
from engine.venues.binance_futures.metadata import read_exchange_info, read_metadata
from engine.venues.binance_spot import PRIVATE_PATH, BinanceSpot
from engine.venues.binance_spot.venue_limits import RECV_WINDOW_MS
from engine.venues.binance_usdm import BinanceUsdm
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.paper.account import PaperAccount
from engine.venues.public_archive import PublicArchive
from engine.venues.venue import Endpoints, Network

USDM = "paper_usdm"
COINM = "paper_coinm"


class _Paper(BinanceSpot):
    """Spot's calls and answers, under the market's own instruments."""

    futures: ClassVar[type[BinanceFutures]]
    public_archive: ClassVar[PublicArchive | None] = None  # the data is of another venue
    endpoints: ClassVar[Mapping[Network, Endpoints]] = {Network.LOCAL: Endpoints()}
    capabilities = replace(BinanceSpot.capabilities, order_lists=frozenset())  # the futures' own venue has none

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        super().__init__(instruments, recv_window_ms)
        variant = self.futures.variant
        self.metadata = ExchangeInfo(
            variant.prefix, lambda body: read_metadata(body, self.name, inverse=variant.inverse)
        )
        self._futures = self.futures(instruments)
        self.market = self._futures.market
        self.account = PaperAccount(recv_window_ms, venue=self.name)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return the market links of the futures, and Spot's connection for the account."""
        market = (
            msgspec.structs.replace(plan, source=self._own_source(plan.source))
            for plan in self._futures.links()
            if plan.role is LinkRole.MARKET
        )
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PRIVATE_PATH))

    def _own_source(self, source: str) -> str:
        return source.replace(self._futures.name, self.name, 1)

    def _futures_source(self, source: str) -> str:
        return source.replace(self.name, self._futures.name, 1)

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose streams arrive over a market link."""
        return self._futures.instruments_of(self._futures_source(source))

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data of a link."""
        return self._futures.streams_of(self._futures_source(source))

    fills_are_trades: ClassVar[bool] = False
    fundings_follow_marks: ClassVar[bool] = True  # without the stream of mark prices no funding is known

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return nothing: the market is another venue's."""
        return ()


class PaperUsdm(_Paper):
    """An engine.venues.venue.Venue: linear contracts on paper."""

    name = USDM
    futures = BinanceUsdm

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of USD-M's stream messages."""
        return capture.identify(messages, partial(read_exchange_info, venue=USDM, inverse=False), linear=USDM)


class PaperCoinm(_Paper):
    """An engine.venues.venue.Venue: inverse contracts on paper."""

    name = COINM
    futures = BinanceCoinm

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of COIN-M's stream messages."""
        return capture.identify(messages, partial(read_exchange_info, venue=COINM, inverse=True), inverse=COINM)
