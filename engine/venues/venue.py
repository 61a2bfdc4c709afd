"""The venue object: everything that the engine, the shell, replay and SQL may know of a trading venue.

A venue is a machine without socket or clock: it turns calls into unsigned messages, and bytes into rows and events.
Each part below has one duty; a folder in engine/venues holds one venue, with one file for each part. A venue of another
author is named in the configuration as `package.module:Class`; `verbatim.testing.check_venue` checks it against this
contract.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.events import Event, InstrumentsReport
from engine.market.views import Stream
from engine.model import Instrument, ListKind, OrderTerm, OrderType, Side, TimeInForce
from engine.order_terms import Terms
from engine.requests import LinkPlan, Unsigned
from engine.state.fill_cursor import FillCursor
from engine.state.rate_budgets import RateModel
from engine.venues.signing import Credentials, HttpMessage, SecretKey

Rows = NDArray[np.int64]
Found = TypeVar("Found")


class Network(StrEnum):
    """Which of a venue's installations a session talks to."""

    LIVE = "live"
    TESTNET = "testnet"
    LOCAL = "local"  # a simulated venue, on loopback
    PAPER = LOCAL  # its earlier name


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses of one network. An empty address means that the network has none, or none that is fixed."""

    rest: str = ""
    stream: str = ""  # websocket of market data
    private: str = ""  # websocket of the account
    public_rest: str = ""  # a separate server of market data for anyone, if there is one
    public_stream: str = ""
    why_unusable: str = ""  # no session can run there although people look for it: a sentence for them


@dataclass(frozen=True, slots=True)
class OrderCapabilities:
    """The order types and operations that the venue supports, so code need not know a venue's name.

    Nothing reads `native_stops` yet: it is stated for the code to come.
    """

    types: frozenset[OrderType]
    times_in_force: frozenset[TimeInForce]
    gtc_only: frozenset[OrderType] = frozenset()  # types whose orders have no other time in force
    amend: bool = False  # reduce the quantity of an open order in place: the account codec is an AmendsOrders
    native_stops: bool = False  # the venue watches triggers itself
    terms: frozenset[OrderTerm] = frozenset()  # the terms of orders that not every venue has
    reduce_only: bool = False  # the venue takes orders that only reduce a position
    leverage: bool = False  # positions have a leverage and a margin mode, which requests set
    # an order can be queried by our id alone; the engine cannot resolve UNKNOWN orders without it
    lookup_by_client_id: bool = True
    dead_man_switch: bool = False  # the venue cancels all orders if we fall silent
    one_switch: bool = False  # it is one for the whole account: arming it for an instrument arms it for all
    cancel_all: bool = True  # one request cancels every open order of an instrument
    order_lists: frozenset[ListKind] = frozenset()  # placed as one: the account codec is a PlacesLists
    new_id_on_change: bool = False  # an order that a person changed has another id of the venue, and still ours
    # the venue has no market order: the codec gets a limit order IOC so far beyond the far touch; 0: it has one
    market_bound: Decimal = Decimal(0)
    streams_balances: bool = True  # the private link reports balances; if not, they are queried after fills


@dataclass(frozen=True, slots=True)
class KeptHeaders:
    """The headers of an answer that enter the journal. All others (cookies, traces) stay out. Names are lower case."""

    names: frozenset[str] = frozenset({"content-type", "retry-after"})
    prefixes: tuple[str, ...] = ("ratelimit", "x-ratelimit")

    def keep(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return the headers to record, names in lower case.

        Args:
            headers: Names and values as the HTTP client gives them.

        """
        lower = ((name.lower(), value) for name, value in headers)
        return {name: value for name, value in lower if name in self.names or name.startswith(self.prefixes)}


@dataclass(frozen=True, slots=True)
class RowsAndEvents:
    """A frame that is both, such as the acknowledgement of a subscription with a number of its link."""

    rows: Rows
    events: tuple[Event, ...]


Decoded = Rows | tuple[Event, ...] | RowsAndEvents


class MarketCodec(Protocol):
    """Public messages as rows (engine/market/rows.py). Total: a decoder returns for any bytes, and never raises."""

    def warm(self) -> None:
        """Compile what decodes frames, before the first one arrives. May do nothing."""
        ...

    def decode(self, payload: bytes, source: str, seq: int, time_ns: int) -> Decoded:
        """Return the rows of a market message, or the events of any other frame of a market link, or both."""
        ...

    def decode_many(self, payloads: Sequence[bytes], seqs: Rows, times_ns: Rows) -> tuple[Rows, list[int]] | None:
        """Return the rows of the leading market messages and the row behind each one's last.

        Returns:
            None if the first payload is no market message. May stop early, but decodes one at least.

        """
        ...

    def decode_snapshot(self, payload: bytes, instrument_id: str, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of an answer to `RestSnapshots.request`.

        Venues with streamed snapshots return Unrecognised.
        """
        ...

    def is_snapshot(self, payload: bytes) -> bool:
        """Return True if the bytes are an answer that `decode_snapshot` reads."""
        ...


class RestSnapshots(Protocol):
    """Book snapshots that are requested over REST."""

    def request(self, instrument: Instrument) -> Unsigned:
        """Return the request for the whole book of one instrument."""
        ...


class MetadataReader(Protocol):
    """Instruments and rate limits, from the venue's own description of its markets."""

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the request for the metadata of these symbols. The answer may describe more."""
        ...

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return what the answer describes. Raises ValueError for any other bytes."""
        ...


class ClientOrderIds(Protocol):
    """Client order ids within a venue's limits. Derived, never drawn: the same record gives the same id again."""

    def make(self, *, session: str, strategy: str, version: str, seq: int, leg: int) -> str:
        """Return the id of an order."""
        ...

    def session_of(self, client_order_id: str) -> str:
        """Return the session that made an id, or any text that is no session's if the id is not ours."""
        ...

    def is_valid(self, client_order_id: str) -> bool:
        """Return True if the venue accepts this id."""
        ...


class RequestSigner(Protocol):
    """Keys and signatures. Only the shell calls it; nothing it returns is recorded or printed."""

    def load_key(self, credentials: Credentials) -> SecretKey:
        """Return a key that can sign.

        Raises ValueError, without the secret in its text, if the credentials cannot be used.
        """
        ...

    def sign_http(self, unsigned: Unsigned, key: Any, now_ns: int) -> HttpMessage:
        """Return the HTTP message to send.

        Args:
            unsigned: A request with transport REST.
            key: From `load_key`, or None for requests that are not signed.
            now_ns: Venue time. The shell never passes the same value twice, so it can serve as a nonce.

        """
        ...

    def sign_frame(self, unsigned: Unsigned, key: Any, now_ns: int, request_id: str) -> bytes:
        """Return the websocket message to send. `request_id` is text that the answer should repeat."""
        ...


class AccountCodec(Protocol):
    """An account's calls as unsigned values, and its messages as events. Decoders are total."""

    def place(
        self, client_order_id: str, instrument: Instrument, side: Side, quantity: Decimal, terms: Terms
    ) -> Unsigned:
        """Return the request for a new order. Raises LookupError or AssertionError for terms that are no capability."""
        ...

    def cancel(self, instrument: Instrument, client_order_id: str, venue_order_id: str = "") -> Unsigned:
        """Return the request that cancels an order. `venue_order_id` is empty until the venue has named one."""
        ...

    def cancel_all(self, instrument: Instrument) -> Unsigned:
        """Return the request that cancels every open order of an instrument.

        Raises LookupError if the venue lacks the capability `cancel_all`.
        """
        ...

    def query_order(self, instrument: Instrument, client_order_id: str = "", venue_order_id: str = "") -> Unsigned:
        """Return the query for one order. Exactly one of the ids is given."""
        ...

    def open_orders(self) -> Unsigned:
        """Return the query for all open orders of the account."""
        ...

    def balances(self) -> Unsigned:
        """Return the query for all balances."""
        ...

    def fills_after(self, instrument: Instrument, cursor: str | None) -> Unsigned:
        """Return the query for the fills after a cursor. None requests the newest page."""
        ...

    def decode_private(self, payload: bytes) -> tuple[Event, ...]:
        """Return the events of one frame of a private link."""
        ...

    def answered_request(self, payload: bytes) -> str | None:
        """Return the request id that a frame answers, or None if it answers none or does not say."""
        ...


class Venue(Protocol):
    """One venue.

    The class is called with its instruments and the receive window; `name` is its word in sources and ids.
    """

    name: str
    recv_window_ms: int
    instruments: tuple[Instrument, ...]

    endpoints: Mapping[Network, Endpoints]
    kept_headers: KeptHeaders
    capabilities: OrderCapabilities
    rates: RateModel
    fill_cursor: FillCursor
    order_ids: ClientOrderIds
    signer: RequestSigner
    metadata: MetadataReader
    snapshots: RestSnapshots | None  # None: the stream itself begins with a snapshot
    sim_protocol: str  # the protocol of engine/sim that can replace this venue's account; "" if none can

    @property
    def market(self) -> MarketCodec:
        """The decoder of public messages."""
        ...

    @property
    def account(self) -> AccountCodec:
        """Calls and messages of an account. Only venues with `trades` have it."""
        ...

    @property
    def trades(self) -> bool:
        """False if only the market data of this venue is built."""
        ...

    def links(self) -> tuple[LinkPlan, ...]:
        """Return every websocket connection that a session needs, market and private."""
        ...

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose streams arrive over a market link."""
        ...

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the kinds of market data that arrive over a market link."""
        ...

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the messages that a link needs before it is ready, in order.

        Each is sent when the one before was acknowledged with Subscribed; a login comes first. Empty if the link's path
        names the streams. A signed one on a market link means that the venue shows its market to key holders alone.
        """
        ...

    def server_time(self) -> Unsigned | None:
        """Return the query for the venue's clock, or None if the venue has none."""
        ...

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return one Answer, which states what the HTTP answer proves, then its reports. Total, as every decoder.

        Args:
            unsigned: The request that is answered.
            instrument_id: The instrument that the request was about, or "".
            status: HTTP status.
            headers: The kept headers.
            payload: The body.

        """
        ...
