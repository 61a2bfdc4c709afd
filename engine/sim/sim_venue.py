"""The simulated venue as a machine without socket or clock: SimVenue. See its docstring for how to drive it."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from engine.sim.binance import admin_pages, venue_messages
from engine.sim.binance.connections import Connection, control, open_connection
from engine.sim.binance.endpoints import NotYetError
from engine.sim.binance.filters import SymbolRules, rules_for
from engine.sim.binance.key_ring import KeyRing, ws_params
from engine.sim.binance.refusals import (
    VenueRefusalError,
    backend_timeout,
    banned,
    subscription_active,
    subscription_inactive,
)
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import (
    WS_METHODS,
    ApiResult,
    VenueApi,
    WsApiRequest,
    refused,
    unknown_method,
    ws_answer,
)
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_values import FundsChanged, SimReport
from engine.sim.exchange.venue_books import FOREVER_NS
from engine.sim.faults import Action, Faults, Rule, Target
from engine.sim.feeds.derived_streams import derive, is_derived
from engine.sim.feeds.pacing import FeedPacer
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.feeds.sim_market import Line, SimMarket, data_of, decode
from engine.sim.units import units
from engine.sim.wire import HttpRequest, Outgoing

MS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
STREAMED_MAX: Final = 1_000  # connections whose tally is kept, the newest, whether they are open or not
WAITING_MAX: Final = 1_000  # depth requests that wait for the capture's snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One account and its API key. Balances and fees are decimal texts."""

    api_key: str
    secret: str
    balances: dict[str, str]
    name: str = ""  # empty: the key's first 8 characters
    fee_maker: str = "0.001"
    fee_taker: str = "0.001"
    fee_tiers: tuple[tuple[str, str, str], ...] = ()  # (traded from, in quote; maker; taker), rising


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    accounts: tuple[AccountConfig, ...]
    hold_until_subscribed: bool = False
    snapshot_wait_ns_max: int = 5 * SECOND_NS  # session time the feed waits at the snapshot for someone to ask
    settle_ns: int = 0  # session time between the snapshot's answer and the next frame
    behind_ns_max: int | None = None  # session time by which the feed may be late before it goes on from now; None: any
    weight_max: int = 6_000  # per minute
    orders_10s_max: int = 100
    orders_day_max: int = 200_000
    latency_ns: int = 0  # from a request to its answer
    rules: dict[str, SymbolRules] = field(default_factory=dict)  # by symbol; the venue's own where none are given
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # symbol -> SymbolRules fields


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its symbol's snapshot."""

    conn_id: int
    symbol: str
    ws_id: msgspec.Raw | None  # None: it came over HTTP
    struck: list[Rule]


class SimVenue:
    """The venue. Whoever drives it owns time and connections.

    - Tell it what arrives, with the time: `connect` (a websocket's request target), `frame` (a text frame from the
      client), `http` (a request; `conn_id` names this one exchange), `close` (the client has gone). Connection ids are
      the caller's, all of one number range.
    - Then, and whenever `next_due_ns` has come, call `advance(now_ns)`: it moves the market and returns what is to be
      sent, in order, each item with its connection and the time it was due (never later than now). Answers come this
      way too: an `Outgoing` has a frame, an HTTP answer, or close=True; for an HTTP exchange close means that the
      socket is cut without an answer.
    - `next_due_ns` is None when nothing will happen by itself.
    - Time never falls. The same calls with the same times give the same bytes.

    Delays by faults and latency are due times. Public frames are due when their market says; private events at once.
    """

    def __init__(self, config: VenueConfig, market: SimMarket) -> None:
        rules = {symbol: config.rules.get(symbol) or rules_for(symbol) for symbol in market.symbols}
        for symbol, changes in config.overrides.items():
            rules[symbol] = msgspec.structs.replace(rules[symbol], **changes)
        accounts: dict[str, Funds] = {}
        keys: dict[str, tuple[str, str]] = {}
        for given in config.accounts:
            name = given.name or given.api_key[:8]
            keys[given.api_key] = (name, given.secret)
            amounts = {asset: units(amount) for asset, amount in given.balances.items()}
            for rule in rules.values():
                amounts.setdefault(rule.base, 0)
                amounts.setdefault(rule.quote, 0)
            accounts.setdefault(
                name, Funds(name, amounts, fee_maker=units(given.fee_maker), fee_taker=units(given.fee_taker))
            )
            accounts[name].tiers = tuple(
                (units(least), units(maker), units(taker)) for least, maker, taker in given.fee_tiers
            )
        self.exchange = Exchange(rules, accounts)
        self.faults = Faults()
        self.limits = RequestLimits(
            weight_max=config.weight_max, orders_10s_max=config.orders_10s_max, orders_day_max=config.orders_day_max
        )
        self.feed = FeedPacer(
            market,
            hold_until_subscribed=config.hold_until_subscribed,
            snapshot_wait_ns_max=config.snapshot_wait_ns_max,
            settle_ns=config.settle_ns,
            behind_ns_max=config.behind_ns_max,
        )
        self.face = VenueApi(self.exchange, KeyRing(keys), self.limits, self.faults)
        self._latency_ns = config.latency_ns
        self._connections: dict[int, Connection] = {}
        self._listeners: dict[str, tuple[Connection, ...]] = {}
        self._streamed: deque[Connection] = deque(maxlen=STREAMED_MAX)
        self._outbox: list[tuple[int, int, Outgoing]] = []
        self._sequence = 0
        self._ready: list[Outgoing] = []
        self._waiting: list[_Waiting] = []
        self._recorded = market if isinstance(market, RecordedMarket) else None
        self._now_ns = 0

    # ---- driving

    @property
    def next_due_ns(self) -> int | None:
        if self._ready:
            return self._now_ns
        feed_ns = self.feed.next_due_ns(depth_asked=bool(self._waiting))
        if not self._outbox:
            return feed_ns
        return self._outbox[0][0] if feed_ns is None else min(feed_ns, self._outbox[0][0])

    @property
    def next_sent_ns(self) -> int | None:
        """When something is to be sent that is known now, whatever the market will do."""
        if self._ready:
            return self._now_ns
        return self._outbox[0][0] if self._outbox else None

    @property
    def is_waited_for(self) -> bool:
        """Somebody asked for a depth snapshot whose place in the market is not reached."""
        return bool(self._waiting)

    @property
    def lines(self) -> int:
        """Public messages that the venue has seen."""
        return self.feed.status.lines if self._recorded is None else self.exchange.floor.records

    def touch_ns(self, before_ns: int) -> int | None:
        """When a recorded market might touch an order that rests: see RecordedMarket."""
        assert self._recorded is not None, "only what is recorded is known before it comes"
        return self._recorded.touch_ns(self.exchange, before_ns)

    def advance(self, now_ns: int, *, lines_max: int | None = None) -> list[Outgoing]:
        """Everything due by now, in order. With `lines_max`, at most so many public lines: call again for more."""
        self._run_to(now_ns, lines_max)
        ready, self._ready = self._ready, []
        return ready

    def connect(self, conn_id: int, target: str, now_ns: int) -> bool:
        """Open a websocket. False: there is nothing at that target (HTTP 404)."""
        self._run_to(now_ns)
        connection = open_connection(conn_id, target)
        if connection is None:
            return False
        self._connections[conn_id] = connection
        if not connection.ws_api:
            self._streamed.append(connection)
        self._listeners_changed(now_ns)
        return True

    def resume_private(self, conn_id: int, target: str, account: str, now_ns: int) -> None:
        """An account's connection that stood, subscribed, before this venue took over."""
        if not self.connect(conn_id, target, now_ns):
            raise ValueError(f"the venue has nothing at {target}")
        self._connections[conn_id].accounts[0] = account
        self._connections[conn_id].subscription_next = 1

    def close(self, conn_id: int, now_ns: int) -> None:
        """The client is gone: nothing more is sent to it."""
        self._run_to(now_ns)
        if self._connections.pop(conn_id, None) is not None:
            self._listeners_changed(now_ns)
        self._waiting = [waiting for waiting in self._waiting if waiting.conn_id != conn_id]

    def frame(self, conn_id: int, data: bytes, now_ns: int) -> None:
        """A text frame from a client."""
        self._run_to(now_ns)
        connection = self._connections.get(conn_id)
        if connection is None:
            return  # it was closed from our side meanwhile
        if connection.ws_api:
            self._ws_request(connection, data, now_ns)
            return
        self._send(Outgoing(conn_id, now_ns, frame=control(connection, data)))
        self._listeners_changed(now_ns)

    def http(self, conn_id: int, request: HttpRequest, now_ns: int) -> None:
        """An HTTP request; its answer comes out of `advance` for the same conn_id."""
        self._run_to(now_ns)
        if request.path.startswith("/sim/"):
            self._send(Outgoing(conn_id, now_ns, answer=admin_pages.handle(self, request, now_ns)))
            return
        struck = self.faults.on_request(((request.method, request.path),))
        result = self._before(struck, now_ns)
        if result is None and _any(struck, Action.DROP_REQUEST):
            self._send(Outgoing(conn_id, now_ns, close=True))
            return
        if result is None:
            try:
                result = self.face.rest(request, now_ns)
            except NotYetError as later:
                self._wait(_Waiting(conn_id, later.symbol, None, struck))
                return
        self._finish(conn_id, result, struck, now_ns, ws_id=None)

    # ---- faults for the admin path

    def add_fault(self, rule: Rule, now_ns: int) -> None:
        self.faults.add(rule, now_ns)
        if rule.action is Action.DISCONNECT:
            for connection in list(self._connections.values()):
                if connection.ws_api is (rule.target is Target.PRIVATE):
                    del self._connections[connection.conn_id]
                    self._send(Outgoing(connection.conn_id, now_ns, close=True))
            self._listeners_changed(now_ns)

    def inject(self, line: Line, now_ns: int) -> None:
        """A public message that no market made, as if it had been in the feed."""
        self._publish(line, now_ns)

    @property
    def streamed(self) -> list[Connection]:
        """The market connections that were made, oldest first."""
        return list(self._streamed)

    @property
    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    # ---- time and the public feed

    def _run_to(self, now_ns: int, lines_max: int | None = None) -> None:
        assert now_ns >= self._now_ns, (now_ns, self._now_ns)
        self._now_ns = now_ns
        feed, outbox, taken = self.feed, self._outbox, 0
        while lines_max is None or taken < lines_max:
            if outbox and outbox[0][0] <= now_ns:
                feed_ns = feed.next_due_ns(depth_asked=bool(self._waiting))
                if feed_ns is None or outbox[0][0] <= feed_ns:
                    self._ready.append(heappop(outbox)[2])
                    continue
            if self._recorded is not None and self._recorded.meet(self.exchange, now_ns):
                taken += 1
                self._emit_events(now_ns)
                continue
            line = feed.due(now_ns, depth_asked=bool(self._waiting))
            if line is None:
                if not outbox or outbox[0][0] > now_ns:
                    return
                continue
            taken += 1
            self._publish(line, now_ns)

    def _publish(self, line: Line, now_ns: int) -> None:
        if self._recorded is not None:
            assert self._recorded.answered is not None, "a recorded market's lines are depth answers"
            self.exchange.meet(self._recorded.answered, 0, FOREVER_NS, self._recorded.ahead_ns)
            self._answer_waiting(line, now_ns)
            self._emit_events(now_ns)
            return
        try:
            message = decode(line)
        except (msgspec.DecodeError, ValueError):
            self.feed.status.skipped += 1
            message = None
        if not line.stream:
            if message is not None:
                self.exchange.on_market(line.symbol, message, now_ns)
            self._answer_waiting(line, now_ns)
            self._emit_events(now_ns)
            return
        if not self.faults.silent(Target.MARKET, now_ns):
            for connection in self._listeners.get(line.stream, ()):
                self._stream(connection, line, line.due_ns)
        if message is not None:
            self.exchange.on_market(line.symbol, message, now_ns)
            self._emit_events(now_ns)
            if self._derived_wanted:
                self._publish_derived(line, now_ns)

    def _publish_derived(self, line: Line, now_ns: int) -> None:
        if self.faults.silent(Target.MARKET, now_ns):
            return
        for made in derive(line, self.exchange.markets[line.symbol], self._listeners, now_ns):
            for connection in self._listeners.get(made.stream, ()):
                self._stream(connection, made, now_ns)

    def _stream(self, connection: Connection, line: Line, due_ns: int) -> None:
        payload = line.payload if connection.combined else data_of(line)
        connection.sent.add(payload)
        self._ready.append(Outgoing(connection.conn_id, due_ns, frame=payload))

    def _listeners_changed(self, now_ns: int) -> None:
        listeners: dict[str, list[Connection]] = {}
        for connection in self._connections.values():
            for stream in connection.streams:
                listeners.setdefault(stream, []).append(connection)
        self._listeners = {stream: tuple(found) for stream, found in listeners.items()}
        self._derived_wanted = any(is_derived(stream) for stream in listeners)
        self.feed.subscribed(set(listeners), now_ns)

    _derived_wanted = False

    # ---- requests

    def _before(self, struck: list[Rule], now_ns: int) -> ApiResult | None:
        """What a fault answers in the venue's stead."""
        if now_ns < self.faults.banned_until_ns:
            until_ns = self.faults.banned_until_ns
            return refused(banned(until_ns // MS, -(-(until_ns - now_ns) // SECOND_NS)))
        for rule in struck:
            match rule.action:
                case Action.REJECT:
                    retry_after_s = rule.retry_after_s or None
                    refusal = VenueRefusalError(rule.status or 400, rule.code, rule.msg, retry_after_s=retry_after_s)
                    return refused(refusal)
                case Action.RATE_LIMIT:
                    seconds = rule.retry_after_s or 1
                    self.faults.banned_until_ns = now_ns + seconds * SECOND_NS
                    return refused(VenueRefusalError(429, -1003, "Too many requests queued.", retry_after_s=seconds))
                case _:
                    pass
        return None

    def _finish(
        self, conn_id: int, result: ApiResult, struck: list[Rule], now_ns: int, *, ws_id: msgspec.Raw | None
    ) -> None:
        """Send a result as the faults will have it, and the events it caused after or before it."""
        if result.status == 200 and isinstance(result.body, dict):
            for rule in struck:
                if rule.action is Action.NOT_FOUND_FOR and "clientOrderId" in result.body:
                    self.faults.hide(result.body["clientOrderId"], now_ns + rule.ms * MS)
        for rule in struck:
            if rule.action is Action.ERROR_AFTER:
                lost = backend_timeout()
                result = refused(
                    VenueRefusalError(rule.status or lost.status, rule.code or lost.code, rule.msg or lost.message)
                )
        due_ns = now_ns + self._latency_ns + _delay_ns(struck, Action.DELAY_ANSWER)
        if self.faults.events_before_answer:
            self._emit_events(now_ns)
        if _any(struck, Action.CUT_ANSWER) or (_any(struck, Action.DROP_REQUEST)):
            self._connections.pop(conn_id, None)
            self._listeners_changed(now_ns)
            self._send(Outgoing(conn_id, due_ns, close=True))
        elif ws_id is None:
            self._send(Outgoing(conn_id, due_ns, answer=self.face.dress(result, now_ns)))
        else:
            connection = self._connections.get(conn_id)
            wanted = connection is not None and connection.rate_limits
            usage = self.limits.usage(result.account or None, now_ns) if wanted else None
            self._send(Outgoing(conn_id, due_ns, frame=ws_answer(ws_id, result, usage, now_ns)))
        self._emit_events(now_ns, after_ns=0 if self.faults.events_before_answer else self._latency_ns)

    def _wait(self, waiting: _Waiting) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._send(Outgoing(waiting.conn_id, self._now_ns, close=True))
            return
        self._waiting.append(waiting)

    def _answer_waiting(self, line: Line, now_ns: int) -> None:
        """The snapshot's place is reached: who asked gets that line's bytes."""
        answered = [waiting for waiting in self._waiting if waiting.symbol == line.symbol]
        self._waiting = [waiting for waiting in self._waiting if waiting.symbol != line.symbol]
        for waiting in answered:
            result = ApiResult(status=200, body=msgspec.Raw(line.payload))
            self._finish(waiting.conn_id, result, waiting.struck, now_ns, ws_id=waiting.ws_id)

    def _ws_request(self, connection: Connection, data: bytes, now_ns: int) -> None:
        try:
            request = msgspec.json.decode(data, type=WsApiRequest)
            values = ws_params(request.params)
        except (msgspec.DecodeError, UnicodeDecodeError):
            refusal = VenueRefusalError(400, -1135, "Invalid JSON Request")
            self._finish(connection.conn_id, refused(refusal), [], now_ns, ws_id=msgspec.Raw(b"null"))
            return
        if "returnRateLimits" in values:
            connection.rate_limits = values["returnRateLimits"] == "true"
        names: tuple[tuple[str | None, str], ...] = ((None, request.method),)
        if request.method in WS_METHODS:
            names += (WS_METHODS[request.method],)
        struck = self.faults.on_request(names)
        result = self._before(struck, now_ns)
        if result is None and _any(struck, Action.DROP_REQUEST):
            self._finish(connection.conn_id, refused(backend_timeout()), struck, now_ns, ws_id=request.id)
            return
        if result is None:
            try:
                result = self._ws_result(connection, request.method, values, now_ns)
            except NotYetError as later:
                self._wait(_Waiting(connection.conn_id, later.symbol, request.id, struck))
                return
            except VenueRefusalError as refusal:
                result = refused(refusal)
        self._finish(connection.conn_id, result, struck, now_ns, ws_id=request.id)

    def _ws_result(self, connection: Connection, method: str, values: dict[str, str], now_ns: int) -> ApiResult:
        body: Any
        match method:
            case "userDataStream.subscribe.signature":
                account = self.face.authenticate(values, now_ns)
                if account in connection.accounts.values():
                    raise subscription_active()
                number = connection.subscription_next
                connection.subscription_next += 1
                connection.accounts[number] = account
                body = {"subscriptionId": number}
            case "userDataStream.unsubscribe":
                number_text = values.get("subscriptionId")
                if number_text is None:
                    connection.accounts.clear()
                elif connection.accounts.pop(int(number_text) if number_text.isdecimal() else -1, None) is None:
                    raise subscription_inactive()
                body = {}
            case "session.subscriptions":
                body = [{"subscriptionId": number} for number in connection.accounts]
            case "session.status" | "session.logout":
                body = {
                    "apiKey": None,
                    "authorizedSince": None,
                    "connectedSince": None,
                    "returnRateLimits": connection.rate_limits,
                    "serverTime": now_ns // MS,
                    "userDataStream": bool(connection.accounts),
                }
            case "session.logon" | "userDataStream.subscribe":
                raise VenueRefusalError(400, -4056, "HMAC_SHA256 API key is not supported.")
            case _ if method in WS_METHODS:
                return self.face.ws(method, values, now_ns)
            case _:
                raise unknown_method()
        return ApiResult(status=200, body=body)

    # ---- private events

    def _emit_events(self, now_ns: int, *, after_ns: int = 0) -> None:
        for event in self.exchange.take_events():
            due_ns = now_ns + after_ns
            match event:
                case SimReport():
                    if event.fill is not None and event.fill.maker and event.order.executed == event.fill.quantity:
                        self.limits.order_traded(event.order.account, now_ns)
                    self._emit(event.order.account, venue_messages.execution_report(event), now_ns, due_ns=due_ns)
                case FundsChanged():
                    self._emit(event.account, venue_messages.account_position(event), now_ns, due_ns=due_ns)

    def _emit(self, account: str, body: dict[str, Any], now_ns: int, *, due_ns: int) -> None:
        struck = self.faults.on_event(body["e"], body.get("x", ""))
        if _any(struck, Action.DROP_EVENTS) or self.faults.silent(Target.PRIVATE, now_ns):
            return
        due_ns += _delay_ns(struck, Action.DELAY_EVENTS)
        copies = 2 if _any(struck, Action.DUPLICATE_EVENTS) else 1
        for connection in self._connections.values():
            for number, subscribed in connection.accounts.items():
                if subscribed == account:
                    frame = msgspec.json.encode({"subscriptionId": number, "event": body})
                    for _ in range(copies):
                        self._send(Outgoing(connection.conn_id, due_ns, frame=frame))

    def _send(self, item: Outgoing) -> None:
        if item.due_ns <= self._now_ns:
            self._ready.append(item)
            return
        self._sequence += 1
        heappush(self._outbox, (item.due_ns, self._sequence, item))


def _any(struck: list[Rule], action: Action) -> bool:
    return bool(struck) and any(rule.action is action for rule in struck)


def _delay_ns(struck: list[Rule], action: Action) -> int:
    return sum(rule.ms for rule in struck if rule.action is action) * MS if struck else 0
