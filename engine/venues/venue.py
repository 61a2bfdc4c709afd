"""The venue object: everything that the engine, the shell, replay and SQL may know of a trading venue.

A venue is a machine without socket or clock: it turns calls into unsigned messages, and bytes into rows and events.
Each part below has one duty; a folder in engine/venues holds one venue, with one file for each part. A venue of another
author is named in the configuration as `package.module:Class`; `verbatim.testing.check_venue` checks it against this
contract.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.events import Event, FillsReport, InstrumentsReport
from engine.facts import ListLeg
from engine.market.history import Candle
from engine.market.views import Stream
from engine.model import Instrument, ListKind, OrderTerm, OrderType, Side, TimeInForce
from engine.order_terms import Terms
from engine.requests import HistoryPage, LinkPlan, PolledStream, Unsigned
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


@runtime_checkable
class SizedSnapshots(Protocol):
    """A RestSnapshots may have this as well: snapshots of fewer levels that weigh less."""

    def request_within(self, instrument: Instrument, weight_max: int) -> Unsigned:
        """Return the request for the deepest snapshot of at most this weight, or for the lightest there is."""
        ...


class HistoryCodec(Protocol):
    """Bars from before the session, requested over REST."""

    intervals_ns: tuple[int, ...]  # lengths of the venue's candles, rising
    page_max: int  # candles of one answer

    def request(self, instrument: Instrument, page: HistoryPage) -> Unsigned:
        """Return the request for the candles of a page, at most `page_max`."""
        ...

    def read(self, payload: bytes) -> tuple[Candle, ...]:
        """Return the candles of an answer. Raises ValueError for any other bytes."""
        ...


@runtime_checkable
class HasHistory(Protocol):
    """A venue may have this as well: its REST interface serves candles."""

    name: str
    history: HistoryCodec


class Poll(NamedTuple):
    """A request that reads a stream of an instrument once, and how often it is made."""

    stream: Stream  # QUOTE, TRADE or BOOK
    every_ns: int  # from one request to the next
    unsigned: Unsigned


@runtime_checkable
class PollsMarket(Protocol):
    """A venue with `polled` links for market data has this as well."""

    def polls(self, instrument: Instrument) -> tuple[Poll, ...]:
        """Return the polls of an instrument: one for each stream of its link."""
        ...

    def decode_poll(self, payload: bytes, poll: PolledStream, seq: int, time_ns: int) -> Rows | tuple[Event, ...]:
        """Return the rows of an answer, as one message; an empty table if the market had nothing. Total.

        A page of trades ascends and has the venue's ids: those that were there before count once, and a jump is a gap.
        A book is a SNAPSHOT.
        """
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


@runtime_checkable
class PresentsSecret(Protocol):
    """A RequestSigner may have this as well: requests carry the secret itself, since the venue has no signatures.

    Its messages are the same at any time, and the secret is in headers or frames alone, never in an address.
    """

    presents_secret: bool


@runtime_checkable
class ReadsPublicAccounts(Protocol):
    """A RequestSigner may have this as well: anyone may read an account by its address, so queries have no signature.

    They are `signed` nevertheless, since only the key knows the address.
    """

    reads_are_public: bool


@runtime_checkable
class SendsInTurn(Protocol):
    """A RequestSigner may have this as well: a nonce that arrives after a higher one is refused.

    So the shell sends one request at a time; one whose answer takes longer than a second holds up no other.
    """

    sends_in_turn: bool


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


@runtime_checkable
class BalancesInParts(Protocol):
    """An AccountCodec may have this as well: no single answer states all balances."""

    def other_balances(self) -> tuple[Unsigned, ...]:
        """Return the queries for the balances that `balances()` leaves out; each report says what it covers."""
        ...


@runtime_checkable
class OrderFills(Protocol):
    """An AccountCodec may have this as well: the fills of one order, also those that are listed late with a low id."""

    def fills_of(self, instrument: Instrument, venue_order_id: str, cursor: str | None) -> Unsigned:
        """Return the query for the oldest fills of an order after a cursor. None requests them from the first."""
        ...


@runtime_checkable
class LooksUpInTurn(Protocol):
    """An AccountCodec may have this as well: no single query finds an order by our id, open or closed."""

    def query_next(self, instrument: Instrument, answered: Unsigned) -> Unsigned | None:
        """Return the query to make after one that found no order; None after the last, which proves absence."""
        ...


@runtime_checkable
class PagesFromNewest(Protocol):
    """An AccountCodec may have this as well: a page of fills begins with the newest, and states how many there are."""

    def oldest_fills(self, instrument: Instrument, answered: Unsigned, report: FillsReport) -> Unsigned | None:
        """Return the query for the oldest fills after the cursor of an answered query; None if it was that query."""
        ...


@runtime_checkable
class DeadManSwitch(Protocol):
    """An AccountCodec of a venue with the capability `dead_man_switch` has this as well."""

    def dead_man_switch(self, instrument: Instrument, timeout_ms: int) -> Unsigned:
        """Return the request after which the venue cancels an instrument's open orders, unless it comes again in time.

        Args:
            instrument: The instrument.
            timeout_ms: The venue's wait in milliseconds; 0 disarms the switch.

        """
        ...


@runtime_checkable
class AmendsOrders(Protocol):
    """An AccountCodec of a venue with a capability `amend` has this as well."""

    def amend(
        self, instrument: Instrument, client_order_id: str, quantity: Decimal, venue_order_id: str = ""
    ) -> Unsigned:
        """Return the request that reduces an open order, which keeps its client order id and its place in the queue.

        Args:
            instrument: The order's instrument.
            client_order_id: Our id of the order, which it keeps.
            quantity: The whole order, its fills included.
            venue_order_id: The venue's id; empty until the venue has named one.

        """
        ...


@runtime_checkable
class PlacesLists(Protocol):
    """An AccountCodec of a venue with a capability `order_lists` has this as well.

    Its orders are cancelled, queried and reported as any other; the cancel of one ends all of them.
    """

    def place_list(self, list_id: str, instrument: Instrument, legs: Sequence[ListLeg]) -> Unsigned:
        """Return the request that places all orders of a list, or none.

        Args:
            list_id: Our id of the list.
            instrument: The instrument of all its orders.
            legs: Two exits of one side; or the entry, and two exits that wait for it. The stop precedes the target.

        """
        ...


class KeyRights(NamedTuple):
    """The rights that a venue states for an API key."""

    reads: bool
    trades: bool
    withdraws: bool
    is_ip_bound: bool | None  # only listed addresses may use it; None: not said


class KeyRightsReader(Protocol):
    """A venue class may have this as `key_rights`: the rights of the key that signs, for `verbatim check`."""

    def request(self, network: Network) -> Unsigned | None:
        """Return the query for the rights, or None if the network does not state them."""
        ...

    def read(self, payload: bytes) -> KeyRights:
        """Return what the answer states.

        Raises msgspec.MsgspecError for any other bytes, and ValueError with a text for people if the key is no key.
        """
        ...


class CapturedMarket(NamedTuple):
    """The market of a recording that has no SESSION of ours."""

    venue: str  # the name of the venue that decodes it, and on which it can be traded on paper
    instruments: tuple[Instrument, ...]  # base and quote are "" where they are unknown
    has_books: bool
    sources: frozenset[str]  # the files whose messages are of this market
    inferred: tuple[str, ...] = ()  # symbols whose grid and assets were read off messages, for lack of metadata
    largest: tuple[tuple[str, Decimal, Decimal], ...] = ()  # bounds of the prices and of the sizes of each symbol
    refused: tuple[tuple[str, str], ...] = ()  # symbols whose numbers cannot be kept exactly, each with the reason
    bar_interval_ns: int = 0  # of the finest bars, if no symbol has trades, quotes or a book; 0: one has
    lead_ns: int = 0  # the session begins so long before the first record, which is read once the links are up
    snapshots: tuple[tuple[int, str], ...] = ()  # the record of each book snapshot, and its symbol
    without_sizes: tuple[str, ...] = ()  # symbols whose messages state no sizes


class CaptureMessage(NamedTuple):
    """One message of a capture, as the columns of its record."""

    seq: int
    source: str
    meta: str | None
    payload: bytes


class CaptureMessages:
    """All messages of a capture, from the first one at each iteration."""

    def __init__(self, read: Callable[[], Iterable[CaptureMessage]]) -> None:
        self._read = read
        self._found: dict[Callable[[CaptureMessages], Any], Any] = {}

    def __iter__(self) -> Iterator[CaptureMessage]:
        """Read the messages."""
        return iter(self._read())

    def once(self, scan: Callable[["CaptureMessages"], Found]) -> Found:
        """Return the result of a scan of all messages, which is made once for all venues that ask for it."""
        if scan not in self._found:
            self._found[scan] = scan(self)
        found: Found = self._found[scan]
        return found


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


@runtime_checkable
class ProbesPrivateLink(Protocol):
    """An account codec may have this as well: a query that proves the subscription of a private link."""

    def probe_private(self) -> Unsigned:
        """Return a cheap query over the private link; its answer decodes as StreamEnded without a subscription."""
        ...


@runtime_checkable
class Resubscribes(Protocol):
    """A venue may have this as well: messages that begin single streams again over their living link."""

    def resubscriptions(self, instrument: Instrument, streams: Sequence[Stream]) -> tuple[Unsigned, ...]:
        """Return the messages that end these streams and begin them again, in order; () if only a new connection does.

        Each is sent when the one before was acknowledged with Subscribed.
        """
        ...


class CaptureIdentifier(Protocol):
    """A venue class may have this as well: it recognises captures of its market that carry no SESSION of ours."""

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of those messages that are of this venue, or None."""
        ...
