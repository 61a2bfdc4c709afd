"""The simulated venue as a machine without socket or clock: SimVenue. See its docstring for how to drive it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from engine.sim.binance import admin_pages
from engine.sim.binance.connections import Connection
from engine.sim.binance.endpoints import NotYetError, OrderBody
from engine.sim.binance.key_ring import KeyRing, ws_params
from engine.sim.binance.refusals import VenueRefusalError, backend_timeout
from engine.sim.binance.spot_protocol import SpotProtocol
from engine.sim.binance.venue_api import ApiResult, VenueApi, WsApiRequest, refused, ws_answer
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.venue_books import FOREVER_NS
from engine.sim.exchange_faults import change_exchange
from engine.sim.fault_answers import answer_after_faults, delay_ns, is_struck, renumbered_depth, replaced_answer
from engine.sim.faults import Action, Faults, Rule, Target
from engine.sim.feeds.pacing import FeedPacer
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.feeds.sim_market import Line, SimMarket, data_of, decode
from engine.sim.units import units
from engine.sim.venue_config import VenueConfig, minutes_of
from engine.sim.venue_protocol import (
    AccountEvent,
    HasOwnApi,
    NumbersFrames,
    ProtocolMaker,
    SimApi,
    VenueProtocol,
    WatchesConnections,
)
from engine.sim.wire import HttpRequest, Outgoing
from engine.unwritten import StatedMessage

STREAMED_MAX: Final = 1_000  # connections whose count of frames is kept: the newest, open or closed
WAITING_MAX: Final = 1_000  # depth requests that wait for the capture's snapshot


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its symbol's snapshot."""

    conn_id: int
    symbol: str
    ws_id: msgspec.Raw | None  # None: it came over HTTP
    struck: list[Rule]


class SimVenue:
    """The simulated venue. The caller owns time and connections.

    - Report each arrival with its time: `connect` (a websocket's request target), `frame` (a client's text frame),
      `http` (a request; `conn_id` names this one exchange), `close` (the client closed). The caller numbers the
      connections.
    - Then, and each time `next_due_ns` has come, call `advance(now_ns)`. It moves the market and returns the items to
      send, in order, each with its connection and due time (never later than now). Answers come the same way: an
      `Outgoing` has a frame, an HTTP answer, or close=True; for an HTTP exchange close cuts the socket without an
      answer.
    - `next_due_ns` is None if nothing is due without an arrival.
    - Time never falls. The same calls with the same times give the same bytes.

    Delays by faults and latency are due times. Public frames are due at their market time, private events at once.
    """

    def __init__(self, config: VenueConfig, market: SimMarket, protocol: ProtocolMaker = SpotProtocol) -> None:
        self.protocol: VenueProtocol = protocol(config, market)
        self.exchange = self.protocol.exchange
        for symbol, candles in config.history.items():
            self.exchange.markets[symbol].history = minutes_of(candles)
        self.faults = Faults()
        self.limits = self.protocol.limits
        self.feed = FeedPacer(
            market,
            hold_until_subscribed=config.hold_until_subscribed,
            snapshot_wait_ns_max=config.snapshot_wait_ns_max,
            settle_ns=config.settle_ns,
            behind_ns_max=config.behind_ns_max,
        )
        rights = {one.api_key: one.rights for one in config.accounts}
        keys = KeyRing(self.protocol.keys, rights)
        self.api = VenueApi(self.exchange, keys, self.limits, self.faults, self.protocol.tables)
        self.http_api: SimApi = self.api
        if isinstance(self.protocol, HasOwnApi):
            self.http_api = self.protocol.make_api(self.faults)
        self._numbers = self.protocol if isinstance(self.protocol, NumbersFrames) else None
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
        self._frozen: frozenset[int] = frozenset()  # connections that deliver nothing more
        self._derived_wanted = False

    def hand_events(self, venue: str) -> None:
        """Hand plain answers and account events to the engine's venue of this name as its events, in place of bytes."""
        assert isinstance(self.protocol, SpotProtocol), "the other protocols write bytes"
        self.api.stated_for = self.protocol.stated_for = venue

    # ---- driving

    @property
    def next_due_ns(self) -> int | None:
        """Return when `advance` must be called next; None if nothing is due without an arrival."""
        if self._ready:
            return self._now_ns
        due_ns = self.feed.next_due_ns(depth_asked=bool(self._waiting))
        if self._outbox and (due_ns is None or self._outbox[0][0] < due_ns):
            due_ns = self._outbox[0][0]
        timer_ns = self.protocol.next_timer_ns
        return timer_ns if due_ns is None or (timer_ns is not None and timer_ns < due_ns) else due_ns

    @property
    def next_sent_ns(self) -> int | None:
        """Return when the next known item is sent, independent of the market."""
        if self._ready:
            return self._now_ns
        return self._outbox[0][0] if self._outbox else None

    def is_idle(self, until_ns: int) -> bool:
        """Return True if nothing but lines of the market is due up to a time, and these have no effect."""
        timer_ns, sent_ns = self.protocol.next_timer_ns, self.next_sent_ns
        return (
            self.exchange.is_indifferent
            and (timer_ns is None or timer_ns > until_ns)
            and (sent_ns is None or sent_ns > until_ns)
        )

    @property
    def recorded(self) -> RecordedMarket | None:
        """Return the recorded market; None if the market is another one."""
        return self._recorded

    @property
    def is_waited_for(self) -> bool:
        """Return True if a depth request waits for the market to reach the snapshot."""
        return bool(self._waiting)

    @property
    def lines(self) -> int:
        """Return the number of public messages so far."""
        if self._recorded is None:
            return self.feed.status.lines
        return self.exchange.books.records + self._recorded.deferred_records

    def touch_ns(self, before_ns: int) -> int | None:
        """Return when a recorded market might first reach a resting order (see RecordedMarket)."""
        assert self._recorded is not None, "only what is recorded is known before it comes"
        return self._recorded.touch_ns(self.exchange, before_ns)

    def advance(self, now_ns: int, *, lines_max: int | None = None) -> list[Outgoing]:
        """Return everything due by now, in order.

        With `lines_max`, at most so many public lines: call again for more.
        """
        self._run_to(now_ns, lines_max)
        ready, self._ready = self._ready, []
        return ready

    def connect(self, conn_id: int, target: str, now_ns: int) -> bool:
        """Open a websocket; return False if nothing is at that target (HTTP 404)."""
        self._run_to(now_ns)
        connection = self.protocol.open_connection(conn_id, target, now_ns)
        if connection is None:
            return False
        self._connections[conn_id] = connection
        if not connection.private:
            self._streamed.append(connection)
        self._listeners_changed(now_ns)
        if isinstance(self.protocol, WatchesConnections):
            frame = self.protocol.greet(connection, now_ns)
            if frame is not None:
                self._send(Outgoing(conn_id, now_ns, frame=frame, binary=connection.binary))
        return True

    def resume_private(self, conn_id: int, target: str, account: str, now_ns: int) -> None:
        """Restore an account's connection with its subscription, as the previous venue had it."""
        if not self.connect(conn_id, target, now_ns):
            raise ValueError(f"the venue has nothing at {target}")
        self._connections[conn_id].accounts[0] = account
        self._connections[conn_id].subscription_next = 1

    def close(self, conn_id: int, now_ns: int) -> None:
        """Drop a connection that its client closed."""
        self._run_to(now_ns)
        self._drop(conn_id, now_ns)
        self._waiting = [waiting for waiting in self._waiting if waiting.conn_id != conn_id]

    def _drop(self, conn_id: int, now_ns: int) -> None:
        """Forget a connection, if it is one."""
        connection = self._connections.pop(conn_id, None)
        if connection is None:
            return
        if isinstance(self.protocol, WatchesConnections):
            self.protocol.closed(connection, now_ns)
        self._listeners_changed(now_ns)

    def frame(self, conn_id: int, data: bytes, now_ns: int) -> None:
        """Handle a client's text frame."""
        self._run_to(now_ns)
        connection = self._connections.get(conn_id)
        if connection is None:
            return  # it was closed from our side meanwhile
        if connection.ws_api:
            self._ws_request(connection, data, now_ns)
            return
        answers = self.protocol.control(connection, data, now_ns)
        for answer in (answers,) if isinstance(answers, bytes) else answers:
            self._send(Outgoing(conn_id, now_ns, frame=answer, binary=connection.binary))
        self._listeners_changed(now_ns)
        if self._numbers is not None:
            self._emit_events(now_ns)  # a message may have ended its connection

    def http(self, conn_id: int, request: HttpRequest, now_ns: int) -> None:
        """Handle an HTTP request; `advance` returns the answer with the same conn_id."""
        self._run_to(now_ns)
        if request.path.startswith("/sim/"):
            self._send(Outgoing(conn_id, now_ns, answer=admin_pages.handle(self, request, now_ns)))
            return
        struck = self.faults.on_request(((request.method, request.path),))
        result = replaced_answer(self.faults, struck, now_ns, self.http_api.refused)
        if result is None and is_struck(struck, Action.DROP_REQUEST):
            self._send(Outgoing(conn_id, now_ns, close=True))
            return
        if result is None:
            try:
                result = renumbered_depth(self.faults, request, self.http_api.rest(request, now_ns))
            except NotYetError as later:
                self._wait(_Waiting(conn_id, later.symbol, None, struck))
                return
        self._finish(conn_id, result, struck, now_ns, ws_id=None)

    # ---- faults for the admin path

    def add_fault(self, rule: Rule, now_ns: int) -> None:
        """Add a fault rule; a disconnect takes effect at once."""
        fault = self.faults.add(rule, now_ns)
        if rule.action is Action.FREEZE:
            self._frozen = frozenset(number for number, found in self._connections.items() if found.private)
        if rule.action is Action.DISCONNECT:
            for connection in list(self._connections.values()):
                if connection.private is (rule.target is Target.PRIVATE):
                    self._drop(connection.conn_id, now_ns)
                    self._send(Outgoing(connection.conn_id, now_ns, close=True))
                    fault.struck += 1
        fault.struck += change_exchange(self.exchange, rule)

    @property
    def streamed(self) -> list[Connection]:
        """Return the market connections, oldest first, also closed ones."""
        return list(self._streamed)

    @property
    def connections(self) -> list[Connection]:
        """Return the open connections."""
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
            if self._run_timers(now_ns):
                continue
            if self._recorded is not None and self._recorded.match_due(self.exchange, now_ns):
                taken += 1
                self._emit_events(now_ns)
                continue
            line = feed.due(now_ns, depth_asked=bool(self._waiting))
            if line is None:
                if not outbox or outbox[0][0] > now_ns:
                    return
                continue
            taken += 1
            self.publish(line, now_ns)

    def _run_timers(self, now_ns: int) -> bool:
        """Run the protocol's timers that are due before the market's next line; return True if one was."""
        timer_ns = self.protocol.next_timer_ns
        if timer_ns is None or timer_ns > now_ns:
            return False
        feed_ns = self.feed.next_due_ns(depth_asked=bool(self._waiting))
        if feed_ns is not None and feed_ns < timer_ns:
            return False
        self.protocol.run_timers(timer_ns)
        for conn_id in () if self._numbers is None else self._numbers.pop_ended():
            self._drop(conn_id, now_ns)
            self._send(Outgoing(conn_id, now_ns, close=True))
        self._emit_events(now_ns)
        return True

    def move_balance(self, asset: str, amount: int, now_ns: int, *, streamed: bool) -> None:
        """Deposit into the first account, or withdraw from it, as its owner would by hand. Raises ValueError."""
        account = next(iter(self.exchange.accounts))
        self.exchange.move_balance(account, asset, amount, now_ns, streamed=streamed)
        self._emit_events(now_ns)

    def deleverage(self, wanted: admin_pages.Deleveraging, now_ns: int) -> None:
        """Close a part of the first account's position as a deleveraging. Raises ValueError."""
        exchange = self.exchange
        if not isinstance(exchange, ContractExchange):
            raise ValueError("this venue has no contracts with margin")  # noqa: TRY004  # the request is wrong, not a type
        name, owner = next(iter(exchange.margin_accounts.items()))
        held = [each for each in owner.open_positions(wanted.symbol) if each.side == wanted.side]
        quantity = units(wanted.quantity)
        if not held or not 0 < quantity <= abs(held[0].quantity):
            raise ValueError(f"{name} does not hold {wanted.quantity} of {wanted.symbol}")
        exchange.deleverage(name, held[0], quantity, units(wanted.price), now_ns)
        self._emit_events(now_ns)

    def publish(self, line: Line, now_ns: int) -> None:
        """Send a line to its subscribers and fold it, as if the market had sent it."""
        if self._recorded is not None:
            assert self._recorded.answered is not None, "a recorded market's lines are depth answers"
            self.exchange.match_rows(self._recorded.answered, 0, FOREVER_NS, self._recorded.ahead_ns)
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
        self._send_line(line, now_ns)
        if message is not None:
            self.exchange.on_market(line.symbol, message, now_ns)
            self._emit_events(now_ns)
            if self._derived_wanted:
                self._publish_derived(line, now_ns)

    def _send_line(self, line: Line, now_ns: int) -> None:
        """Send a public line to its listeners, as the faults leave it."""
        listeners = self._listeners.get(line.stream, ())
        if not self.faults.silent(Target.MARKET, now_ns):
            for sent in self.faults.strike_line(line, now_ns, is_listened=bool(listeners)):
                for connection in listeners:
                    self._stream(connection, sent, sent.due_ns)
        elif listeners:
            self.faults.count(Action.SILENCE, Target.MARKET)

    def _publish_derived(self, line: Line, now_ns: int) -> None:
        for made in self.protocol.derive(line, self.exchange.markets[line.symbol], self._listeners, now_ns):
            self._send_line(made, now_ns)

    def _stream(self, connection: Connection, line: Line, due_ns: int) -> None:
        payload = line.payload if connection.combined else data_of(line)
        connection.sent.add(payload)
        self._send(Outgoing(connection.conn_id, due_ns, frame=payload))

    def _listeners_changed(self, now_ns: int) -> None:
        listeners: dict[str, list[Connection]] = {}
        for connection in self._connections.values():
            for stream in connection.streams:
                listeners.setdefault(stream, []).append(connection)
        self._listeners = {stream: tuple(found) for stream, found in listeners.items()}
        self.faults.streams.listeners_changed(set(listeners))
        self._derived_wanted = any(self.protocol.is_derived(stream) for stream in listeners)
        self.feed.subscribed(self.protocol.carriers(listeners), now_ns)

    # ---- requests

    def _finish(
        self, conn_id: int, result: ApiResult, struck: list[Rule], now_ns: int, *, ws_id: msgspec.Raw | None
    ) -> None:
        """Send a result, changed by the faults, and the events that it caused before or after it."""
        if struck and isinstance(result.body, OrderBody):  # a fault reads and changes the JSON
            result = msgspec.structs.replace(result, body=result.body.json)
        refused = self.api.refused if ws_id is not None else self.http_api.refused
        result = answer_after_faults(self.faults, result, struck, now_ns, refused)
        due_ns = now_ns + self._latency_ns + delay_ns(struck, Action.DELAY_ANSWER)
        if self.faults.events_before_answer and self._emit_events(now_ns):
            self.faults.count(Action.EVENTS_BEFORE_ANSWER)
        if is_struck(struck, Action.CUT_ANSWER) or is_struck(struck, Action.DROP_REQUEST):
            self._drop(conn_id, now_ns)
            self._send(Outgoing(conn_id, due_ns, close=True))
        elif ws_id is None:
            stated = self.api.state(result, now_ns) if self.api.stated_for else None
            answer = self.http_api.dress(result, now_ns) if stated is None else None
            self._send(Outgoing(conn_id, due_ns, answer=answer, stated=stated))
        else:
            connection = self._connections.get(conn_id)
            wanted = connection is not None and connection.rate_limits
            usage = self.limits.usage(result.account or None, now_ns) if wanted else None
            self._send(Outgoing(conn_id, due_ns, frame=ws_answer(ws_id, result, usage, now_ns)))
        self._emit_events(now_ns, after_ns=0 if self.faults.events_before_answer else self._latency_ns)

    def _wait(self, waiting: _Waiting) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(waiting)
        else:
            self._send(Outgoing(waiting.conn_id, self._now_ns, close=True))

    def _answer_waiting(self, line: Line, now_ns: int) -> None:
        """Answer the depth requests that waited for this snapshot with the line's bytes."""
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
        if request.method in self.api.tables.ws_methods:
            names += (self.api.tables.ws_methods[request.method],)
        struck = self.faults.on_request(names)
        result = replaced_answer(self.faults, struck, now_ns)
        if result is None and is_struck(struck, Action.DROP_REQUEST):
            self._finish(connection.conn_id, refused(backend_timeout()), struck, now_ns, ws_id=request.id)
            return
        if result is None:
            try:
                result = self.protocol.session_result(self.api, connection, request.method, values, now_ns)
            except NotYetError as later:
                self._wait(_Waiting(connection.conn_id, later.symbol, request.id, struck))
                return
            except VenueRefusalError as refusal:
                result = refused(refusal)
        self._finish(connection.conn_id, result, struck, now_ns, ws_id=request.id)

    # ---- private events

    def _emit_events(self, now_ns: int, *, after_ns: int = 0) -> int:
        """Send what the events of the exchange since the last call cause; return their number."""
        events = self.exchange.pop_events()
        for event in events:
            for line in self.protocol.public_lines(event, now_ns):
                self._send_line(line, now_ns)
            for told in self.protocol.account_events(event, now_ns):
                self._emit(told, now_ns, due_ns=now_ns + after_ns)
        return len(events)

    def _emit(self, told: AccountEvent, now_ns: int, *, due_ns: int) -> None:
        told = told if told.name else _named(told)
        copies = 1
        if self.faults.scripted:
            struck = self.faults.on_event(told.name, told.execution)
            for rule in struck:
                if rule.action is Action.LIST_LATE and told.fill is not None:
                    self.faults.unlist_fill(*told.fill, rule, now_ns)
            if self.faults.silent(Target.PRIVATE, now_ns):
                self.faults.count(Action.SILENCE, Target.PRIVATE)
                return
            if is_struck(struck, Action.DROP_EVENTS):
                return
            due_ns += delay_ns(struck, Action.DELAY_EVENTS)
            copies = 2 if is_struck(struck, Action.DUPLICATE_EVENTS) else 1
        for connection in self._connections.values():
            for number, subscribed in connection.accounts.items():
                if subscribed == told.account:
                    item = self._outgoing(connection, number, told, due_ns)
                    if item is not None:
                        for _ in range(copies):
                            self._send(item)

    def _outgoing(self, connection: Connection, number: int, told: AccountEvent, due_ns: int) -> Outgoing | None:
        """Return an event for a subscription of a connection; None if the connection does not want it."""
        if told.stated is not None:
            message = StatedMessage(told.stated, partial(self._wrapped, connection, number, told.write))
            return Outgoing(connection.conn_id, due_ns, stated=message)
        frame = self.protocol.wrap(connection, number, told.body)
        return None if frame is None else Outgoing(connection.conn_id, due_ns, frame=frame, binary=connection.binary)

    def _wrapped(self, connection: Connection, number: int, write: Callable[[], dict[str, Any]]) -> bytes:
        return self.protocol.wrap(connection, number, write()) or b""

    def _send(self, item: Outgoing) -> None:
        if self._frozen and item.conn_id in self._frozen and not item.close:
            self.faults.count(Action.FREEZE)
            return
        if self._numbers is not None and item.frame is not None:
            connection = self._connections.get(item.conn_id)
            if connection is None:
                return
            item = msgspec.structs.replace(item, frame=self._numbers.numbered(connection, item.frame))
        if item.due_ns <= self._now_ns:
            self._ready.append(item)
            return
        self._sequence += 1
        heappush(self._outbox, (item.due_ns, self._sequence, item))


def _named(told: AccountEvent) -> AccountEvent:
    """Return an event with the name and the kind that Binance's messages state."""
    report = told.body["o"] if isinstance(told.body.get("o"), dict) else told.body  # of contracts, the order is inside
    execution = report.get("x", "")
    fill = (report["t"], report["i"]) if execution == "TRADE" else None
    return told._replace(name=told.body["e"], execution=execution, fill=fill)
