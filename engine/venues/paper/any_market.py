"""A paper account on the market of any venue: `paper:KIND`, or `captured:KIND` (engine/venues/venue_lookup.py).

The market's links, frames and public queries are those of the venue; the account's are Spot's, which the simulated
venue answers. A request is the account's if it is signed, since a market that needs a key is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Final

import msgspec

from engine.events import Event, InstrumentsReport
from engine.model import Instrument, RateLimits
from engine.requests import LinkPlan, LinkRole, Unsigned
from engine.venues.binance_common.dialect import BinanceVenue
from engine.venues.binance_common.signer import BinanceSigner
from engine.venues.binance_spot import PRIVATE_PATH, RECV_WINDOW_MS, BinanceSpot
from engine.venues.optional_parts import HasHistory, MetadataParts, Resubscribes
from engine.venues.paper.account import PaperAccount
from engine.venues.polling import is_polled
from engine.venues.signing import Credentials, HttpMessage, SecretKey
from engine.venues.venue import KeptHeaders, MetadataReader, OrderCapabilities, RequestSigner, Venue
from engine.venues.venue_lookup import named_class

PROBE: Final = PaperAccount(RECV_WINDOW_MS).probe_private().method  # the account's only request without a signature


class PaperSigner:
    """An engine.venues.venue.RequestSigner: Spot's for the account, and the market's own for public requests."""

    def __init__(self, market: RequestSigner) -> None:
        self._market = market
        self._account = BinanceSigner()

    def load_key(self, credentials: Credentials) -> SecretKey:
        """Return a key of the simulated venue."""
        return self._account.load_key(credentials)

    def sign_http(self, unsigned: Unsigned, key: Any, now_ns: int) -> HttpMessage:
        """Return the HTTP message."""
        if is_of_account(unsigned):
            return self._account.sign_http(unsigned, key, now_ns)
        return self._market.sign_http(unsigned, None, now_ns)

    def sign_frame(self, unsigned: Unsigned, key: Any, now_ns: int, request_id: str) -> bytes:
        """Return the websocket message."""
        if is_of_account(unsigned):
            return self._account.sign_frame(unsigned, key, now_ns, request_id)
        return self._market.sign_frame(unsigned, None, now_ns, request_id)


def is_of_account(unsigned: Unsigned) -> bool:
    """Return True if the simulated venue answers a request, and not the market's venue."""
    return unsigned.signed or unsigned.method == PROBE


class PaperMetadata:
    """An engine.venues.venue.MetadataReader: the market's instruments, with the rate limits of the simulated venue."""

    def __init__(self, market: MetadataReader) -> None:
        self._market = market
        if isinstance(market, MetadataParts):  # then this one is such a reader too
            self._parts = market
            self.requests = market.requests
            self.read_parts = self._read_parts

    def request(self, symbols: Sequence[str] = ()) -> Unsigned:
        """Return the market's request."""
        return self._market.request(symbols)

    def read(self, payload: bytes) -> InstrumentsReport:
        """Return what the answer describes. Raises ValueError for any other bytes."""
        return _with_own_limits(self._market.read(payload))

    def _read_parts(self, payloads: Sequence[bytes]) -> InstrumentsReport:
        return _with_own_limits(self._parts.read_parts(payloads))


def _with_own_limits(report: InstrumentsReport) -> InstrumentsReport:
    return msgspec.structs.replace(report, rate_limits=RateLimits())


class PaperVenue(BinanceVenue):
    """An engine.venues.venue.Venue: the market of `market_class`, and an account on paper."""

    name: str
    market_class: ClassVar[Any]
    trades: ClassVar[bool] = True
    sim_protocol: ClassVar[str] = BinanceSpot.sim_protocol
    fills_are_trades: ClassVar[bool] = False
    fundings_follow_marks: ClassVar[bool] = True  # without a stream of mark prices no funding is known

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        venue: Venue = named_class(self.market_class, self.name)(instruments, recv_window_ms)
        self._venue = venue
        self._spot: BinanceSpot = named_class(BinanceSpot, self.name)(instruments, recv_window_ms)
        self.account = PaperAccount(recv_window_ms, venue=self.name)
        self.market = venue.market
        self.metadata: MetadataReader = PaperMetadata(venue.metadata)
        self.signer: RequestSigner = BinanceSigner()
        self.snapshots = venue.snapshots
        self.endpoints = venue.endpoints
        self.kept_headers = _joined(venue.kept_headers, BinanceVenue.kept_headers)
        self.capabilities = _shared(venue.capabilities)
        self.instruments_of = venue.instruments_of
        self.streams_of = venue.streams_of
        self.server_time = self._spot.server_time
        self._follow(venue)

    def _follow(self, venue: Venue) -> None:
        """Send public queries and messages of market links to the market's venue."""
        self.signer = PaperSigner(venue.signer)
        self.server_time = venue.server_time
        if isinstance(venue, HasHistory):
            self.history = venue.history
        if isinstance(venue, Resubscribes):
            self.resubscriptions = venue.resubscriptions

    def links(self) -> tuple[LinkPlan, ...]:
        """Return the links of the market, and Spot's connection for the account."""
        market = (plan for plan in self._venue.links() if plan.role is LinkRole.MARKET)
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PRIVATE_PATH))

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the market's messages, or the account's subscription."""
        return (self._spot if source == f"{self.name}.private.0" else self._venue).subscriptions(source)

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        if is_of_account(unsigned):
            return self._spot.decode_answer(unsigned, instrument_id, status, headers, payload)
        events = self._venue.decode_answer(unsigned, instrument_id, status, headers, payload)
        return tuple(_with_own_limits(each) if isinstance(each, InstrumentsReport) else each for each in events)


class CapturedVenue(PaperVenue):
    """An engine.venues.venue.Venue: a recording of `market_class`. The simulated venue answers public queries too."""

    def _follow(self, venue: Venue) -> None:
        """Request the snapshots of books of the simulated venue, which has the recorded ones."""
        self.snapshots = None if venue.snapshots is None else self._spot.snapshots

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the account's subscription: a recording needs none."""
        return self._spot.subscriptions(source)

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        return self._spot.decode_answer(unsigned, instrument_id, status, headers, payload)


def _joined(one: KeptHeaders, other: KeptHeaders) -> KeptHeaders:
    return KeptHeaders(one.names | other.names, tuple(dict.fromkeys((*one.prefixes, *other.prefixes))))


def _shared(market: OrderCapabilities) -> OrderCapabilities:
    """Return the orders that the market's venue and the simulated one have; of a venue without orders, the latter's."""
    spot = BinanceSpot.capabilities
    if not market.types:
        return replace(spot, order_lists=frozenset())
    return replace(
        spot,
        types=spot.types & market.types,
        times_in_force=spot.times_in_force & market.times_in_force,
        gtc_only=market.gtc_only,
        amend=spot.amend and market.amend,
        terms=spot.terms & market.terms,
        order_lists=spot.order_lists & market.order_lists,
    )


@cache
def paper_class(market: Any, *, is_captured: bool) -> Any:
    """Return the class of a paper account on a venue's live or captured market, under the venue's own name."""
    base = CapturedVenue if is_captured else PaperVenue
    return type(f"{base.__name__}Of{market.__name__}", (base,), {"name": market.name, "market_class": market})


def paper_refusal(venue: Venue) -> str:
    """Return why no paper account can be had on a venue's market, or ""."""
    if is_polled(venue, LinkRole.MARKET):
        return "its market is polled, and the model of a venue follows streams"
    needs = [venue.metadata.request(), *_market_subscriptions(venue)]
    if any(unsigned.signed for unsigned in needs):
        return "its market is for holders of a key, and a paper session has none"
    return ""


def _market_subscriptions(venue: Venue) -> Sequence[Unsigned]:
    plans = (plan for plan in venue.links() if plan.role is LinkRole.MARKET)
    return [unsigned for plan in plans for unsigned in venue.subscriptions(plan.source)]
