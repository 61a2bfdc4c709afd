"""Brine: an exchange that does not exist. Everything about it differs from the venues that verbatim was built on.

Opaque order and fill ids, error codes that are words, a request counter that decays, books whose snapshot is streamed,
subscriptions and a login over the socket, a signature over the body, and other header names.
"""

from collections.abc import Mapping, Sequence

from brine.account import BrineAccount, decode_answer
from brine.fills import TimedFills
from brine.market import BrineMarket
from brine.metadata import BrineMetadata
from brine.rates import DecayingCounter
from brine.signer import BrineSigner
from engine.events import Event
from engine.market.views import Stream
from engine.model import Instrument, OrderType, TimeInForce
from engine.requests import LinkPlan, LinkRole, Transport, Unsigned
from engine.venues.order_ids import ReadableOrderIds
from engine.venues.venue import Endpoints, KeptHeaders, Network, OrderCapabilities

CHANNELS = ("book", "ticker", "trade")


class Brine:
    """An engine.venues.venue.Venue."""

    name = "brine"
    trades = True
    sim_protocol = ""
    endpoints: Mapping[Network, Endpoints] = {Network.LOCAL: Endpoints()}
    kept_headers = KeptHeaders(names=frozenset({"brine-counter", "content-type"}), prefixes=())
    capabilities = OrderCapabilities(
        types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT_MAKER}),
        times_in_force=frozenset(TimeInForce),
        dead_man_switch=True,
    )
    rates = DecayingCounter()
    fill_cursor = TimedFills()
    order_ids = ReadableOrderIds(length_max=32, punctuation="")
    signer = BrineSigner()
    metadata = BrineMetadata()
    snapshots = None  # a book begins with a snapshot on its own channel

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5_000) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.market = BrineMarket(self.instruments)
        self.account = BrineAccount()

    def links(self) -> tuple[LinkPlan, ...]:
        """Return one connection for all markets and one for the account."""
        return (
            LinkPlan(f"{self.name}.market.0", LinkRole.MARKET, "/v2/public"),
            LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, "/v2/private"),
        )

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return all instruments."""
        return self.instruments

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the streams of the three channels."""
        return (Stream.BOOK, Stream.QUOTE, Stream.TRADE)

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the channels of a link; on a private one, a login before them."""
        if source.endswith("private.0"):
            return (
                Unsigned(Transport.WS_API, "login", "", (), signed=True),
                *(_subscribe(channel) for channel in ("executions", "balances")),
            )
        symbols = ",".join(of.symbol for of in self.instruments)
        return tuple(_subscribe(channel, ("symbol", symbols)) for channel in CHANNELS)

    def server_time(self) -> Unsigned | None:
        """Return nothing: this venue has no clock, and its nonces only need to rise."""
        return None

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        return decode_answer(unsigned, instrument_id, status, headers, payload)


def _subscribe(channel: str, *params: tuple[str, str]) -> Unsigned:
    return Unsigned(Transport.WS_API, "subscribe", "", (("channel", channel), *params), signed=False)
