"""Hyperliquid's perpetuals without socket or clock, by the fact sheet (state: October 2026, SDK 0.23.0).

One host answers POST /info and POST /exchange; accounts are read by their address, and actions are signed by a wallet
(signer.py, action_hash.py). market.py and account.py read the channels, calls.py makes the account's calls, answers.py
and error_texts.py read what comes back, metadata.py the list of perpetuals. Spot and other dexes are not built.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from engine.events import Answer, Event, Outcome, ServerTime
from engine.market.views import Stream
from engine.model import Instrument, TimeInForce
from engine.requests import LinkPlan, LinkRole, Transport, Unsigned
from engine.state.rate_budgets import FIXED_WINDOWS
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.hyperliquid.account import PerpAccount
from engine.venues.hyperliquid.calls import TYPES
from engine.venues.hyperliquid.candle_snapshots import Candles
from engine.venues.hyperliquid.capture import identify
from engine.venues.hyperliquid.cloids import Cloids
from engine.venues.hyperliquid.fill_times import MillisecondFills
from engine.venues.hyperliquid.key_rights import AccountRole
from engine.venues.hyperliquid.market import PerpMarket
from engine.venues.hyperliquid.metadata import PerpMetadata
from engine.venues.hyperliquid.perp_answers import PerpAnswers, by_http_status
from engine.venues.hyperliquid.signer import WalletSigner
from engine.venues.hyperliquid.values import FAILURES, Millis, nanoseconds, unrecognised
from engine.venues.venue import Endpoints, KeptHeaders, Network, OrderCapabilities

RECV_WINDOW_MS: Final = 5_000
SUBSCRIPTIONS_MAX: Final = 200  # of a link: the venue allows 1,000 of an address of the network (9)
PATH: Final = "/ws"
BOOK: Final = "l2Book"
CHANNELS: Final = {
    BOOK: Stream.BOOK,
    "bbo": Stream.QUOTE,
    "trades": Stream.TRADE,
    "activeAssetCtx": Stream.MARK,
}
PRIVATE_CHANNELS: Final = ("orderUpdates", "userFills", "userFundings")
PER_LINK: Final = SUBSCRIPTIONS_MAX // len(CHANNELS)


class _Timed(msgspec.Struct):
    time: Millis


class Hyperliquid:
    """An engine.venues.venue.Venue."""

    name: str = "hyperliquid"
    trades: ClassVar[bool] = True
    sim_protocol: ClassVar[str] = ""  # resimulation speaks other protocols
    endpoints: Mapping[Network, Endpoints] = {
        Network.LIVE: Endpoints(
            rest="https://api.hyperliquid.xyz",
            stream="wss://api.hyperliquid.xyz",
            private="wss://api.hyperliquid.xyz",
        ),
        Network.TESTNET: Endpoints(
            rest="https://api.hyperliquid-testnet.xyz",
            stream="wss://api.hyperliquid-testnet.xyz",
            private="wss://api.hyperliquid-testnet.xyz",
        ),
        Network.LOCAL: Endpoints(
            rest="http://127.0.0.1:9090", stream="ws://127.0.0.1:9090", private="ws://127.0.0.1:9090"
        ),  # the default of `verbatim venue`
    }
    kept_headers = KeptHeaders()
    # the switch (scheduleCancel) ends the orders of the whole account, ten times a day, above a traded volume (5)
    capabilities = OrderCapabilities(
        types=TYPES,
        times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
        native_stops=True,
        reduce_only=True,
        leverage=True,
        cancel_all=False,
        streams_balances=False,
        new_id_on_change=True,
        market_bound=Decimal("0.05"),  # as the venue's own SDK
    )
    rates = FIXED_WINDOWS
    fill_cursor = MillisecondFills()
    order_ids = Cloids()
    key_rights = AccountRole()
    history = Candles()
    snapshots = None  # each book message is a snapshot

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        self.signer = WalletSigner(recv_window_ms)
        self.metadata = PerpMetadata(self.name)
        self._market = PerpMarket(self.instruments)
        self._account = PerpAccount(self.name)
        self._answers = PerpAnswers(self.name)

    @property
    def market(self) -> PerpMarket:
        """The decoder of public messages."""
        return self._market

    @property
    def account(self) -> PerpAccount:
        """Calls and messages of the account."""
        return self._account

    def links(self) -> tuple[LinkPlan, ...]:
        """Return as many market links as the subscriptions need, and one for the account."""
        count = -(-len(self.instruments) // PER_LINK)
        market = (LinkPlan(f"{self.name}.market.{number}", LinkRole.MARKET, PATH) for number in range(count))
        return (*market, LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, PATH))

    def instruments_of(self, source: str) -> Sequence[Instrument]:
        """Return the instruments whose streams arrive over a market link."""
        number = int(source.rpartition(".")[2])
        return self.instruments[number * PER_LINK : (number + 1) * PER_LINK]

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the streams of the channels."""
        del source
        return tuple(CHANNELS.values())

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return the subscriptions of a link, one for each channel of each coin, or of the account."""
        if source == f"{self.name}.private.0":
            return tuple(_subscribe(channel, signed=True) for channel in PRIVATE_CHANNELS)
        return tuple(
            _subscribe(channel, ("coin", of.symbol)) for of in self.instruments_of(source) for channel in CHANNELS
        )

    def server_time(self) -> Unsigned | None:
        """Return the query for a book, whose time is that of the newest block: the venue has no other clock."""
        if not self.instruments:
            return None
        coin = self.instruments[0].symbol
        return Unsigned(Transport.REST, "POST", "/info", (("type", BOOK), ("coin", coin)), signed=False, weight=2)

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        del headers
        if unsigned.signed:
            return self._answers.decode(unsigned, instrument_id, status, payload)
        answer = by_http_status(status, payload, is_action=False)
        if answer.outcome is not Outcome.DONE:
            return (answer,)
        try:
            match dict(unsigned.params)["type"]:
                case "meta":
                    return (answer, self.metadata.read(payload))
                case "l2Book":
                    return (answer, ServerTime(nanoseconds(msgspec.json.decode(payload, type=_Timed).time)))
                case _:
                    msgspec.json.decode(payload)  # candles: the market's history reads them
        except FAILURES as error:
            return Answer(Outcome.UNKNOWN), unrecognised(f"answer to {unsigned.path}", error)
        return (answer,)

    @staticmethod
    def identify_capture(messages: CaptureMessages) -> CapturedMarket | None:
        """Return the market of the venue's public channels."""
        return identify(messages, "hyperliquid")


def _subscribe(channel: str, *params: tuple[str, str], signed: bool = False) -> Unsigned:
    return Unsigned(Transport.WS_API, "subscribe", "", (("type", channel), *params), signed=signed)
