"""Binance Spot without socket or clock: requests out, events in. It keeps nothing but the instruments it was given.

The public messages are read in market.py, the account's in account.py, metadata in metadata.py; calls.py makes the
account's calls, and venue_limits.py holds the venue's limits.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from engine.events import Event, InstrumentsReport
from engine.market.views import Stream
from engine.model import Instrument, ListKind, OrderTerm, TimeInForce
from engine.requests import LinkPlan, LinkRole, Transport, Unsigned
from engine.venues.binance_common import capture
from engine.venues.binance_common.archive_layout import SPOT as SPOT_ARCHIVE
from engine.venues.binance_common.dialect import BinanceVenue
from engine.venues.binance_common.klines import WITH_SECONDS, Klines
from engine.venues.binance_common.public import DepthSnapshots, ExchangeInfo, server_time
from engine.venues.binance_common.signer import ApiKey
from engine.venues.binance_spot import venue_limits
from engine.venues.binance_spot.account import SpotAccount, decode_answer
from engine.venues.binance_spot.key_rights import BinanceKeyRights
from engine.venues.binance_spot.market import BinanceSpotMarket
from engine.venues.binance_spot.metadata import read_exchange_info, read_rate_limits
from engine.venues.binance_spot.order_types import REQUIRED
from engine.venues.binance_spot.venue_limits import RECV_WINDOW_MS
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.optional_parts import HistoryCodec
from engine.venues.public_archive import PublicArchive
from engine.venues.renaming import renamed_events, renamed_id
from engine.venues.venue import Endpoints, MarketCodec, MetadataReader, Network, OrderCapabilities, RestSnapshots

__all__ = ["RECV_WINDOW_MS", "ApiKey", "BinanceSpot"]

STREAMS = {"depth@100ms": Stream.BOOK, "bookTicker": Stream.QUOTE, "trade": Stream.TRADE}
PER_LINK = venue_limits.STREAMS_MAX // len(STREAMS)  # instruments: their streams stay together
PREFIX = "/api/v3"
PRIVATE_PATH = "/ws-api/v3"


class BinanceSpot(BinanceVenue):
    """An engine.venues.venue.Venue."""

    name: str = venue_limits.VENUE
    trades: ClassVar[bool] = True
    fills_are_trades: ClassVar[bool] = True  # tradeId of a fill is the id of the public trade
    sim_protocol: ClassVar[str] = venue_limits.VENUE  # engine/sim speaks this very protocol
    endpoints: ClassVar[Mapping[Network, Endpoints]] = {
        Network.LIVE: Endpoints(
            rest="https://api.binance.com",
            stream="wss://stream.binance.com:9443",
            private="wss://ws-api.binance.com:443",
            public_rest="https://data-api.binance.vision",
            public_stream="wss://data-stream.binance.vision",
        ),
        Network.TESTNET: Endpoints(
            rest="https://testnet.binance.vision",
            stream="wss://stream.testnet.binance.vision",
            private="wss://ws-api.testnet.binance.vision",
        ),
        Network.LOCAL: Endpoints(
            rest="http://127.0.0.1:9090", stream="ws://127.0.0.1:9090", private="ws://127.0.0.1:9090"
        ),  # the default of `verbatim venue`
    }
    capabilities = OrderCapabilities(
        types=frozenset(REQUIRED),
        times_in_force=frozenset(TimeInForce),
        amend=True,
        native_stops=True,
        terms=frozenset({OrderTerm.TRAILING, OrderTerm.ICEBERG, OrderTerm.QUOTE_QUANTITY}),
        order_lists=frozenset(ListKind),
    )
    public_archive: ClassVar[PublicArchive | None] = SPOT_ARCHIVE
    key_rights: ClassVar[BinanceKeyRights] = BinanceKeyRights()
    snapshots: RestSnapshots | None = DepthSnapshots(PREFIX, venue_limits.DEPTH_WEIGHTS)
    history: HistoryCodec = Klines(PREFIX, weight=2, intervals=WITH_SECONDS)

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.metadata: MetadataReader = ExchangeInfo(PREFIX, self._read_metadata, weight=20, by_symbol=True)
        self.market: MarketCodec = BinanceSpotMarket(self.instruments)
        self.account: SpotAccount = SpotAccount(recv_window_ms, venue=self.name)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return one connection for the account, and as many for the market as the venue's limit of streams needs."""
        sources = [f"{self.name}.market.{number}" for number in range(-(-len(self.instruments) // PER_LINK))]
        market = (
            LinkPlan(source, LinkRole.MARKET, "/stream?streams=" + "/".join(self._streams(source)))
            for source in sources
        )
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PRIVATE_PATH))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose streams arrive over a market link."""
        number = int(source.rpartition(".")[2])
        return self.instruments[number * PER_LINK : (number + 1) * PER_LINK]

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data of a link."""
        return tuple(Stream)

    def _streams(self, source: str) -> list[str]:
        return [f"{of.symbol.lower()}@{stream}" for of in self.instruments_of(source) for stream in STREAMS]

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the account's subscription; market streams are named in the path of their link."""
        return (self.account.subscribe_private(),) if ".private." in source else ()

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return the messages that end and begin streams of an instrument over its market link."""
        names = [name for name, stream in STREAMS.items() if stream in streams]
        params = tuple((name, f"{instrument.symbol.lower()}@{name}") for name in names)
        return tuple(
            Unsigned(Transport.WS_API, method, "", params, signed=False, weight=0)
            for method in ("UNSUBSCRIBE", "SUBSCRIBE")
        )

    def server_time(self) -> Unsigned | None:
        """Return the query for the venue's clock."""
        return server_time(PREFIX)

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        spot_id = renamed_id(instrument_id, self.name, venue_limits.VENUE)
        events = decode_answer(unsigned, spot_id, status, headers, payload)
        return renamed_events(events, venue_limits.VENUE, self.name)

    def _read_metadata(self, payload: bytes) -> InstrumentsReport:
        return InstrumentsReport(read_exchange_info(payload, self.name), read_rate_limits(payload))

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of Spot's messages."""
        return capture.identify(messages, read_exchange_info, spot=venue_limits.VENUE)
