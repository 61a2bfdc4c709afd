"""The protocol of Alpaca, for a simulated venue. It plays the paper account: its account frames are binary."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import msgspec

from engine.sim.alpaca import feed_connections, feed_messages
from engine.sim.alpaca.broker_api import BrokerApi
from engine.sim.alpaca.broker_exchange import CASH, BrokerExchange, BrokerFunds, rules_for
from engine.sim.alpaca.broker_orders import BrokerOrder, uuid_of
from engine.sim.alpaca.feed_connections import BrokerConnection
from engine.sim.alpaca.minute_limit import MinuteLimit
from engine.sim.alpaca.order_desk import OrderDesk
from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import ApiTables
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import ApiResult, VenueApi
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.order_values import Announced, Execution, SimReport
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.faults import Faults
from engine.sim.feeds.sim_market import Line, SimMarket
from engine.sim.units import plain
from engine.sim.venue_config import VenueConfig, open_accounts, rules_of_market
from engine.sim.venue_protocol import AccountEvent
from engine.venues.alpaca.account import STREAM
from engine.venues.timestamps import time_text

CRYPTO_FEES: Final = ("0.0015", "0.0025")  # of the first tier; stocks pay none
NO_TABLES: Final = ApiTables(routes={}, ws_methods={}, known={}, later={})


class BrokerProtocol:
    """An engine.sim.venue_protocol.VenueProtocol."""

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = rules_of_market(config, market.symbols, rules_for)
        assets = {CASH, *(rule.base for rule in rules.values())}
        accounts, self.keys = open_accounts(config, assets, CRYPTO_FEES, BrokerFunds)
        self.exchange: BrokerExchange = BrokerExchange(rules, dict(accounts))
        self.desk = OrderDesk(self.exchange)
        self.limits = RequestLimits(weight_max=1, order_limits=())  # of Binance; `limit` is this venue's
        self.limit = MinuteLimit(config.weight_max)
        self.tables = NO_TABLES
        self.binary_frames = True
        self.slot_linger_ns = 0  # how long a closed connection of a feed still holds the only place
        self._api: BrokerApi | None = None
        self._resets: set[str] = set()  # books that begin with a reset
        self._feeds: dict[tuple[str, str], BrokerConnection] = {}  # (account, feed) -> the only connection
        self._lingers: dict[tuple[str, str], int] = {}  # until when a closed one holds the place

    # ---- requests

    def make_api(self, faults: Faults) -> BrokerApi:
        """Return the HTTP interface."""
        self._api = BrokerApi(self.exchange, self.desk, self.keys, self.limit, faults)
        return self._api

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Refuse: this venue has no requests over a websocket."""
        del api, connection, values, now_ns
        return ApiResult(status=404, body={"code": 40410000, "message": f"no method {method}"})

    # ---- time

    @property
    def next_timer_ns(self) -> int | None:
        """Return when the desk has something to do, or a place of a feed becomes free."""
        due = (self.desk.next_timer_ns, *self._lingers.values())
        return min((each for each in due if each is not None), default=None)

    def run_timers(self, now_ns: int) -> None:
        """Do what is due."""
        self._lingers = {place: until_ns for place, until_ns in self._lingers.items() if until_ns > now_ns}
        self.desk.run_timers(now_ns)

    # ---- connections

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return the connection for a websocket's request target."""
        del now_ns
        return feed_connections.open_connection(conn_id, target, binary=self.binary_frames)

    def greet(self, connection: Connection, now_ns: int) -> bytes | None:
        """Return the greeting of a feed; the account's stream has none."""
        del now_ns
        assert isinstance(connection, BrokerConnection)
        return feed_connections.success("connected") if connection.feed else None

    def closed(self, connection: Connection, now_ns: int) -> None:
        """Free the place of a feed's connection, after a while."""
        assert isinstance(connection, BrokerConnection)
        place = connection.account, connection.feed
        if self._feeds.get(place) is connection:
            del self._feeds[place]
            if self.slot_linger_ns:
                self._lingers[place] = now_ns + self.slot_linger_ns

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> bytes:
        """Carry out a message of a client, and return its answer."""
        del now_ns
        assert isinstance(connection, BrokerConnection)
        message = feed_connections.read_control(frame)
        if connection.feed:
            return self._control_feed(connection, message)
        if message is not None and (pair := feed_connections.credentials(message)) is not None:
            return self._log_in(connection, *pair)
        if message is not None and message.action == "listen" and connection.account:
            streams = message.data.get("streams")
            connection.listens = tuple(map(str, streams)) if isinstance(streams, list) else ()
            return msgspec.json.encode({"stream": "listening", "data": {"streams": list(connection.listens)}})
        return msgspec.json.encode({"stream": "listening", "data": {"streams": [], "error": "invalid action"}})

    def _log_in(self, connection: BrokerConnection, key: str, secret: str) -> bytes:
        connection.account = self._account_of(key, secret)
        if connection.account:
            connection.accounts = {0: connection.account}
        status = "authorized" if connection.account else "unauthorized"
        told = {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}
        return msgspec.json.encode(told)

    def _account_of(self, key: str, secret: str) -> str:
        assert self._api is not None, "the venue makes it before a connection opens"
        try:
            return self._api.account_of(key, secret)
        except VenueRefusalError:
            return ""

    def _control_feed(self, connection: BrokerConnection, message: feed_connections.Control | None) -> bytes:
        if message is None:
            return feed_connections.error(400)
        if (pair := feed_connections.credentials(message)) is not None:
            return self._join_feed(connection, *pair)
        if not connection.account:
            return feed_connections.error(401)
        if message.action not in ("subscribe", "unsubscribe"):
            return feed_connections.error(410)
        begun = feed_connections.change_subscriptions(connection, message, set(self.exchange.markets))
        self._resets.update(stream for stream in begun if stream.startswith("orderbooks@"))
        return feed_connections.subscribed(connection)

    def _join_feed(self, connection: BrokerConnection, key: str, secret: str) -> bytes:
        """Log a connection into its feed, which has one place for each account."""
        if connection.account:
            return feed_connections.error(403)
        account = self._account_of(key, secret)
        if not account:
            return feed_connections.error(402)
        place = account, connection.feed
        if place in self._feeds or place in self._lingers:
            return feed_connections.error(406)
        connection.account = account
        self._feeds[place] = connection
        return feed_connections.success("authenticated")

    # ---- events

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the trade updates that an event causes."""
        del now_ns
        match event:
            case SimReport():
                order = self.desk.follow(event)
                if order is not None:
                    yield from self._updates(order, event)
            case Announced():
                found = self.desk.orders.get(event.account, event.order)
                assert found is not None, "the desk announces its own orders"
                yield self._update(found, event.name, event.time_ns, found.body())
            case _:
                return

    def _updates(self, order: BrokerOrder, report: SimReport) -> Iterator[AccountEvent]:
        at_ns = report.time_ns
        if report.execution is Execution.NEW:
            for name in ("pending_new", "new"):
                yield self._update(order, name, at_ns, order.body(report.order, name))
            return
        body = order.body(report.order)
        if report.fill is None:
            yield self._update(order, order.status, at_ns, body)
            return
        fill, base = report.fill, self.exchange.markets[order.new.symbol].rules.base
        more = {
            "price": plain(fill.price),
            "qty": plain(fill.quantity),
            "position_qty": plain(self.exchange.funds(order.account).total(base)),
        }
        name = "partial_fill" if report.order.leaves else "fill"
        told = self._update(order, name, at_ns, body, execution_id=uuid_of(5, report.execution_id), **more)
        yield told._replace(fill=(fill.trade_id, fill.order_id))

    @staticmethod
    def _update(order: BrokerOrder, name: str, at_ns: int, body: dict[str, Any], **more: Any) -> AccountEvent:
        told = {"event": name, "timestamp": time_text(at_ns), "order": body, **more}
        return AccountEvent(order.account, told, name=STREAM, execution=name)

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return a trade update as a frame, if the connection listens to them."""
        del number
        assert isinstance(connection, BrokerConnection)
        if STREAM not in connection.listens:
            return None
        return msgspec.json.encode({"stream": STREAM, "data": body})

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return nothing: the market carries all public account_bodies."""
        del event, now_ns
        return ()

    # ---- the market's streams

    def is_derived(self, stream: str) -> bool:
        """Return True: the market writes in another form."""
        del stream
        return True

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the subscribed lines that follow from a line of the market."""
        return feed_messages.derive(line, market, wanted, self._resets, now_ns)

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the streams of the market that these subscriptions need."""
        return feed_messages.carriers(streams)
