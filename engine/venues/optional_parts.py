"""The parts that some venues have: protocols beside those of engine/venues/venue.py, which every venue has.

The engine checks for each with isinstance, most of them once a session. docs/venues.md lists them with their duty.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, runtime_checkable

from engine.events import Event, FillsReport, InstrumentsReport
from engine.facts import ListLeg
from engine.market.history import Candle
from engine.market.rows import Rows
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import HistoryPage, PolledStream, Unsigned
from engine.venues.venue import Network, Venue


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


@runtime_checkable
class MetadataParts(Protocol):
    """A MetadataReader may have this as well: only several answers together describe the instruments.

    A session reads all of them as it begins, and the answer to `request` alone when it reads the rules again.
    """

    def requests(self, symbols: Sequence[str] = ()) -> tuple[Unsigned, ...]:
        """Return the requests, in the order in which they are sent."""
        ...

    def read_parts(self, payloads: Sequence[bytes]) -> InstrumentsReport:
        """Return what the answers to `requests` describe. Raises ValueError for any other bytes."""
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

    They are `signed` nevertheless, since only the key knows the address. Their answers prove nothing about the secret:
    other queries do, before a key is used.
    """

    reads_are_public: bool

    def proofs(self, key: Any) -> tuple[Unsigned, ...]:
        """Return the queries whose answers prove that the key's secret may sign for its account."""
        ...

    def refusal(self, key: Any, answers: Sequence[bytes]) -> str:
        """Return why the answers to `proofs` prove that the key cannot be used, as a sentence, or ""."""
        ...


@runtime_checkable
class SendsInTurn(Protocol):
    """A RequestSigner may have this as well: a nonce that arrives after a higher one is refused.

    So the shell sends one request at a time; one whose answer takes longer than a second holds up no other.
    """

    sends_in_turn: bool


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


def key_proofs(venue: Venue, key: Any) -> tuple[Unsigned, ...]:
    """Return the queries that prove a key: the balances, and others where anyone may read those."""
    signer, balances = venue.signer, venue.account.balances()
    return (balances, *signer.proofs(key)) if isinstance(signer, ReadsPublicAccounts) else (balances,)


def key_refusal(venue: Venue, key: Any, answers: Sequence[bytes]) -> str:
    """Return why successful answers to `key_proofs` prove that the key cannot be used, or ""."""
    signer = venue.signer
    return signer.refusal(key, answers[1:]) if isinstance(signer, ReadsPublicAccounts) else ""


class KeyRights(NamedTuple):
    """The rights that a venue states for an API key."""

    reads: bool
    trades: bool
    withdraws: bool
    is_ip_bound: bool | None  # only listed addresses may use it; None: not said
    kind: str = ""  # of key, if it has all rights of the account and none can be removed
    lesser_kind: str = ""  # to use in its place


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
