"""The protocol that a simulated venue speaks over its exchange. sim_venue.py drives it.

A protocol is one object for each venue. It makes the exchange, and may keep its own sessions. It holds no socket and no
clock: each call gets its time.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from engine.events import Event as EngineEvent
from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import ApiTables
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import ApiResult, VenueApi
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.faults import Faults
from engine.sim.feeds.sim_market import Line, SimMarket
from engine.sim.venue_config import VenueConfig
from engine.sim.wire import HttpAnswer, HttpRequest


class AccountEvent(NamedTuple):
    """An event of an account's stream, without the wrapper of a connection."""

    account: str
    body: dict[str, Any]
    # as rules of faults name it; "": what `e` and `x` of the body say, as at Binance
    name: str = ""
    execution: str = ""
    fill: tuple[int, int] | None = None  # (trade, order) of a fill that a rule can keep from lists
    stated: tuple[EngineEvent, ...] | None = None  # handed over in place of bytes, whose body `write` makes
    write: Callable[[], dict[str, Any]] = dict


class SimApi(Protocol):
    """The HTTP interface of a simulated venue: its checks, its endpoints, and the words of its answers."""

    def rest(self, request: HttpRequest, now_ns: int) -> ApiResult:
        """Return a request's result. May raise NotYetError."""

    def refused(self, refusal: VenueRefusalError) -> ApiResult:
        """Return a refusal, of an endpoint or of a scripted fault, as a result in the venue's words."""

    def dress(self, result: ApiResult, now_ns: int) -> HttpAnswer:
        """Return a result as an HTTP answer with the venue's headers."""


@runtime_checkable
class HasOwnApi(Protocol):
    """A VenueProtocol of a venue whose interface is not Binance's has this as well."""

    def make_api(self, faults: Faults) -> SimApi:
        """Return the HTTP interface. It need not ask the faults that strike whole requests."""


@runtime_checkable
class WatchesConnections(Protocol):
    """A VenueProtocol may have this as well: the venue speaks first, or counts its connections."""

    def greet(self, connection: Connection, now_ns: int) -> bytes | None:
        """Return the first frame of a connection, or None."""

    def closed(self, connection: Connection, now_ns: int) -> None:
        """Note the end of a connection."""


@runtime_checkable
class NumbersFrames(Protocol):
    """A VenueProtocol may have this as well: each frame has a number of its connection.

    Such a venue also ends connections by itself.
    """

    def numbered(self, connection: Connection, frame: bytes) -> bytes:
        """Return a frame as it is sent."""

    def pop_ended(self) -> Sequence[int]:
        """Return and forget the connections that the venue has ended since the last call."""


class VenueProtocol(Protocol):
    """One protocol over one exchange."""

    limits: RequestLimits
    tables: ApiTables
    keys: dict[str, tuple[str, str]]  # API key -> account, secret

    @property
    def exchange(self) -> Exchange:
        """Return the exchange."""

    @property
    def next_timer_ns(self) -> int | None:
        """Return when `run_timers` must be called next; None if no time of the venue's own is due."""

    def run_timers(self, now_ns: int) -> None:
        """Do what is due by the venue's own clock. `exchange.pop_events` returns what follows."""

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return the connection for a websocket's request target, or None if the venue does not have the target."""

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> bytes | Sequence[bytes]:
        """Carry out a control message of a stream connection. Return its answer, or several frames in order."""

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Answer a request of the WebSocket API."""

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the messages that an event of the exchange causes on its account's stream."""

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return an account's event as a frame of a connection's subscription, or None if it does not want it."""

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return the public messages that an event of the exchange causes."""

    def is_derived(self, stream: str) -> bool:
        """Return True if the market does not carry the stream."""

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the subscribed lines that follow from a line of the market."""

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the streams of the market that these subscriptions need."""


ProtocolMaker = Callable[[VenueConfig, SimMarket], VenueProtocol]
