"""Kraken Spot over WebSocket v2 and REST, without socket or clock: requests out, events in.

The public channels are read in market.py, with the checksums of books; the account's in executions.py and
rest_orders.py; calls.py makes the account's calls.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from engine.events import Event
from engine.market.views import Stream
from engine.model import Instrument, TimeInForce
from engine.requests import LinkPlan, LinkRole, Transport, Unsigned
from engine.state.fill_cursor import TIMED_FILLS, TimedFills
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.kraken.account import KrakenAccount
from engine.venues.kraken.calls import ORDER_IDS
from engine.venues.kraken.capture import identify
from engine.venues.kraken.decaying_counters import DecayingCounters
from engine.venues.kraken.key_rights import KrakenKeyRights
from engine.venues.kraken.market import DEPTH, KrakenMarket
from engine.venues.kraken.metadata import KrakenMetadata
from engine.venues.kraken.order_types import NAMES
from engine.venues.kraken.signer import KrakenSigner
from engine.venues.link_tokens import PLACE
from engine.venues.venue import Endpoints, KeptHeaders, MetadataReader, Network, OrderCapabilities, RestSnapshots

PATH: Final = "/v2"
PER_LINK: Final = 20  # instruments: each of their channels is subscribed after the one before was acknowledged
# stream -> channel and its parameters, as texts of JSON
CHANNELS: Final = {
    Stream.BOOK: (("channel", '"book"'), ("depth", str(DEPTH)), ("snapshot", "true")),
    Stream.QUOTE: (("channel", '"ticker"'), ("event_trigger", '"bbo"'), ("snapshot", "true")),
    Stream.TRADE: (("channel", '"trade"'), ("snapshot", "false")),
}
EXECUTIONS: Final = (
    ("channel", '"executions"'), ("snap_orders", "true"), ("snap_trades", "false"), ("token", f'"{PLACE}"')
)  # fmt: skip


class Kraken:
    """An engine.venues.venue.Venue."""

    name: str = "kraken"
    trades: ClassVar[bool] = True
    sim_protocol: ClassVar[str] = ""
    endpoints: ClassVar[Mapping[Network, Endpoints]] = {
        Network.LIVE: Endpoints(
            rest="https://api.kraken.com", stream="wss://ws.kraken.com", private="wss://ws-auth.kraken.com"
        ),
        # the beta hosts trade with real money too
        Network.TESTNET: Endpoints(why_unusable="Kraken has no testnet for spot"),
        Network.LOCAL: Endpoints(
            rest="http://127.0.0.1:9090", stream="ws://127.0.0.1:9090", private="ws://127.0.0.1:9090"
        ),
    }
    kept_headers: ClassVar[KeptHeaders] = KeptHeaders(prefixes=())
    capabilities: ClassVar[OrderCapabilities] = OrderCapabilities(
        types=frozenset(NAMES),
        times_in_force=frozenset(TimeInForce),
        amend=True,
        native_stops=True,
        dead_man_switch=True,
        one_switch=True,
        cancel_all=False,  # the only one is of the whole account
        streams_balances=False,
    )
    rates: ClassVar[DecayingCounters] = DecayingCounters()
    fill_cursor: ClassVar[TimedFills] = TIMED_FILLS
    order_ids = ORDER_IDS
    signer: ClassVar[KrakenSigner] = KrakenSigner()
    key_rights: ClassVar[KrakenKeyRights] = KrakenKeyRights()
    snapshots: RestSnapshots | None = None  # a book begins with a snapshot on its own channel

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5_000) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.metadata: MetadataReader = KrakenMetadata(self.name)
        self.market = KrakenMarket(self.instruments)
        self.account = KrakenAccount(self.instruments, recv_window_ms, self.name)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return one connection for the account, and one for the market of each few instruments."""
        sources = [f"{self.name}.market.{number}" for number in range(-(-len(self.instruments) // PER_LINK))]
        market = (LinkPlan(source, LinkRole.MARKET, PATH) for source in sources)
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PATH))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose channels arrive over a market link."""
        number = int(source.rpartition(".")[2])
        return self.instruments[number * PER_LINK : (number + 1) * PER_LINK]

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data of a link."""
        del source
        return tuple(CHANNELS)

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return a subscription for each channel of each instrument: the venue acknowledges each alone."""
        if ".private." in source:
            return (Unsigned(Transport.WS_API, "subscribe", "", EXECUTIONS, signed=False, weight=0),)
        return tuple(
            _channel_request("subscribe", stream, of) for stream in CHANNELS for of in self.instruments_of(source)
        )

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return the messages that end and begin streams of an instrument over its market link."""
        return tuple(
            _channel_request(method, stream, instrument)
            for stream in streams
            if stream in CHANNELS
            for method in ("unsubscribe", "subscribe")
        )

    def server_time(self) -> Unsigned | None:
        """Return None: nonces only need to rise, and the clock that REST shows has whole seconds."""
        return None

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        del headers
        return self.account.decode_answer(unsigned, instrument_id, status, payload)

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of the venue's public channels."""
        return identify(messages, "kraken")


def _channel_request(method: str, stream: Stream, of: Instrument) -> Unsigned:
    symbols = msgspec.json.encode([of.symbol]).decode()
    named = tuple(param for param in CHANNELS[stream] if method == "subscribe" or param[0] != "snapshot")
    params = (*named, ("symbol", symbols))
    return Unsigned(Transport.WS_API, method, "", params, signed=False, weight=0)
