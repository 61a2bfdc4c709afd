"""The market data of Binance's futures without socket or clock: what USD-M and COIN-M share. No account, no orders.

A dialect is a table of `Facts`. Numbers in parentheses are sections of the fact sheet of USD-M (state: May 2026). How frames are
spelled is binance_futures_market.py's, metadata binance_futures_instruments.py's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from engine.events import Event, InstrumentsReport
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, Transport, Unsigned
from engine.venues.binance_futures_instruments import read_allowance, read_exchange_info
from engine.venues.binance_futures_market import SPELLING
from engine.venues.binance_market import BinanceMarket
from engine.venues.binance_spot import account, signing
from engine.venues.binance_spot.signing import ApiKey, HttpMessage

RECV_WINDOW_MS = 5_000
DEPTH_LIMIT_MAX = 1_000
DEPTH_WEIGHTS = ((50, 2), (100, 5), (500, 10), (1_000, 20))  # (limit up to, weight) (4)
STREAMS_MAX = 1_024  # per connection (5)

BOOKS = ("depth@100ms", "bookTicker")
# aggTrade and not trade: that one is not documented and may be silent (5). Never both: a trade would count twice
TRADES = ("aggTrade", "markPrice@1s")
_OF_STREAM = {
    "depth@100ms": Stream.BOOK,
    "bookTicker": Stream.QUOTE,
    "aggTrade": Stream.TRADE,
    "markPrice@1s": Stream.MARK,
}


class Facts(NamedTuple):
    """In what the futures markets differ."""

    prefix: str  # of REST paths
    inverse: bool  # whether a contract is priced in quote and paid in base
    routes: tuple[tuple[str, tuple[str, ...]], ...]  # (path of a stream server, the streams that it has)


class BinanceFutures:
    """The dialect, an engine.venues.venue.MarketVenue; a market is its name and its facts."""

    name: ClassVar[str]
    facts: ClassVar[Facts]
    trades: ClassVar[bool] = False

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self._market = BinanceMarket(SPELLING, self.instruments)
        self._per_link = STREAMS_MAX // max(len(streams) for _, streams in self.facts.routes)

    @property
    def market(self) -> BinanceMarket:
        """The decoder of what anyone may see."""
        return self._market

    def links(self) -> tuple[LinkPlan, ...]:
        """For every route, as many connections as its limit of streams asks for."""
        many = -(-len(self.instruments) // self._per_link) * len(self.facts.routes)
        return tuple(
            LinkPlan(
                source, LinkRole.MARKET, f"{self._route(source)[0]}/stream?streams={'/'.join(self._streams(source))}"
            )
            for source in (f"{self.name}.market.{number}" for number in range(many))
        )

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Whose streams come over this link."""
        number = _number(source) // len(self.facts.routes)
        return self.instruments[number * self._per_link : (number + 1) * self._per_link]

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """What comes over this link: where trades have a server of their own, its loss says nothing of a book."""
        return tuple(_OF_STREAM[stream] for stream in self._route(source)[1])

    def _route(self, source: str) -> tuple[str, tuple[str, ...]]:
        return self.facts.routes[_number(source) % len(self.facts.routes)]

    def _streams(self, source: str) -> list[str]:
        _, streams = self._route(source)
        return [f"{of.symbol.lower()}@{stream}" for of in self.instruments_of(source) for stream in streams]

    # ---- requests: what anyone may ask

    def depth(self, instrument: Instrument, limit: int = DEPTH_LIMIT_MAX) -> Unsigned:
        assert 0 < limit <= DEPTH_LIMIT_MAX, limit
        weight = next(weight for up_to, weight in DEPTH_WEIGHTS if limit <= up_to)
        return self._ask("depth", (("symbol", instrument.symbol), ("limit", str(limit))), weight)

    def server_time(self) -> Unsigned:
        return self._ask("time")

    def exchange_info(self, _symbols: Sequence[str] = ()) -> Unsigned:
        """Instrument metadata, always of the whole market: this call takes no symbols."""
        return self._ask("exchangeInfo")

    def _ask(self, path: str, params: tuple[tuple[str, str], ...] = (), weight: int = 1) -> Unsigned:
        return Unsigned(Transport.REST, "GET", f"{self.facts.prefix}/{path}", params, signed=False, weight=weight)

    def sign_rest(self, unsigned: Unsigned, key: ApiKey | None, now_ms: int) -> HttpMessage:
        """The HTTP message to send."""
        return signing.sign_rest(unsigned, key, now_ms)

    def decode_answer(
        self, method: str, path: str, _instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """What an answer proves, then what it reports. The codes of public questions mean what they mean on Spot (11)."""

        def read(body: bytes) -> tuple[Event, ...]:
            return self._readers[path.partition("?")[0].removeprefix(f"{self.facts.prefix}/")](body)

        return account.read_answer(method, path, status, headers, payload, read)

    @property
    def _readers(self) -> dict[str, Callable[[bytes], tuple[Event, ...]]]:
        return {"depth": account.read_nothing, "time": account.read_time, "exchangeInfo": self._instruments}

    def _instruments(self, payload: bytes) -> tuple[Event, ...]:
        found = read_exchange_info(payload, self.name, inverse=self.facts.inverse)
        return (InstrumentsReport(found, read_allowance(payload)),)


def _number(source: str) -> int:
    return int(source.rpartition(".")[2])
