"""The protocol of Binance USD-M futures, for a simulated venue."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import msgspec

from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import ApiTables
from engine.sim.binance.request_limits import OrderLimit, RequestLimits
from engine.sim.binance.venue_api import ApiResult, VenueApi
from engine.sim.binance_usdm import (
    account_endpoints,
    account_messages,
    algo_endpoints,
    algo_messages,
    change_endpoints,
    market_endpoints,
    market_messages,
    order_endpoints,
    order_messages,
    routed_connections,
    settings_endpoints,
)
from engine.sim.binance_usdm.contract_filters import rules_for
from engine.sim.binance_usdm.unbuilt import UNBUILT
from engine.sim.binance_usdm.ws_methods import WS_METHODS, session_result
from engine.sim.exchange.contract_events import (
    AccountChanged,
    AlgoChanged,
    ConfigChanged,
    Liquidated,
    ListenKeyExpired,
    MarginCalled,
    MarkMoved,
)
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.margin import OpenNotional, open_notional
from engine.sim.exchange.margin_account import MarginAccount
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.order_values import SimReport
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds.sim_market import Line, SimMarket, combined
from engine.sim.venue_config import VenueConfig, open_accounts, rules_of_market
from engine.sim.venue_protocol import AccountEvent

WEIGHT_MAX: Final = 2_400  # per minute
ORDERS_10S_MAX: Final = 300
ORDERS_MINUTE_MAX: Final = 1_200
FEES: Final = ("0.0002", "0.0005")


class UsdmProtocol:
    """An engine.sim.venue_protocol.VenueProtocol."""

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = rules_of_market(config, market.symbols, rules_for)
        accounts, self.keys = open_accounts(config, {of.settles_in for of in rules.values()}, FEES, MarginAccount)
        carried = {stream.partition("@")[0].upper() for stream in market.streams if "@markPrice" in stream}
        self.exchange: ContractExchange = ContractExchange(
            rules,
            accounts,
            computed_marks=tuple(symbol for symbol in rules if symbol not in carried),
            start_ns=market.next_due_ns or 0,
        )
        self.limits = RequestLimits(
            weight_max=config.weight_max or WEIGHT_MAX,
            order_limits=(
                OrderLimit("SECOND", 10, config.orders_10s_max or ORDERS_10S_MAX),
                OrderLimit("MINUTE", 1, config.orders_minute_max or ORDERS_MINUTE_MAX),
            ),
        )
        self.listen_keys = routed_connections.ListenKeys()
        self.tables = make_tables(self.listen_keys)
        self._carried = market.streams

    # ---- time

    @property
    def next_timer_ns(self) -> int | None:
        """Return when the exchange's clock or the end of a listen key is due."""
        due = (self.exchange.next_timer_ns, self.listen_keys.next_end_ns)
        return min(each for each in due if each is not None)

    def run_timers(self, now_ns: int) -> None:
        """Run the exchange's timers, and end the listen keys that were not extended."""
        self.exchange.run_timers(now_ns)
        for key, account in self.listen_keys.pop_ended(now_ns):
            self.exchange.announce(ListenKeyExpired(account=account, key=key, time_ns=now_ns))

    # ---- connections

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return the connection for a websocket's request target. An unknown listen key opens a silent one."""
        del now_ns
        connection = routed_connections.open_routed(conn_id, target)
        if connection is not None:
            self._follow_keys(connection)
        return connection

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> bytes:
        """Carry out a control message of a stream connection, and return its answer."""
        del now_ns
        assert isinstance(connection, routed_connections.RoutedConnection)
        answer = routed_connections.control(connection, frame)
        self._follow_keys(connection)
        return answer

    def _follow_keys(self, connection: routed_connections.RoutedConnection) -> None:
        """Subscribe a private connection to the accounts of its listen keys."""
        found = [(key, self.listen_keys.account(key)) for key in connection.listen_keys]
        accounts = [account for _, account in found if account is not None]
        connection.accounts = dict(enumerate(dict.fromkeys(accounts)))

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Answer a request of the WebSocket API."""
        return session_result(api, connection, method, values, now_ns)

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return an account's event as a frame: with the listen key's name on a combined connection."""
        assert isinstance(connection, routed_connections.RoutedConnection)
        if connection.events and body["e"] not in connection.events:
            return None
        account = connection.accounts[number]
        if body["e"] == "listenKeyExpired":
            key: str | None = body["listenKey"]
        else:
            key = next((key for key in connection.listen_keys if self.listen_keys.account(key) == account), None)
        if key is None or key not in connection.listen_keys:
            return None  # its key has ended
        data = msgspec.json.encode(body)
        return combined(key, data) if connection.combined else data

    # ---- events

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the messages that an event of the exchange causes on its account's stream."""
        del now_ns
        match event:
            case SimReport():
                account, opened = event.order.account, self._open_notional(event)
                yield AccountEvent(account, order_messages.order_trade_update(event, opened))
                lite = order_messages.trade_lite(event)
                if lite is not None:
                    yield AccountEvent(account, lite)
            case AccountChanged():
                yield AccountEvent(event.account, account_messages.account_update(event))
            case MarginCalled():
                yield AccountEvent(event.account, account_messages.margin_call(event))
            case ConfigChanged():
                yield AccountEvent(event.account, account_messages.config_update(event))
            case AlgoChanged():
                yield AccountEvent(event.algo.account, algo_messages.algo_update(event))
            case ListenKeyExpired():
                yield AccountEvent(event.account, account_messages.listen_key_expired(event))
            case _:
                return

    def _open_notional(self, report: SimReport) -> OpenNotional:
        terms = order_messages.contract_terms(report.order)
        orders = self.exchange.open_orders(report.order.account, report.order.symbol)
        return open_notional(orders, terms.position_side)

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return the public messages that an event causes: computed mark prices and liquidations."""
        match event:
            case MarkMoved():
                yield from market_messages.mark_lines(event)
            case Liquidated():
                body = msgspec.json.encode(order_messages.forced_order(event))
                symbol = event.order.symbol
                for stream in (f"{symbol.lower()}@forceOrder", "!forceOrder@arr"):
                    yield Line(now_ns, stream, symbol, combined(stream, body))
            case _:
                return

    # ---- the market's streams

    def is_derived(self, stream: str) -> bool:
        """Return True if the market does not carry the stream."""
        return stream not in self._carried

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the subscribed lines that follow from a line of the market."""
        return market_messages.derive(line, market, wanted, now_ns)

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the streams of the market that these subscriptions need."""
        return market_messages.carriers(streams, self._carried)


def make_tables(keys: routed_connections.ListenKeys) -> ApiTables:
    """Return the endpoints with those of the listen keys."""
    routes = {
        **market_endpoints.ENDPOINTS,
        **order_endpoints.ENDPOINTS,
        **change_endpoints.ENDPOINTS,
        **algo_endpoints.ENDPOINTS,
        **account_endpoints.ENDPOINTS,
        **settings_endpoints.ENDPOINTS,
        **account_endpoints.listen_key_endpoints(keys),
    }
    read = {
        **market_endpoints.PARAMS,
        **order_endpoints.PARAMS,
        **change_endpoints.PARAMS,
        **algo_endpoints.PARAMS,
        **account_endpoints.PARAMS,
        **settings_endpoints.PARAMS,
        **account_endpoints.LISTEN_KEY_PARAMS,
    }
    known = {route: frozenset(read[route].split()) for route in routes}
    return ApiTables(
        routes=routes,
        ws_methods=WS_METHODS,
        known=known,
        later=dict.fromkeys(routes, frozenset()),
        unbuilt=UNBUILT,
    )
