"""Exchanges through ccxt: its signatures and parsers as pure functions, without its input and output.

`ccxt:EXCHANGE` is a venue of spot markets without streams: market data, orders and fills come by polls. pure_calls.py
turns a class of ccxt into functions; exchange_rules.py holds what was learnt about each exchange. ccxt is imported when
a session names such a venue, and no earlier. The version of ccxt that is installed
reads a journal.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

from engine.events import Event
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, PolledStream, Unsigned
from engine.state.fill_cursor import TIMED_FILLS, FillCursor
from engine.state.rate_budgets import FIXED_WINDOWS, RateModel
from engine.venues.ccxt.account import CcxtAccount, CcxtAccountByOrder
from engine.venues.ccxt.call_answers import CcxtAnswers, unrecognised
from engine.venues.ccxt.exchange_rules import CLIENT_ID, ExchangeRules, rules_of
from engine.venues.ccxt.market import NoStreams
from engine.venues.ccxt.markets import set_markets
from engine.venues.ccxt.metadata import CcxtMetadata
from engine.venues.ccxt.polled_market import EVERY_NS, CcxtHistory, CcxtPolls
from engine.venues.ccxt.pure_calls import make_exchange
from engine.venues.ccxt.signer import CcxtSigner, credential_names, with_credentials
from engine.venues.ccxt.unified_calls import call_request
from engine.venues.ccxt.weights import CallWeights
from engine.venues.optional_parts import Poll
from engine.venues.order_ids import ReadableOrderIds
from engine.venues.row_builders import RowOrigin
from engine.venues.venue import Endpoints, KeptHeaders, Network, OrderCapabilities

ANY_CREDENTIAL = "YW55IGNyZWRlbnRpYWw"  # reading an answer signs its request again, and sends nothing
NO_IDS = ReadableOrderIds(36)  # of an exchange without an account


class CcxtVenue:
    """An engine.venues.venue.Venue and PollsMarket. `venue_of` makes the class of an exchange."""

    name: str = "ccxt"
    exchange: ClassVar[str] = ""
    rules: ClassVar[ExchangeRules]
    bare: ClassVar[Any]  # the exchange of ccxt, without markets and credentials
    trades: bool = False
    sim_protocol: ClassVar[str] = ""  # a model follows streams: no paper account and no resimulation
    endpoints: Mapping[Network, Endpoints] = {}
    capabilities: OrderCapabilities
    kept_headers = KeptHeaders()
    rates: RateModel = FIXED_WINDOWS
    fill_cursor: FillCursor = TIMED_FILLS
    order_ids: ReadableOrderIds = NO_IDS
    snapshots = None

    def __init__(self, instruments: Sequence[Instrument], recv_window_ms: int = 5_000) -> None:
        self.instruments = tuple(instruments)
        self.recv_window_ms = recv_window_ms
        rules = self.rules
        exchange = copy.copy(self.bare)
        exchange.options = {**exchange.options}
        if "recvWindow" in exchange.options:
            exchange.options["recvWindow"] = recv_window_ms
        self.metadata = CcxtMetadata(exchange, self.name, rules)
        set_markets(exchange, self.instruments, rules)
        reader = copy.copy(exchange)
        names = credential_names(exchange, needs_account_id=rules.needs_account_id)
        with_credentials(reader, dict.fromkeys(names, ANY_CREDENTIAL))
        weights = CallWeights(reader)
        host = urlsplit(self.endpoints[Network.LIVE].rest).netloc
        account = rules.account
        self.signer = CcxtSigner(exchange, names, host, account.place_by if account else CLIENT_ID)
        self.market = NoStreams()
        self._polls = CcxtPolls(rules, weights, self.instruments)
        self._answers = CcxtAnswers(reader, exchange, self.name, self.instruments, rules)
        self.history = CcxtHistory(exchange, weights, self._answers, self.instruments)
        if account is not None:
            by_order = exchange.has.get("fetchOrderTrades") is True
            made = CcxtAccountByOrder if by_order else CcxtAccount
            self.account: CcxtAccount = made(account, weights, self.instruments)

    def links(self) -> tuple[LinkPlan, ...]:
        """Return a market link and, with an account, one for it, both without a socket."""
        market = LinkPlan(f"{self.name}.market.0", LinkRole.MARKET, "", polled=True)
        private = LinkPlan(f"{self.name}.private.0", LinkRole.PRIVATE, "", polled=True)
        return (market, private) if self.trades else (market,)

    def instruments_of(self, source: str) -> tuple[Instrument, ...]:
        """Return all instruments."""
        return self.instruments

    def streams_of(self, source: str) -> tuple[Stream, ...]:
        """Return the streams that are polled."""
        return tuple(EVERY_NS)

    def subscriptions(self, source: str) -> tuple[Unsigned, ...]:
        """Return nothing: no link has a socket."""
        return ()

    def polls(self, instrument: Instrument) -> tuple[Poll, ...]:
        """Return the polls of quote, book and trades."""
        return self._polls.polls(instrument)

    def decode_poll(self, payload: bytes, poll: PolledStream, seq: int, time_ns: int) -> Any:
        """Return the rows of an answer. Never raises."""
        found = [(i, of) for i, of in enumerate(self.instruments) if of.id == poll.instrument]
        if not found:
            return (unrecognised(f"poll of {poll.key}", LookupError("no instrument of this session")),)
        i, of = found[0]
        return self._polls.decode(self._answers, payload, poll, RowOrigin(i, of, seq, time_ns, 0))

    def server_time(self) -> Unsigned | None:
        """Return the query for the exchange's clock, or None if ccxt has none."""
        return call_request("fetch_time", (), weight=1) if self.bare.has.get("fetchTime") is True else None

    def decode_answer(
        self, unsigned: Unsigned, instrument_id: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports. `decode_poll` reads market data."""
        return self._answers.read(unsigned, instrument_id, status, headers, payload)


@cache
def venue_of(exchange: str) -> type[CcxtVenue]:
    """Return the class of an exchange, the function of the family `ccxt`.

    Raises:
        ImportError: ccxt is not installed.
        LookupError: ccxt does not know the exchange, or states no address for it.

    """
    rules = rules_of(exchange)
    bare = make_exchange(exchange, rules.options, rules.assumed)
    name = f"ccxt_{exchange}"
    live = CcxtMetadata(bare, name, rules).address()
    if not live.startswith("https://"):
        raise LookupError(f"ccxt requests no description of markets from {exchange}")
    endpoints = {Network.LIVE: Endpoints(rest=live), Network.LOCAL: Endpoints(rest="http://127.0.0.1:9090")}
    if rules.testnet:
        endpoints[Network.TESTNET] = Endpoints(rest=rules.testnet)
    account = rules.account
    capabilities = OrderCapabilities(
        types=account.types if account else frozenset(),
        times_in_force=account.times_in_force if account else frozenset(),
        lookup_by_client_id=account is not None and bool(account.query_by),
        cancel_all=account is not None and account.cancels_all,
    )
    members = {
        "__module__": __name__,
        "name": name,
        "exchange": exchange,
        "rules": rules,
        "bare": bare,
        "trades": account is not None,
        "endpoints": endpoints,
        "capabilities": capabilities,
        "order_ids": account.ids if account else NO_IDS,
    }
    return type(f"Ccxt{exchange.capitalize()}", (CcxtVenue,), members)
