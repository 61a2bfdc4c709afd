"""Helpers for testing strategies and venues: a whole session in virtual time.

The real sequencer, kernel and journal against the real core of the simulated venue, byte for byte over their protocol.
Only time and sockets are ours: nothing waits, so an hour takes seconds, and the same seed gives the same session.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from engine import loading
from engine.facts import CommandBody, LinkBody, RequestBody, SessionClosing, read_fact, read_request, text_of
from engine.kernel import Kernel
from engine.model import Instrument
from engine.sequencer import Arrival, Sequencer
from engine.session import (
    MILLISECOND_NS,
    SECOND_NS,
    ClockSettings,
    EngineSettings,
    PreviousSession,
    RiskSettings,
    SessionBody,
    StrategySettings,
    VenueSettings,
)
from engine.sim.faults import Rule
from engine.sim.market_capture import CaptureMarket
from engine.sim.market_synthetic import SyntheticMarket
from engine.sim.venue import AccountConfig, SimVenue, VenueConfig
from engine.sim.wire import HttpRequest, Outgoing
from engine.state import State, brought_forward
from engine.venues.binance_spot import ApiKey, BinanceSpot
from engine.venues.binance_spot.instruments import read_exchange_info
from journal.record import Kind, Record, canonical
from journal.writer import ClosedSummary, JournalWriter

START_NS = 1_723_161_250 * SECOND_NS
API_KEY, API_SECRET = "test-key-0000000000", "test-secret-0000000000"
BALANCES = {"USDT": "1000000", "BTC": "20", "ETH": "200"}
FEED_PURPOSES = frozenset({"depth", "server_time", "exchange_info"})
KEPT_HEADERS = ("x-mbx-used-weight-1m", "x-mbx-order-count-10s", "retry-after", "content-type")


def strategy_settings(
    path: Path, cls: str, *, name: str = "", parameters: dict[str, Any] | None = None
) -> StrategySettings:
    """A strategy's file as a SESSION record holds it, the modules of its folder that it imports included."""
    known = frozenset(found.stem for found in path.parent.glob("*.py"))
    sources = {path.stem: path.read_text()}
    waiting = [path.stem]
    while waiting:
        for other in loading.siblings(sources[waiting.pop()], known):
            if other not in sources:
                sources[other] = (path.parent / f"{other}.py").read_text()
                waiting.append(other)
    return from_sources(sources, path.stem, cls, name=name, parameters=parameters)


def from_sources(
    sources: dict[str, str], module: str, cls: str, *, name: str = "", parameters: dict[str, Any] | None = None
) -> StrategySettings:
    """Settings from source text: the version is the class's own."""
    draft = StrategySettings(name or cls.lower(), "", module, cls, parameters or {}, sources)
    return loading.as_recorded(draft)


class VirtualVenue:
    """The simulated venue with the clock and the faults of a test. Outlives the sessions that trade on it."""

    def __init__(
        self,
        *,
        seed: int = 1,
        symbols: Sequence[str] = ("BTCUSDT",),
        capture: Iterable[bytes] | None = None,
        balances: dict[str, str] | None = None,
        latency_ns: int = MILLISECOND_NS,
        start_ns: int = START_NS,
    ) -> None:
        market = (
            CaptureMarket(capture)
            if capture is not None
            else SyntheticMarket(tuple(symbols), seed=seed, start_ns=start_ns)
        )
        account = AccountConfig(api_key=API_KEY, secret=API_SECRET, balances=balances or BALANCES, name="test")
        self.sim = SimVenue(
            VenueConfig(accounts=(account,), latency_ns=latency_ns, hold_until_subscribed=capture is not None), market
        )
        self.now_ns = start_ns if capture is None else getattr(market, "first_ns", start_ns) - 2 * SECOND_NS
        self.symbols = market.symbols
        self._conn_ids = 0

    def new_conn_id(self) -> int:
        self._conn_ids += 1
        return self._conn_ids

    def fault(self, **fields: Any) -> None:
        """Scripts a fault (engine/sim/faults.py lists them)."""
        self.sim.add_fault(msgspec.convert(fields, type=Rule), self.now_ns)

    def get(self, path: str) -> Any:
        """An admin question (/sim/state, /sim/status), answered at once."""
        conn_id = self.new_conn_id()
        self.sim.http(conn_id, HttpRequest(method="GET", path=path, headers={}), self.now_ns)
        for outgoing in self.sim.advance(self.now_ns):
            if outgoing.conn_id == conn_id and outgoing.answer is not None:
                return json.loads(outgoing.answer.body)
        raise AssertionError(f"{path} was not answered at once")

    def instruments(self) -> tuple[Instrument, ...]:
        conn_id = self.new_conn_id()
        self.sim.http(conn_id, HttpRequest(method="GET", path="/api/v3/exchangeInfo", headers={}), self.now_ns)
        self.now_ns += 10 * MILLISECOND_NS
        for outgoing in self.sim.advance(self.now_ns):
            if outgoing.conn_id == conn_id and outgoing.answer is not None:
                found = read_exchange_info(outgoing.answer.body)
                return tuple(each for each in found if each.symbol in self.symbols)
        raise AssertionError("exchangeInfo was not answered")


class VirtualSession:
    """One session of the engine on a VirtualVenue: `run`, then `stop` (an ordered end) or `kill` (nothing is said)."""

    def __init__(
        self,
        venue: VirtualVenue,
        folder: Path,
        *,
        strategies: Sequence[StrategySettings] = (),
        risk: RiskSettings | None = None,
        engine: EngineSettings | None = None,
        session: str = "aaaaaaaa",
        previous: "VirtualSession | None" = None,
        opening: State | None = None,
        wire_ns: int = MILLISECOND_NS // 5,
        seed: int = 7,
        dialect: str = "binance_spot",
    ) -> None:
        self.venue = venue
        self.records: list[Record] = []
        self.wire_ns = wire_ns
        self.body: SessionBody = SessionBody(
            session=session,
            started_ns=venue.now_ns,
            clock=ClockSettings(),
            seed=seed,
            host="test",
            versions={"engine": "test"},
            venues=(VenueSettings(name=dialect),),
            instruments=venue.instruments(),
            strategies=tuple(strategies),
            risk=risk or RiskSettings(),
            engine=engine or EngineSettings(),
            previous=None if previous is None else PreviousSession(previous.body.session, previous.state.seq, ""),
            opening=None if opening is None else brought_forward(opening),
        )
        self.folder = folder
        self.writer = JournalWriter.create(folder, sync=False)
        self._dialect = BinanceSpot(self.body.instruments, self.body.venues[0].recv_window_ms)
        self._key = ApiKey.hmac(API_KEY, API_SECRET)
        self._coming: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._links: dict[int, str] = {}  # connection -> source
        self._asked: dict[
            int, tuple[int, RequestBody, int]
        ] = {}  # connection of an HTTP exchange -> request, sent when
        self.closing = False
        self.sequencer = Sequencer(Kernel(self.body), self._append)
        self._perform(self.sequencer.begin(self.body))

    @classmethod
    def start(cls, venue: VirtualVenue, folder: Path, **settings: Any) -> Self:
        return cls(venue, folder, **settings)

    @property
    def state(self) -> State:
        assert self.sequencer.state is not None, "begun in the constructor"
        return self.sequencer.state

    # ---- driving

    def run(self, seconds: float = 0, *, until: Callable[["VirtualSession"], bool] | None = None) -> Self:
        """Lets session time pass, or until a condition holds (at most `seconds`, or an hour)."""
        end_ns = self.venue.now_ns + int((seconds or 3600) * SECOND_NS)
        while not self.closing and (until is None or not until(self)):
            next_ns = self._next_ns()
            if next_ns > end_ns:
                self.venue.now_ns = end_ns
                break
            self.venue.now_ns = max(next_ns, self.venue.now_ns)
            self._deliver(self.venue.sim.advance(self.venue.now_ns))
            while self._coming and self._coming[0][0] <= self.venue.now_ns:
                heappop(self._coming)[2]()
            if self.state.next_due_ns <= self.venue.now_ns:
                self._perform(self.sequencer.take_due(self.venue.now_ns))
        return self

    def command(self, command: str, reason: str = "") -> Self:
        body = text_of(CommandBody(command, "test", reason))
        self._take(Arrival(Kind.COMMAND, "control", body=body))
        return self

    def stop(self) -> ClosedSummary:
        """An ordered end: the journal is sealed."""
        self.command("stop").run(60)
        assert self.closing, "the session did not close"
        self._hang_up()
        return self.writer.close()

    def kill(self) -> Path:
        """The process is gone: nothing is sealed, nothing is said to the venue."""
        if self.records:
            self.writer.wait_durable(self.records[-1].seq, 10)
        self._hang_up()
        self.writer.abandon()
        return self.folder

    def facts(self, name: str) -> list[dict[str, Any]]:
        """The bodies of all facts of one tag so far."""
        bodies = (json.loads(record.body or "") for record in self.records if record.kind is Kind.FACT)
        return [body for body in bodies if body["fact"] == name]

    def kinds(self, kind: Kind) -> list[Record]:
        return [record for record in self.records if record.kind is kind]

    # ---- the shell's part

    def _append(self, records: Sequence[Record], urgent: bool) -> None:  # noqa: FBT001 - the sequencer's signature
        self.records.extend(records)
        self.writer.append_step(records, urgent=urgent)
        for record in records:
            if record.kind is Kind.FACT and isinstance(read_fact(record.body or ""), SessionClosing):
                self.closing = True

    def _next_ns(self) -> int:
        due = [self.state.next_due_ns]
        if self._coming:
            due.append(self._coming[0][0])
        venue_ns = self.venue.sim.next_due_ns
        if venue_ns is not None:
            due.append(venue_ns)
        return min(due)

    def _later(self, wait_ns: int, action: Callable[[], None]) -> None:
        self._order += 1
        heappush(self._coming, (self.venue.now_ns + wait_ns, self._order, action))

    def _take(self, arrival: Arrival) -> None:
        if not self.closing:
            self._perform(self.sequencer.take(arrival, self.venue.now_ns))

    def _perform(self, outputs: Sequence[Record]) -> None:
        for record in outputs:
            if record.kind is Kind.REQUEST:
                request = read_request(record.body or "")
                self._later(self.wire_ns, lambda record=record, request=request: self._send(record, request))  # type: ignore[misc]  # mypy infers no default arguments of lambdas

    def _send(self, record: Record, request: RequestBody) -> None:
        sim, now_ns = self.venue.sim, self.venue.now_ns
        match request.purpose:
            case "connect":
                assert request.link is not None, "a connect request carries its plan"
                self._connect(record.seq, request)
            case "disconnect":
                for conn_id, source in list(self._links.items()):
                    if source == request.source:
                        sim.close(conn_id, now_ns)
                        self._down(conn_id, "asked")
            case "subscribe":
                assert request.unsigned is not None, "a subscription is a message"
                now_ms = (now_ns + request.clock_offset_ns) // MILLISECOND_NS
                frame = self._dialect.sign_ws(request.unsigned, self._key, now_ms, str(record.seq))
                for conn_id, source in self._links.items():
                    if source == request.source:
                        sim.frame(conn_id, frame, now_ns)
            case _:
                self._http(record, request)

    def _connect(self, seq: int, request: RequestBody) -> None:
        assert request.link is not None, "checked by the caller"
        conn_id = self.venue.new_conn_id()
        self._links[conn_id] = request.source
        if not self.venue.sim.connect(conn_id, request.link.path, self.venue.now_ns):
            raise AssertionError(f"the venue has nothing at {request.link.path}")
        self._take(Arrival(Kind.LINK, request.source, cause=seq, body=text_of(LinkBody("up"))))

    def _http(self, record: Record, request: RequestBody) -> None:
        assert request.unsigned is not None, "an HTTP request is a message"
        now_ns = self.venue.now_ns
        if now_ns > request.expires_ns:
            self._answered(record, request, {"outcome": "not_sent", "error": "expired"}, b"")
            return
        now_ms = (now_ns + request.clock_offset_ns) // MILLISECOND_NS
        message = self._dialect.sign_rest(request.unsigned, self._key, now_ms)
        conn_id = self.venue.new_conn_id()
        self._asked[conn_id] = (record.seq, request, now_ns)
        self._records_by_conn = {**getattr(self, "_records_by_conn", {}), conn_id: record}
        parts = urlsplit(message.path_and_query)
        http = HttpRequest(
            method=message.method,
            path=parts.path,
            query=parts.query.encode(),
            body=message.body,
            headers={name.lower(): value for name, value in dict(message.headers).items()},
        )
        self.venue.sim.http(conn_id, http, now_ns)
        self._later(request.timeout_ns, lambda: self._timeout(conn_id))

    def _timeout(self, conn_id: int) -> None:
        if conn_id in self._asked:
            self._end_exchange(conn_id, {"outcome": "timeout"}, b"")

    def _end_exchange(self, conn_id: int, meta: dict[str, Any], body: bytes) -> None:
        _, request, sent_ns = self._asked.pop(conn_id)
        record = self._records_by_conn.pop(conn_id)
        self._answered(record, request, {**meta, "sent_ns": sent_ns}, body)

    def _answered(self, record: Record, request: RequestBody, meta: dict[str, Any], body: bytes) -> None:
        kind = Kind.FEED if request.purpose in FEED_PURPOSES else Kind.BROKER
        self._take(
            Arrival(
                kind,
                f"{request.venue}.rest",
                cause=record.seq,
                key=record.key,
                recv_ns=self.venue.now_ns,
                meta=canonical(meta),
                payload=body,
            )
        )

    def _deliver(self, outgoing: Sequence[Outgoing]) -> None:
        for out in outgoing:
            self._later(self.wire_ns, lambda out=out: self._arrive(out))  # type: ignore[misc]  # as above

    def _arrive(self, out: Outgoing) -> None:
        if out.conn_id in self._asked:
            if out.answer is None:
                self._end_exchange(out.conn_id, {"outcome": "cut"}, b"")
            else:
                headers = {name: value for name in KEPT_HEADERS if (value := out.answer.header(name)) is not None}
                meta = {"outcome": "answer", "status": out.answer.status, "headers": headers}
                self._end_exchange(out.conn_id, meta, out.answer.body)
        elif out.conn_id in self._links:
            if out.close:
                self._down(out.conn_id, "closed by the venue")
            elif out.frame is not None:
                self._frame(self._links[out.conn_id], out.frame)

    def _frame(self, source: str, frame: bytes) -> None:
        link = self.state.account.links.by_source[source]
        kind = Kind.FEED if link.role == "market" else Kind.BROKER
        self._take(Arrival(kind, source, cause=link.up_seq, recv_ns=self.venue.now_ns, payload=frame))

    def _down(self, conn_id: int, reason: str) -> None:
        source = self._links.pop(conn_id)
        up_seq = self.state.account.links.by_source[source].up_seq
        self._take(Arrival(Kind.LINK, source, cause=up_seq, body=text_of(LinkBody("down", reason))))

    def _hang_up(self) -> None:
        for conn_id in list(self._links):
            self.venue.sim.close(conn_id, self.venue.now_ns)
        self._links.clear()
