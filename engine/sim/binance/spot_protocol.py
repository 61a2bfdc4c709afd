"""The protocol of Binance Spot, for a simulated venue."""

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from engine.sim.binance import list_messages, stated_events, venue_messages
from engine.sim.binance.connections import Connection, control, open_connection
from engine.sim.binance.filters import rules_for
from engine.sim.binance.request_limits import RequestLimits, spot_order_limits
from engine.sim.binance.venue_api import TABLES, ApiResult, VenueApi
from engine.sim.binance.ws_session import session_result
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.order_lists import ListChanged
from engine.sim.exchange.order_values import FundingSettled, FundsChanged, SimReport
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds import derived_streams
from engine.sim.feeds.sim_market import Line, SimMarket
from engine.sim.venue_config import VenueConfig, open_accounts, rules_of_market
from engine.sim.venue_protocol import AccountEvent

WEIGHT_MAX = 6_000  # per minute
FEES = ("0.001", "0.001")
REPORT, POSITION = "executionReport", "outboundAccountPosition"


class SpotProtocol:
    """An engine.sim.venue_protocol.VenueProtocol."""

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = rules_of_market(config, market.symbols, rules_for)
        assets = {asset for rule in rules.values() for asset in (rule.base, rule.quote)}
        accounts, self.keys = open_accounts(config, assets, FEES, Funds)
        self.exchange = Exchange(rules, accounts)
        self.limits = RequestLimits(
            weight_max=config.weight_max or WEIGHT_MAX,
            order_limits=spot_order_limits(
                orders_10s_max=config.orders_10s_max or 100, orders_day_max=config.orders_day_max or 200_000
            ),
            raw_requests_max=300_000,
        )
        self.tables = TABLES
        self.stated_for = ""  # the engine's name of the venue if plain events are handed over as its own

    @property
    def next_timer_ns(self) -> int | None:
        """Return None: everything of Spot follows from its market and its requests."""
        return None

    def run_timers(self, now_ns: int) -> None:
        """Do nothing."""

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return the connection for a websocket's request target."""
        del now_ns
        return open_connection(conn_id, target)

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> bytes:
        """Carry out a control message of a stream connection, and return its answer."""
        del now_ns
        return control(connection, frame)

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Answer a request of the WebSocket API."""
        return session_result(api, connection, method, values, now_ns)

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the messages that an event of the exchange causes on its account's stream."""
        match event:
            case SimReport():
                if event.fill is not None and event.fill.maker and event.order.executed == event.fill.quantity:
                    self.limits.order_traded(event.order.account, now_ns)
                stated = stated_events.reported(self.stated_for, event) if self.stated_for else None
                if stated is None:
                    return (AccountEvent(event.order.account, venue_messages.execution_report(event)),)
                fill = None if event.fill is None else (event.fill.trade_id, event.order.order_id)
                write = partial(venue_messages.execution_report, event)
                return (AccountEvent(event.order.account, {}, REPORT, event.execution, fill, stated, write),)
            case ListChanged():
                return (AccountEvent(event.order_list.account, list_messages.list_status(event)),)
            case FundingSettled():
                return (AccountEvent(event.account, venue_messages.funding_fee(event)),)
            case FundsChanged():
                stated = stated_events.funds(event) if self.stated_for else None
                if stated is None:
                    return (AccountEvent(event.account, venue_messages.account_position(event)),)
                write = partial(venue_messages.account_position, event)
                return (AccountEvent(event.account, {}, POSITION, stated=stated, write=write),)
            case _:
                return ()

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return an account's event as a frame of a subscription."""
        del connection
        return msgspec.json.encode({"subscriptionId": number, "event": body})

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return nothing: the market carries all public messages."""
        del event, now_ns
        return ()

    def is_derived(self, stream: str) -> bool:
        """Return True if the market does not carry the stream."""
        return derived_streams.is_derived(stream)

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the subscribed lines that follow from a line of the market."""
        return derived_streams.derive(line, market, wanted, now_ns)

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the streams as they are: the market carries them, or they are derived from those that it carries."""
        return set(streams)
