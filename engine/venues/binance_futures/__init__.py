"""Binance's futures without socket or clock: what USD-M and COIN-M share.

A market is its `FuturesVariant`; one without `private_path` is watched and not traded. Numbers in parentheses are
sections of the fact sheet of USD-M (state: May 2026). Frames of the market are read in market.py, those of the account
in account.py, exchangeInfo in metadata.py; calls.py makes the account's calls, and answers.py reads their answers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from engine.events import Event, InstrumentsReport
from engine.market.views import Stream
from engine.model import Instrument, OrderTerm, TimeInForce
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.venues.binance_common.dialect import BinanceVenue
from engine.venues.binance_common.http_answers import read_answer, read_nothing, read_time
from engine.venues.binance_common.klines import Klines, read_klines
from engine.venues.binance_common.market import BinanceMarket
from engine.venues.binance_common.public import DepthSnapshots, ExchangeInfo, server_time
from engine.venues.binance_futures.account import FuturesAccount
from engine.venues.binance_futures.account_answers import AccountAnswers
from engine.venues.binance_futures.market import SPELLING
from engine.venues.binance_futures.metadata import read_metadata
from engine.venues.binance_futures.order_types import BOOK_TYPES, HELD_TYPES
from engine.venues.optional_parts import HistoryCodec
from engine.venues.venue import AccountCodec, Endpoints, MetadataReader, Network, OrderCapabilities, RestSnapshots

RECV_WINDOW_MS = 5_000
DEPTH_WEIGHTS = ((50, 2), (100, 5), (500, 10), (1_000, 20))  # (limit up to, weight) (4)
STREAMS_MAX = 1_024  # per connection (5)
KLINES_WEIGHT = 5  # of a page of up to 1,000 candles (4)

BOOKS = ("depth@100ms", "bookTicker")
# aggTrade and not trade: that one is not documented and may be silent (5). Never both: a trade would count twice
TRADES = ("aggTrade", "markPrice@1s")
_OF_STREAM = {
    "depth@100ms": Stream.BOOK,
    "bookTicker": Stream.QUOTE,
    "aggTrade": Stream.TRADE,
    "markPrice@1s": Stream.MARK,
}


class FuturesVariant(NamedTuple):
    """The differences between the futures markets."""

    prefix: str  # of REST paths
    inverse: bool  # whether a contract is priced in quote and paid in base
    routes: tuple[tuple[str, tuple[str, ...]], ...]  # (path of a stream server, the streams that it has)
    endpoints: Mapping[Network, Endpoints]
    account_prefix: str = ""  # of the paths of balances and positions; "": as all others
    private_path: str = ""  # of the user stream, with `{token}` for the listen key; "": the account cannot be traded


TRADING = OrderCapabilities(
    types=frozenset({*BOOK_TYPES, *HELD_TYPES}),
    times_in_force=frozenset(TimeInForce),
    native_stops=True,
    terms=frozenset({OrderTerm.TRAILING, OrderTerm.CLOSE_POSITION}),
    reduce_only=True,
    leverage=True,
    dead_man_switch=True,
)


class BinanceFutures(BinanceVenue):
    """An engine.venues.venue.Venue; a market is its name and its variant."""

    name: str
    variant: ClassVar[FuturesVariant]
    trades: ClassVar[bool] = False
    sim_protocol: ClassVar[str] = ""
    capabilities = OrderCapabilities(types=frozenset(), times_in_force=frozenset())

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.endpoints = self.variant.endpoints
        self.snapshots: RestSnapshots = DepthSnapshots(self.variant.prefix, DEPTH_WEIGHTS)
        self.metadata: MetadataReader = ExchangeInfo(self.variant.prefix, self._read_metadata)
        self.history: HistoryCodec = Klines(self.variant.prefix, weight=KLINES_WEIGHT)
        self._market = BinanceMarket(SPELLING, self.instruments)
        prefixes = (self.variant.prefix, self.variant.account_prefix or self.variant.prefix)
        self._account = FuturesAccount(self.name, *prefixes, recv_window_ms)
        self._answers = AccountAnswers(self.name, *prefixes)
        self._per_link = STREAMS_MAX // max(len(streams) for _, streams in self.variant.routes)

    @property
    def market(self) -> BinanceMarket:
        """The decoder of public messages."""
        return self._market

    @property
    def account(self) -> AccountCodec:
        """Calls and messages of the account."""
        return self._account

    def links(self) -> tuple[LinkPlan, ...]:
        """Return as many connections for each route as its limit of streams needs, and one for the account."""
        many = -(-len(self.instruments) // self._per_link) * len(self.variant.routes)
        market = (
            LinkPlan(
                source, LinkRole.MARKET, f"{self._route(source)[0]}/stream?streams={'/'.join(self._streams(source))}"
            )
            for source in (f"{self.name}.market.{number}" for number in range(many))
        )
        path = self.variant.private_path
        return (*market, *((LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, path),) if path else ()))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose streams arrive over a market link."""
        number = _number(source) // len(self.variant.routes)
        return self.instruments[number * self._per_link : (number + 1) * self._per_link]

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data of a link. A server of trades alone can fail without a gap in any book."""
        return tuple(_OF_STREAM[stream] for stream in self._route(source)[1])

    def _route(self, source: str) -> tuple[str, tuple[str, ...]]:
        return self.variant.routes[_number(source) % len(self.variant.routes)]

    def _streams(self, source: str) -> list[str]:
        _, streams = self._route(source)
        return [f"{of.symbol.lower()}@{stream}" for of in self.instruments_of(source) for stream in streams]

    # ---- requests and answers

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return nothing: the path of a link names its streams."""
        return ()

    def server_time(self) -> Unsigned | None:
        """Return the query for the venue's clock."""
        return server_time(self.variant.prefix)

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports.

        The codes of public queries mean what they mean on Spot (11).
        """
        if self._answers.reads(unsigned):
            return self._answers.decode(unsigned, instrument_id, status, headers, payload)

        def read(body: bytes) -> tuple[Event, ...]:
            return self._readers[unsigned.path.partition("?")[0].removeprefix(f"{self.variant.prefix}/")](body)

        return read_answer(unsigned.method, unsigned.path, status, headers, payload, read=read)

    @property
    def _readers(self) -> dict[str, Callable[[bytes], tuple[Event, ...]]]:
        return {
            "depth": read_nothing,
            "klines": read_klines,
            "time": read_time,
            "exchangeInfo": lambda body: (self._read_metadata(body),),
        }

    def _read_metadata(self, payload: bytes) -> InstrumentsReport:
        return read_metadata(payload, self.name, inverse=self.variant.inverse, trades=self.trades)


def _number(source: str) -> int:
    return int(source.rpartition(".")[2])
