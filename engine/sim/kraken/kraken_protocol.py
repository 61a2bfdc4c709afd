"""The protocol of Kraken Spot v2, for a simulated venue."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import ApiTables
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import ApiResult, VenueApi
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.order_values import Announced, Execution, FundsChanged, SimOrderStatus, SimReport
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.faults import Faults
from engine.sim.feeds.sim_market import DepthDiff, Line, SimMarket, SimQuote, TradePrint, decode
from engine.sim.kraken import channels, words
from engine.sim.kraken.channels import Channels, data
from engine.sim.kraken.counters import VenueCounters
from engine.sim.kraken.kraken_api import KrakenApi
from engine.sim.kraken.pair_rules import FEES, rules_for
from engine.sim.kraken.refusals import refusal
from engine.sim.kraken.request import Request
from engine.sim.kraken.tokens import Tokens
from engine.sim.venue_config import VenueConfig, open_accounts, rules_of_market
from engine.sim.venue_protocol import AccountEvent

HEARTBEAT: Final = "heartbeat"  # an event that the exchange does not know
TABLES: Final = ApiTables(routes={}, ws_methods={}, known={}, later={})
UNLIMITED: Final = 1_000_000  # of counters that this venue's own interface does not use
SECOND_NS: Final = 1_000_000_000


class KrakenProtocol:
    """An engine.sim.venue_protocol.VenueProtocol with its own interface and frames."""

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = rules_of_market(config, market.symbols, rules_for)
        assets = {asset for rule in rules.values() for asset in (rule.base, rule.quote)}
        accounts, self.keys = open_accounts(config, assets, FEES, Funds)
        self.exchange = Exchange(rules, accounts)
        self.limits = RequestLimits(weight_max=UNLIMITED, order_limits=(), raw_requests_max=UNLIMITED)
        self.tables = TABLES
        self.tokens = Tokens(self.keys, {one.api_key: one.rights for one in config.accounts})
        self.counters = VenueCounters(config.weight_max) if config.weight_max else VenueCounters()
        self.channels = Channels(self.exchange, self.tokens)
        self.switches: dict[str, int] = {}  # account -> when its dead-man switch fires

    def make_api(self, faults: Faults) -> KrakenApi:
        """Return the HTTP interface."""
        return KrakenApi(self.exchange, self.tokens, self.counters, faults, self._arm)

    # ---- the venue's own clock

    def _arm(self, request: Request) -> dict[str, Any]:
        """Arm the dead-man switch of an account, or disarm it."""
        text = request.required("timeout")
        if not (text.isascii() and text.isdigit() and len(text) < 8):
            raise refusal("EGeneral:Invalid arguments:timeout")
        self.switches.pop(request.account, None)
        fires_ns = request.now_ns + int(text) * SECOND_NS
        if int(text):
            self.switches[request.account] = fires_ns
        fires = words.stamp(fires_ns) if int(text) else "0"
        return {"currentTime": words.stamp(request.now_ns), "triggerTime": fires}

    @property
    def next_timer_ns(self) -> int | None:
        """Return when a heartbeat or a switch is due."""
        beat_ns = self.channels.next_ns
        return min([*self.switches.values(), *([] if beat_ns is None else [beat_ns])], default=None)

    def run_timers(self, now_ns: int) -> None:
        """Fire the switches that are due, and send the heartbeat of this second."""
        for account, fires_ns in list(self.switches.items()):
            if fires_ns <= now_ns:
                del self.switches[account]
                for order in self.exchange.open_orders(account):
                    self.exchange.cancel(order, now_ns, cancel_client_order_id="")
        if self.channels.next_ns is not None and self.channels.beat_is_due(now_ns):
            self.exchange.announce(Announced(account="", name=HEARTBEAT, order="", time_ns=now_ns))

    def pop_ended(self) -> Sequence[int]:
        """Return nothing: this venue ends no connection by itself."""
        return ()

    # ---- connections

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return a connection: there is one path for all channels."""
        del now_ns
        return Connection(conn_id=conn_id, combined=True) if target.rstrip("/") == channels.PATH else None

    def greet(self, connection: Connection, now_ns: int) -> bytes | None:
        """Return the status that a connection begins with."""
        return self.channels.open(connection, now_ns)

    def closed(self, connection: Connection, now_ns: int) -> None:
        """Forget a connection."""
        del now_ns
        self.channels.close(connection.conn_id)

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> Sequence[bytes]:
        """Carry out a subscription, and return its acknowledgements and snapshots."""
        return self.channels.answers(connection, frame, now_ns)

    def numbered(self, connection: Connection, frame: bytes) -> bytes:
        """Return a frame with the number of its private channel."""
        return self.channels.numbered(connection.conn_id, frame)

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Refuse: orders over a websocket are not built."""
        del api, connection, values, now_ns
        raise VenueRefusalError(400, -1020, f"no method {method[:40]}")

    # ---- events

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the frames of the private channels that an event of the exchange causes."""
        del now_ns
        if isinstance(event, FundsChanged):
            return [_balance(event, *each) for each in event.balances]
        if not isinstance(event, SimReport):
            return ()
        order, fill = event.order, event.fill
        rows = _executions(event)
        told = [AccountEvent(order.account, row, "executions", event.execution) for row in rows]
        return [each if fill is None else each._replace(fill=(fill.trade_id, fill.order_id)) for each in told]

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return an entry as a frame of its channel, if the connection subscribed to that."""
        del connection
        channel = channels.PRIVATE[number]
        is_execution = "exec_type" in body
        return data(channel, "update", [body], is_private=True) if is_execution is (number == 0) else None

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return the heartbeat."""
        if isinstance(event, Announced) and event.name == HEARTBEAT:
            yield Line(now_ns, channels.HEARTBEAT, "", b'{"channel":"heartbeat"}')

    def is_derived(self, stream: str) -> bool:
        """Return True: the market's own lines are no messages of this venue."""
        del stream
        return True

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the frames of the channels that follow from a line of the market."""
        name, message = market.rules.symbol, decode(line)
        match message:
            case DepthDiff():
                for stream in (f"book-{depth}:{name}" for depth in channels.DEPTHS):
                    if stream in wanted and (frame := self.channels.book_update(stream, now_ns)) is not None:
                        yield Line(now_ns, stream, name, frame)
            case SimQuote() if (stream := f"ticker-bbo:{name}") in wanted:
                yield Line(now_ns, stream, name, data("ticker", "update", [channels.ticker(market, message)]))
            case TradePrint():
                if (stream := f"trade:{name}") in wanted:
                    yield Line(now_ns, stream, name, data("trade", "update", [channels.trade_row(name, message)]))
                if (stream := f"ticker-trades:{name}") in wanted:
                    yield Line(now_ns, stream, name, data("ticker", "update", [channels.ticker(market)]))
            case _:
                pass

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the lines of the market that the channels follow."""
        pairs = {name.partition(":")[2].lower() for name in streams if ":" in name}
        return {f"{pair}@{kind}" for pair in pairs for kind in ("depth@100ms", "bookTicker", "trade")}


def _executions(event: SimReport) -> list[dict[str, Any]]:
    """Return the entries of the channel `executions` for one report."""
    order = event.order
    match event.execution:
        case Execution.NEW if order.created_ns != order.updated_ns:  # the market reached its trigger
            triggers = {"reference": "last", "price": words.number(order.stop_price), "status": "triggered"}
            return [words.changed(order, "status", "", triggers=triggers)]
        case Execution.NEW | Execution.REJECTED:
            first = words.described(order) | {"exec_type": "pending_new", "order_status": "pending_new"}
            rows = [first, words.changed(order, "new", "new")]
            if event.execution is Execution.REJECTED:  # post only, and it would have matched
                rows.append(words.changed(order, "canceled", "canceled", reason=order.reject_reason))
            return rows
        case Execution.TRADE:
            assert event.fill is not None, "a trade has a fill"
            rows = [words.traded(order, event.fill)]
            if order.status is SimOrderStatus.FILLED:
                rows.append(words.changed(order, "filled", "filled", cum_qty=words.number(order.executed)))
            return rows
        case Execution.CANCELED | Execution.EXPIRED:
            reason, quantity = words.end_reason(order), words.number(order.executed)
            return [words.changed(order, "canceled", "canceled", cum_qty=quantity, reason=reason)]
        case Execution.REPLACED:
            status, quantity = words.STREAM_STATUSES[order.status], words.number(order.quantity)
            return [words.changed(order, "amended", status, order_qty=quantity, amended=True, reason="User requested")]
        case _:
            return []


def _balance(event: FundsChanged, asset: str, free: int, locked: int) -> AccountEvent:
    """Return the total of an asset: the channel does not say what orders hold of it."""
    row = {
        "asset": asset, "asset_class": "currency", "balance": words.number(free + locked), "wallet_type": "spot",
        "wallet_id": "main", "timestamp": words.stamp(event.time_ns),
    }  # fmt: skip
    return AccountEvent(event.account, row, "balances")
