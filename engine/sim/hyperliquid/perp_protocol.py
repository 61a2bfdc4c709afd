"""The protocol of Hyperliquid, for a simulated venue."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import ApiTables
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import ApiResult, VenueApi, unknown_method
from engine.sim.exchange.contract_events import AccountChanged, AlgoChanged, MarkMoved, Reason
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.margin_account import IncomeType, MarginAccount
from engine.sim.exchange.order_ledger import Event
from engine.sim.exchange.order_values import Execution, SimReport
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.faults import Faults
from engine.sim.feeds.sim_market import Line, SimMarket
from engine.sim.hyperliquid import order_rows as rows
from engine.sim.hyperliquid.action_desk import ActionDesk
from engine.sim.hyperliquid.info_desk import InfoDesk
from engine.sim.hyperliquid.perp_api import PerpApi
from engine.sim.hyperliquid.perp_channels import PerpChannels, PerpConnection, frame
from engine.sim.hyperliquid.perp_rules import QUOTE, money, rules_for
from engine.sim.hyperliquid.signers import FREE_ACTIONS, AddressLimits, SignerBook
from engine.sim.venue_config import VenueConfig, open_accounts, rules_of_market
from engine.sim.venue_protocol import AccountEvent

WEIGHT_MAX: Final = 1_200  # per minute
FEES: Final = ("0.00015", "0.00045")
PATH: Final = "/ws"
NO_TABLES: Final = ApiTables(routes={}, ws_methods={}, known={}, later={})
MS: Final = 1_000_000


class PerpProtocol:
    """An engine.sim.venue_protocol.VenueProtocol, with its own interface (HasOwnApi)."""

    tables = NO_TABLES

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = rules_of_market(config, market.symbols, rules_for)
        accounts, self.keys = open_accounts(config, {QUOTE}, FEES, MarginAccount)
        self.exchange: ContractExchange = ContractExchange(
            rules, accounts, computed_marks=tuple(rules), start_ns=market.next_due_ns or 0
        )
        self.limits = RequestLimits(weight_max=config.weight_max or WEIGHT_MAX, order_limits=())
        self._wallets = SignerBook(self.keys)
        self._desk = ActionDesk(self.exchange)
        self._addresses = AddressLimits(config.orders_day_max or FREE_ACTIONS)
        self._positions: dict[tuple[str, str], int] = {}  # as the fills that were reported left them
        self._channels: PerpChannels | None = None

    def make_api(self, faults: Faults) -> PerpApi:
        """Return the HTTP interface."""
        info = InfoDesk(self.exchange, self._desk, self._wallets, self._addresses, faults)
        self._channels = PerpChannels(info, self.exchange.markets)
        return PerpApi(info, self._desk, self._wallets, limits=self.limits, addresses=self._addresses, faults=faults)

    @property
    def _streams(self) -> PerpChannels:
        assert self._channels is not None, "make_api comes first"
        return self._channels

    # ---- time

    @property
    def next_timer_ns(self) -> int | None:
        """Return when the exchange's clock or a scheduled cancel is due."""
        return min([self.exchange.next_timer_ns, *self._desk.schedules.values()])

    def run_timers(self, now_ns: int) -> None:
        """Run the exchange's timers and the scheduled cancels."""
        self.exchange.run_timers(now_ns)
        self._desk.run_schedules(now_ns)

    # ---- connections

    def open_connection(self, conn_id: int, target: str, now_ns: int) -> Connection | None:
        """Return the connection of the only target."""
        del now_ns
        return PerpConnection(conn_id=conn_id, combined=True) if target.partition("?")[0] == PATH else None

    def control(self, connection: Connection, frame: bytes, now_ns: int) -> Sequence[bytes]:
        """Carry out a control message, and return the frames that answer it."""
        assert isinstance(connection, PerpConnection)
        return self._streams.control(connection, frame, now_ns)

    def session_result(
        self, api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
    ) -> ApiResult:
        """Refuse: this venue has no requests of that kind."""
        del api, connection, method, values, now_ns
        raise unknown_method()

    def wrap(self, connection: Connection, number: int, body: dict[str, Any]) -> bytes | None:
        """Return an account's event as a frame, if the connection subscribes its channel for the account."""
        assert isinstance(connection, PerpConnection)
        account, channel = connection.accounts[number], body["channel"]
        for stream, owner in connection.users.items():
            name, _, address = stream.partition(":")
            if name == channel and owner == account:
                data = {**body["data"], "user": address} if body["names_user"] else body["data"]
                return frame("user" if channel == "userEvents" else channel, data)
        return None

    # ---- events

    def account_events(self, event: Event, now_ns: int) -> Iterable[AccountEvent]:
        """Return the messages that an event of the exchange causes on its account's channels."""
        del now_ns
        match event:
            case SimReport():
                yield from self._report_events(event)
            case AlgoChanged() if event.algo.order is None and event.algo.status in rows.ALGO_STATUSES:
                row, status = rows.order_row(event.algo.held), rows.ALGO_STATUSES[event.algo.status]
                yield self._update(event.algo.account, row, status, event.time_ns, execution="ALGO")
            case AccountChanged() if event.reason is Reason.FUNDING_FEE:
                yield from self._funding_events(event)
            case _:
                return

    def _report_events(self, report: SimReport) -> Iterator[AccountEvent]:
        order = report.order
        is_ioc = not order.terms.rests
        if report.fill is not None:
            yield from self._fill_events(report)
        if report.execution is Execution.NEW and is_ioc:
            return  # an order that never rests is reported when it has ended
        if report.execution is Execution.TRADE and is_ioc and order.is_open:
            return
        status = rows.status_of(order, report.execution)
        yield self._update(order.account, rows.order_row(order), status, report.time_ns, execution=report.execution)

    def _fill_events(self, report: SimReport) -> Iterator[AccountEvent]:
        fill, order = report.fill, report.order
        assert fill is not None, "the caller checked it"
        key = order.account, order.symbol
        before = self._positions.get(key, 0)
        self._positions[key] = before + fill.quantity * fill.side.sign
        row = rows.fill_row(fill, order, before, self._wallets.address_of[order.account])
        listed = (fill.trade_id, fill.order_id)
        for channel in ("userFills", "userEvents"):
            body = {"channel": channel, "data": {"fills": [row]}, "names_user": channel == "userFills"}
            yield AccountEvent(order.account, body, name=channel, execution="TRADE", fill=listed)

    def _update(self, account: str, row: dict[str, Any], status: str, time_ns: int, *, execution: str) -> AccountEvent:
        data = [{"order": row, "status": status, "statusTimestamp": time_ns // MS}]
        body = {"channel": "orderUpdates", "data": data, "names_user": False}
        return AccountEvent(account, body, name="orderUpdates", execution=f"{execution}")

    def _funding_events(self, event: AccountChanged) -> Iterator[AccountEvent]:
        """Yield the fundings that a wallet has just received or paid."""
        incomes = self.exchange.margin_accounts[event.account].incomes
        rates = {(each.symbol, each.time_ns): each.rate for each in self.exchange.fundings}
        for entry in incomes:
            if entry.kind is IncomeType.FUNDING_FEE and entry.time_ns == event.time_ns:
                data = {
                    "time": entry.time_ns // MS,
                    "coin": entry.symbol,
                    "usdc": money(entry.amount),
                    "szi": "0.0",
                    "fundingRate": money(rates.get((entry.symbol, entry.time_ns), 0)),
                    "nSamples": None,
                }
                body = {"channel": "userFundings", "data": {"fundings": [data]}, "names_user": True}
                yield AccountEvent(event.account, body, name="userFundings")

    def public_lines(self, event: Event, now_ns: int) -> Iterable[Line]:
        """Return the message about a mark price that was computed."""
        if isinstance(event, MarkMoved):
            coin = event.symbol
            yield Line(now_ns, f"activeAssetCtx:{coin}", coin, self._streams.context(coin))

    # ---- the market's streams

    def is_derived(self, stream: str) -> bool:
        """Return True: each channel is made of the market's lines."""
        return ":" in stream

    def derive(self, line: Line, market: SymbolMarket, wanted: Collection[str], now_ns: int) -> Iterator[Line]:
        """Make the subscribed messages that follow from a line of the market."""
        return self._streams.derive(line, market, wanted, now_ns)

    def carriers(self, streams: Collection[str]) -> set[str]:
        """Return the streams of the market that these subscriptions need."""
        coins = {stream.partition(":")[2].lower() for stream in streams}
        return {f"{coin}@{kind}" for coin in coins for kind in ("depth@100ms", "bookTicker", "trade")}
