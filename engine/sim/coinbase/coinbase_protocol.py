"""The protocol of Coinbase Advanced, for a simulated venue."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import ApiTables
from engine.sim.binance.filters import SymbolRules
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import ApiResult, VenueApi
from engine.sim.coinbase import channels, words
from engine.sim.coinbase.rest_api import CoinbaseApi
from engine.sim.coinbase.tokens import TokenRing
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.order_values import Announced, Execution, SimOrder, SimReport
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.faults import Faults
from engine.sim.feeds.sim_market import DepthDiff, Line, SimMarket, TradePrint, decode
from engine.sim.units import units
from engine.sim.venue_config import VenueConfig, open_accounts, rules_of_market
from engine.sim.venue_protocol import AccountEvent

FEES: Final = ("0.0025", "0.004")  # of makers and takers
HEARTBEAT: Final = "heartbeat"  # an event that the exchange does not know
CANCEL_QUEUED: Final = "CANCEL_QUEUED"
TABLES: Final = ApiTables(routes={}, ws_methods={}, known={}, later={})
REQUESTS_MAX: Final = 1_000_000  # of the counters that this venue's own interface does not use


def rules_for(symbol: str) -> SymbolRules:
    """Return the rules of a product: those of BTC-USD under its name."""
    base, dash, quote = symbol.rpartition("-")
    if not dash:
        raise ValueError(f"{symbol!r} is no product; use one such as BTC-USD")
    return SymbolRules(
        symbol,
        base,
        quote,
        lot_size=units("0.00000001"),
        quantity_min=units("0.00000001"),
        quantity_max=units("3400"),
        market_quantity_max=0,
        notional_min=units("1"),
        notional_max=units("50000000"),
        orders_max=500,
        algo_orders_max=500,
        fee_in_quote=True,
    )


def _is_new(order: SimOrder) -> bool:
    """Return True until an order has filled, or was held and triggered."""
    return not order.is_held and order.created_ns == order.updated_ns


class CoinbaseProtocol:
    """An engine.sim.venue_protocol.VenueProtocol with its own interface and frames."""

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = rules_of_market(config, market.symbols, rules_for)
        assets = {asset for rule in rules.values() for asset in (rule.base, rule.quote)}
        accounts, self.keys = open_accounts(config, assets, FEES, Funds)
        self.exchange = Exchange(rules, accounts)
        self.limits = RequestLimits(weight_max=REQUESTS_MAX, order_limits=(), raw_requests_max=REQUESTS_MAX)
        self.tables = TABLES
        self.tokens = TokenRing(self.keys)
        self.channels = channels.Channels(self.exchange, self.tokens)
        self._rights = {one.api_key: one.rights for one in config.accounts}
        self._ended: list[int] = []
        self.api: CoinbaseApi | None = None

    def make_api(self, faults: Faults) -> CoinbaseApi:
        """Return the HTTP interface."""
        self.api = CoinbaseApi(self.exchange, self.tokens, self._rights, faults, self._announce_cancel)
        return self.api

    def _announce_cancel(self, order: SimOrder) -> None:
        """Announce that a cancel is queued: the order is still live."""
        name = words.order_id(order.order_id)
        self.exchange.announce(
            Announced(account=order.account, name=CANCEL_QUEUED, order=name, time_ns=self.channels.now_ns)
        )

    # ---- time

    @property
    def next_timer_ns(self) -> int | None:
        """Return when a heartbeat is due, or a connection that the venue ends."""
        return self.channels.next_ns

    def run_timers(self, now_ns: int) -> None:
        """Send the heartbeat of this second, and end connections."""
        self._ended += self.channels.overdue(now_ns)
        if self.channels.beat_is_due(now_ns):
            self.exchange.announce(Announced(account="", name=HEARTBEAT, order="", time_ns=now_ns))

    def pop_ended(self) -> Sequence[int]:
        """Return and forget the connections that the venue has ended."""
        ended, self._ended = self._ended, []
        return ended

    # ---- connections

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return a connection: there is one path for all channels."""
        del now_ns
        return Connection(conn_id=conn_id, combined=True) if target in ("", "/") else None

    def greet(self, connection: Connection, now_ns: int) -> bytes | None:
        """Begin to count the frames of a connection."""
        self.channels.open(connection, now_ns)
        return None

    def closed(self, connection: Connection, now_ns: int) -> None:
        """Forget a connection."""
        del now_ns
        self.channels.close(connection.conn_id)

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> Sequence[bytes]:
        """Carry out a subscription, and return its snapshots and confirmation."""
        return self.channels.answers(connection, frame, now_ns)

    def numbered(self, connection: Connection, frame: bytes) -> bytes:
        """Return a frame with its number."""
        return self.channels.numbered(connection.conn_id, frame)

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Refuse: the venue has no requests over a websocket."""
        del api, connection, values, now_ns
        raise VenueRefusalError(400, -1020, f"no method {method[:40]}")

    # ---- events

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the orders of the user channel that an event of the exchange changes. It has no balances."""
        self.channels.now_ns = max(self.channels.now_ns, now_ns)
        match event:
            case SimReport(execution=Execution.NEW, order=order) if _is_new(order):
                rows = [words.user_row(order, "PENDING"), *([words.user_row(order)] if order.terms.rests else [])]
                return [AccountEvent(order.account, row, "user", Execution.NEW) for row in rows]
            case SimReport(order=order, fill=fill):
                told = AccountEvent(order.account, words.user_row(order), "user", event.execution)
                return [told if fill is None else told._replace(fill=(fill.trade_id, fill.order_id))]
            case Announced(name=name, order=order_id) if name == CANCEL_QUEUED:
                number = words.number_of(order_id)
                assert number is not None, order_id
                order = self.exchange.orders[number]
                return [AccountEvent(event.account, words.user_row(order, CANCEL_QUEUED), "user", CANCEL_QUEUED)]
            case _:
                return ()

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return an order as a frame of the user channel."""
        del connection, number
        return channels.frame(channels.USER, [{"type": "update", "orders": [body]}], self.channels.now_ns)

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return the heartbeat."""
        if isinstance(event, Announced) and event.name == HEARTBEAT:
            yield Line(now_ns, channels.HEARTBEATS, "", channels.heartbeat(event.time_ns))

    def is_derived(self, stream: str) -> bool:
        """Return True: the market's own lines are no messages of this venue."""
        del stream
        return True

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the frames of the channels that follow from a line of the market."""
        self.channels.now_ns = max(self.channels.now_ns, now_ns)
        name, message = market.rules.symbol, decode(line)
        level2, trades, ticks = (channels.stream(channel, name) for channel in ("level2", "market_trades", "ticker"))
        if isinstance(message, DepthDiff) and level2 in wanted:
            sides = {"bid": message.bids, "offer": message.asks}
            yield Line(now_ns, level2, name, channels.book_update(name, sides, now_ns))
        if isinstance(message, TradePrint) and trades in wanted:
            row = channels.trade_row(name, message)
            yield Line(
                now_ns, trades, name, channels.frame("market_trades", [{"type": "update", "trades": [row]}], now_ns)
            )
        if isinstance(message, TradePrint) and ticks in wanted:
            yield Line(now_ns, ticks, name, channels.ticker(market, message, now_ns))

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the lines of the market that the channels follow."""
        books = {name.partition(":")[2].lower() for name in streams if ":" in name}
        return {f"{book}@{kind}" for book in books for kind in ("depth@100ms", "bookTicker", "trade")}
