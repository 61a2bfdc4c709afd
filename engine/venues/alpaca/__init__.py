"""Alpaca without socket or clock: US stocks and crypto of one account.

Each market has its own stream; orders, fills and balances are the account's. Paper and live are two networks with
different keys. order_types.py has what its orders can say, error_codes.py what its refusals mean.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from engine.events import Event
from engine.market.views import Stream
from engine.model import Instrument, OrderTerm, TimeInForce
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.state.fill_cursor import TIMED_FILLS
from engine.state.rate_budgets import FIXED_WINDOWS, RateModel
from engine.venues.alpaca import calls
from engine.venues.alpaca.account import STREAM, AlpacaAccount
from engine.venues.alpaca.market import AlpacaMarket
from engine.venues.alpaca.metadata import AlpacaMetadata
from engine.venues.alpaca.order_types import WORDS, is_crypto
from engine.venues.alpaca.signer import AlpacaSigner
from engine.venues.alpaca.venue_limits import CLIENT_ID_MAX, VENUE
from engine.venues.order_ids import ReadableOrderIds
from engine.venues.venue import Endpoints, KeptHeaders, MetadataReader, Network, OrderCapabilities

CRYPTO_PATH: Final = "/v1beta3/crypto/us"
PRIVATE_PATH: Final = "/stream"
MARKET_STREAM: Final = "wss://stream.data.alpaca.markets"
CHANNELS: Final = {Stream.TRADE: "trades", Stream.QUOTE: "quotes", Stream.BOOK: "orderbooks"}


class _Market(NamedTuple):
    """One market and its stream."""

    path: str
    instruments: tuple[Instrument, ...]
    streams: tuple[Stream, ...]


class Alpaca:
    """An engine.venues.venue.Venue, with the quotes of the exchange IEX alone: the feed of every plan."""

    name: str = VENUE
    feed: ClassVar[str] = "iex"
    trades: ClassVar[bool] = True
    sim_protocol: ClassVar[str] = ""  # resimulation speaks other protocols
    endpoints: ClassVar[Mapping[Network, Endpoints]] = {
        Network.LIVE: Endpoints(
            rest="https://api.alpaca.markets", stream=MARKET_STREAM, private="wss://api.alpaca.markets"
        ),
        # the venue's paper account
        Network.TESTNET: Endpoints(
            rest="https://paper-api.alpaca.markets", stream=MARKET_STREAM, private="wss://paper-api.alpaca.markets"
        ),
        Network.LOCAL: Endpoints(
            rest="http://127.0.0.1:9090", stream="ws://127.0.0.1:9090", private="ws://127.0.0.1:9090"
        ),
    }
    kept_headers = KeptHeaders()
    capabilities = OrderCapabilities(
        types=frozenset(WORDS),
        times_in_force=frozenset(TimeInForce),
        native_stops=True,
        terms=frozenset({OrderTerm.TRAILING, OrderTerm.QUOTE_QUANTITY}),
        cancel_all=False,  # the venue's own ends the orders of every program
        streams_balances=False,
    )
    rates: RateModel = FIXED_WINDOWS
    fill_cursor = TIMED_FILLS
    order_ids = ReadableOrderIds(length_max=CLIENT_ID_MAX)
    signer = AlpacaSigner()
    snapshots = None  # a book begins with a reset on its stream

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5_000) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.metadata: MetadataReader = AlpacaMetadata(self.name)
        self.market = AlpacaMarket(self.instruments)
        self.account = AlpacaAccount(self.name, self.instruments)
        stocks = tuple(each for each in self.instruments if not is_crypto(each))
        pairs = tuple(filter(is_crypto, self.instruments))
        markets = {
            f"{self.name}.stocks.0": _Market(f"/v2/{self.feed}", stocks, (Stream.TRADE, Stream.QUOTE)),
            f"{self.name}.crypto.0": _Market(CRYPTO_PATH, pairs, (Stream.TRADE, Stream.QUOTE, Stream.BOOK)),
        }
        self._markets = {source: market for source, market in markets.items() if market.instruments}

    def links(self) -> tuple[LinkPlan, ...]:
        """Return one connection for each market and one for the account: the venue allows one of each."""
        market = (LinkPlan(source, LinkRole.MARKET, found.path) for source, found in self._markets.items())
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PRIVATE_PATH))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments of a market link."""
        return self._markets[source].instruments

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data of a link. Stocks have no book."""
        return self._markets[source].streams

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the login and the subscription of a link."""
        login = calls.subscribe("auth", signed=True)
        if ".private." in source:
            return (login, calls.subscribe("listen", ("streams", (STREAM,))))
        symbols = [each.symbol for each in self.instruments_of(source)]
        lists = ((CHANNELS[stream], symbols) for stream in self.streams_of(source))
        return (login, calls.subscribe("subscribe", *lists))

    def server_time(self) -> Unsigned | None:
        """Return the query for the venue's clock."""
        return calls.server_time()

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        return self.account.decode_answer(unsigned, instrument_id, status, headers, payload)


class AlpacaSip(Alpaca):
    """The same with the quotes of all exchanges (SIP), which a paid plan has."""

    name = "alpaca_sip"
    feed = "sip"
