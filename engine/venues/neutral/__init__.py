"""The neutral venue: the tables of archives and files, traded on paper with Spot's calls and answers.

Its messages are lines of a table under a head (head.py). A market of trades or bars alone has no quotes: they are made
of these, with the half spread of the model (Instrument.half_spread_ppm).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.venues.binance_spot import PRIVATE_PATH, BinanceSpot
from engine.venues.binance_spot.venue_limits import RECV_WINDOW_MS
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.neutral.capture import identify
from engine.venues.neutral.market import NeutralMarket
from engine.venues.paper.account import PaperAccount
from engine.venues.public_archive import PublicArchive
from engine.venues.venue import Endpoints, Network, RestSnapshots

VENUE = "neutral"


class Neutral(BinanceSpot):
    """An engine.venues.venue.Venue: tables of market data on paper."""

    name = VENUE
    public_archive: ClassVar[PublicArchive | None] = None  # the data is of another venue
    endpoints: ClassVar[Mapping[Network, Endpoints]] = {Network.LOCAL: Endpoints()}
    capabilities = replace(BinanceSpot.capabilities, amend=False)
    snapshots: RestSnapshots | None = None  # books come as messages
    fills_are_trades: ClassVar[bool] = False

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        super().__init__(instruments, recv_window_ms)
        self.market = NeutralMarket(self.instruments)
        self.account = PaperAccount(recv_window_ms, venue=self.name)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return one link for the market, and Spot's connection for the account."""
        return (
            LinkPlan(f"{self.name}.market.0", LinkRole.MARKET, ""),
            LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PRIVATE_PATH),
        )

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return all instruments."""
        return self.instruments

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return all kinds of market data."""
        return tuple(Stream)

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return nothing: a table is no stream."""
        return ()

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of the neutral messages."""
        return identify(messages, VENUE)
