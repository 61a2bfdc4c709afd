"""Coinbase Advanced Trade, spot: requests out, events in. It keeps nothing but the instruments it was given.

market.py reads the public channels, account.py the user channel and answers, metadata.py the products.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from engine.events import Event
from engine.market.views import Stream
from engine.model import Instrument, TimeInForce
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.venues.coinbase.account import CoinbaseAccount
from engine.venues.coinbase.calls import server_time, subscribe
from engine.venues.coinbase.key_rights import CoinbaseKeyRights
from engine.venues.coinbase.market import CoinbaseMarket
from engine.venues.coinbase.metadata import CoinbaseProducts
from engine.venues.coinbase.order_types import TRIGGERED, TYPES
from engine.venues.coinbase.request_rates import CoinbaseRates
from engine.venues.coinbase.signer import CoinbaseSigner
from engine.venues.coinbase.values import book_of
from engine.venues.order_ids import ReadableOrderIds
from engine.venues.venue import Endpoints, KeptHeaders, Network, OrderCapabilities, RestSnapshots

# the channel of each stream. A snapshot of level2 is followed by frames that number its changes: it is subscribed last
CHANNELS: Mapping[str, tuple[Stream, ...]] = {
    "market_trades": (Stream.TRADE,),
    "level2": (Stream.BOOK, Stream.QUOTE),
}
HEARTBEATS = "heartbeats"  # keeps quiet channels open, and its frames prove that no other was lost
USER = "user"


class Coinbase:
    """An engine.venues.venue.Venue."""

    name: str = "coinbase"
    trades: ClassVar[bool] = True
    sim_protocol: ClassVar[str] = ""
    endpoints: ClassVar[Mapping[Network, Endpoints]] = {
        Network.LIVE: Endpoints(
            rest="https://api.coinbase.com",
            stream="wss://advanced-trade-ws.coinbase.com",
            private="wss://advanced-trade-ws-user.coinbase.com",
        ),
        Network.TESTNET: Endpoints(
            rest="https://api-sandbox.coinbase.com",
            why_unusable="Coinbase's sandbox answers with fixed texts and has no streams",
        ),
        Network.LOCAL: Endpoints(
            rest="http://127.0.0.1:9090", stream="ws://127.0.0.1:9090", private="ws://127.0.0.1:9090"
        ),  # the default of `verbatim venue`
    }
    kept_headers = KeptHeaders()
    capabilities = OrderCapabilities(
        types=TYPES,
        times_in_force=frozenset(TimeInForce),
        gtc_only=TRIGGERED,
        native_stops=True,
        lookup_by_client_id=False,
        cancel_all=False,
        streams_balances=False,
    )
    rates = CoinbaseRates()
    fill_cursor = TIMED_FILLS
    order_ids = ReadableOrderIds(length_max=36)  # of a UUID: the venue states no limit
    signer = CoinbaseSigner()
    key_rights: ClassVar[CoinbaseKeyRights] = CoinbaseKeyRights()
    snapshots: RestSnapshots | None = None  # a book begins with a snapshot on its own channel

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5_000) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.market = CoinbaseMarket(self.instruments)
        self.metadata = CoinbaseProducts(self.name)
        self.account = CoinbaseAccount(self.name, self.metadata.read)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return one connection for the account, and one for every ten books."""
        market = (
            LinkPlan(f"{self.name}.market.{number}", LinkRole.MARKET, "/") for number in range(len(self.market.links))
        )
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, "/"))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose streams arrive over a market link."""
        return [self.instruments[place] for place in self.market.links[int(source.rpartition(".")[2])]]

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data of a link."""
        del source
        return tuple(Stream)

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the channels of a link, one a message."""
        if source.startswith(f"{self.name}.private."):
            return subscribe(HEARTBEATS, signed=True), subscribe(USER, signed=True)
        books = dict.fromkeys(book_of(of.symbol) for of in self.instruments_of(source))
        return (subscribe(HEARTBEATS), *(subscribe(channel, *books) for channel in CHANNELS))

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return the messages that end and begin channels of an instrument; level2 begins with a snapshot."""
        product = book_of(instrument.symbol)
        channels = [name for name, brought in CHANNELS.items() if set(brought) & set(streams)]
        methods = ("unsubscribe", "subscribe")
        return tuple(subscribe(name, product, method=method) for name in channels for method in methods)

    def server_time(self) -> Unsigned | None:
        """Return the query for the venue's clock."""
        return server_time()

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        return self.account.decode_answer(unsigned, instrument_id, status, headers, payload)
