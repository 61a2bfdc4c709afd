"""The gateway of a session in virtual time, between the session and the simulated venue's core.

It sends the session's requests and returns the replies. Requests, answers and frames take their transit times. Nothing
waits: the caller reads `next_ns`, moves the venue to it and calls `advance`. Knows no file and writes no journal.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any, NamedTuple, Protocol

from engine.bodies import LinkBody, LinkEvent, RequestBody
from engine.market.layout import NEVER
from engine.record_codec import text_of
from engine.requests import FEED_PURPOSES, AnswerStatus, LinkRole, Purpose, Unsigned
from engine.sequencer import Arrival, Sequencer
from engine.sim.binance.venue_api import recorded_headers
from engine.sim.sim_venue import SimVenue
from engine.sim.wire import HttpRequest, Outgoing
from engine.state.session_state import State
from engine.step_context import Output
from engine.venues.candle_store import CandleStore, stored_answer
from engine.venues.contract_accounts import StreamTokens
from engine.venues.link_tokens import needs_token, with_token, without_token
from engine.venues.signing import SecretKey
from engine.venues.venue import Venue
from journal.record import Kind, Record, canonical

MILLION = 1_000_000


class LiveLink(Protocol):
    """A simulated venue and its current time. It may outlive its sessions."""

    sim: SimVenue
    now_ns: int

    def new_conn_id(self) -> int:
        """Return the number of a new connection."""


class Wires(NamedTuple):
    """Transit times of each direction, in nanoseconds of session time."""

    request_ns: int  # from the engine to the venue
    answer_ns: int  # an answer or a frame, from the venue to the engine
    ways_ns: tuple[int, ...] = ()  # if not empty, each delivery takes the next of these, in turn
    scatter_ppm: tuple[int, ...] = ()  # or so many millionths of the times above, in turn


class SentRequest(NamedTuple):
    """An HTTP request without an answer yet."""

    record: Record
    request: RequestBody
    sent_ns: int


class _Coming(NamedTuple):
    time_ns: int
    order: int  # unique: it breaks ties
    lines: int  # market lines that the venue had seen when this was sent
    action: Callable[[], None]
    ends: int | None = None  # the HTTP exchange that it ends: dropped once that has ended


class VirtualGateway:
    """One session's sockets in virtual time: `perform` a step's outputs, then `advance` at each `next_ns`."""

    def __init__(
        self,
        venue: LiveLink,
        sequencer: Sequencer,
        dialect: Venue,
        key: SecretKey,
        wires: Wires,
        *,
        on_market_link: Callable[[Record, RequestBody], None] | None = None,
        history: CandleStore | None = None,
    ) -> None:
        """Connect a session to a venue.

        Args:
            venue: The simulated venue and its time.
            sequencer: The session's sequencer.
            dialect: The protocol in which requests are signed and sent.
            key: The account's key.
            wires: Transit times.
            on_market_link: Handles requests about market links if a recording supplies their frames.
            history: Answers requests for bars from before the session; None: the venue does.
        """
        self.venue = venue
        self.sequencer = sequencer
        self.wires = wires
        self.closing = False
        self._dialect = dialect
        self._key = key
        self._on_market_link = on_market_link
        self._history = history
        self._coming: list[_Coming] = []
        self._order = 0
        self._ways = 0  # number of deliveries so far
        self._frames_ns = 0  # when the last frame arrives
        self.links: dict[int, str] = {}  # connection -> source
        self._asked: dict[int, SentRequest] = {}  # by the connection of their HTTP exchange
        self._tokens: dict[int, tuple[int, RequestBody]] = {}  # of requests for a token: (seq, connect request)

    @property
    def state(self) -> State:
        """The session's state."""
        return self.sequencer.state

    # ---- time

    def next_ns(self) -> int:
        """Return when something is due next."""
        due = [self.state.next_due_ns, self.coming_ns]
        venue_ns = self.venue.sim.next_due_ns
        if venue_ns is not None:
            due.append(venue_ns)
        return min(due)

    def advance(self, arrivals: Iterable[tuple[int, Callable[[], None]]] = ()) -> None:
        """Run everything due at the venue's time: its events, deliveries, the caller's arrivals and TIMERs.

        Each arrival has the number of its market line (1 is the first; 0: not a line). At one time, a delivery that the
        venue sent before that line comes before the arrival, and one that it sent after the line comes after it.
        """
        now_ns = self.venue.now_ns
        self.pass_market()
        for line, arrive in arrivals:
            self._come(now_ns, before_line=line)
            arrive()
        self._come(now_ns)
        if not self.closing and self.state.next_due_ns <= now_ns:
            self.perform(self.sequencer.fire_timers(now_ns))

    def pass_market(self) -> None:
        """Advance the venue to its time, line by line, and deliver what it sends."""
        sim, now_ns = self.venue.sim, self.venue.now_ns
        while (due_ns := sim.next_due_ns) is not None and due_ns <= now_ns:
            self._deliver(sim.advance(now_ns, lines_max=1))

    @property
    def coming_ns(self) -> int:
        """Return when the next delivery is due, to the session or to the venue."""
        coming = self._coming
        while coming and coming[0].ends is not None and coming[0].ends not in self._asked:
            heappop(coming)
        return coming[0].time_ns if coming else NEVER

    def _come(self, now_ns: int, *, before_line: int | None = None) -> None:
        coming = self._coming
        while coming and coming[0].time_ns <= now_ns and (before_line is None or coming[0].lines < before_line):
            heappop(coming).action()

    def accept(self, arrival: Arrival) -> None:
        """Step the session with an arrival and perform its outputs."""
        if not self.closing:
            self.perform(self.sequencer.accept(arrival, self.venue.now_ns).outputs)

    def later(self, wait_ns: int, action: Callable[[], None], *, ends: int | None = None) -> None:
        """Schedule an action after a wait.

        Args:
            wait_ns: The wait from now on.
            action: The action.
            ends: The HTTP exchange that the action ends; once that has ended, the action is dropped.
        """
        self._order += 1
        heappush(self._coming, _Coming(self.venue.now_ns + wait_ns, self._order, self.venue.sim.lines, action, ends))

    def _way_ns(self, constant_ns: int) -> int:
        ways, scatter = self.wires.ways_ns, self.wires.scatter_ppm
        self._ways += 1
        if ways:
            return ways[(self._ways - 1) % len(ways)]
        return constant_ns * scatter[(self._ways - 1) % len(scatter)] // MILLION if scatter else constant_ns

    # ---- outputs of the core

    def perform(self, outputs: Sequence[Output]) -> None:
        """Send the requests among the outputs of a step."""
        for output in outputs:
            record, body = output.record, output.body
            if isinstance(body, RequestBody):
                if self._on_market_link is not None and _concerns_market(self.state, body):
                    self._on_market_link(record, body)
                    continue
                self.later(self._way_ns(self.wires.request_ns), partial(self._send, record, body))
        self.closing = self.state.account.modes.closing

    def _send(self, record: Record, request: RequestBody) -> None:
        sim, now_ns = self.venue.sim, self.venue.now_ns
        match request.purpose:
            case Purpose.CONNECT:
                self._connect(record.seq, request)
            case Purpose.DISCONNECT:
                for conn_id, source in list(self.links.items()):
                    if source == request.source:
                        sim.close(conn_id, now_ns)
                        self._down(conn_id, "asked")
            case Purpose.SUBSCRIBE | Purpose.RESUBSCRIBE | Purpose.PROBE:
                assert request.unsigned is not None, "a subscription is a message"
                frame = self._dialect.signer.sign_frame(
                    request.unsigned, self._key, self._stamp_ns(request), str(record.seq)
                )
                for conn_id, source in self.links.items():
                    if source == request.source:
                        sim.frame(conn_id, frame, now_ns)
            case _ if request.mutates and self.sequencer.kernel.session.body.read_only:
                self.answered(record, request, {"outcome": AnswerStatus.NOT_SENT, "error": "read-only"}, b"")
            case Purpose.HISTORY if self._history is not None or request.unsigned is None:
                meta, body = stored_answer(self._history, self.state.market.instruments, request)
                self.answered(record, request, {**meta, "sent_ns": now_ns - self.wires.request_ns}, body)
            case _:
                self._http(record, request)

    def _stamp_ns(self, request: RequestBody) -> int:
        return self.venue.now_ns + request.clock_offset_ns

    def _connect(self, seq: int, request: RequestBody) -> None:
        assert request.link is not None, "a connect request carries its plan"
        account = self._dialect.account if needs_token(request.link.path) else None
        if isinstance(account, StreamTokens):
            conn_id = self._exchange(account.stream_token(), request.clock_offset_ns)
            self._tokens[conn_id] = (seq, request)
            self.later(request.timeout_ns, lambda: self._no_token(conn_id, "timeout"))
            return
        self._open(seq, request, request.link.path)

    def _open(self, seq: int, request: RequestBody, path: str) -> None:
        conn_id = self.venue.new_conn_id()
        self.links[conn_id] = request.source
        if not self.venue.sim.connect(conn_id, path, self.venue.now_ns):
            raise AssertionError(f"the venue has nothing at {path}")
        self.accept(Arrival(Kind.LINK, request.source, cause=seq, body=text_of(LinkBody(LinkEvent.UP))))

    def _got_token(self, out: Outgoing) -> None:
        """Open the private link for which a token was requested, or report that it stays down."""
        account = self._dialect.account
        assert isinstance(account, StreamTokens), "it requested the token"
        try:
            token = account.read_token(b"" if out.answer is None else out.answer.body)
        except ValueError:
            self._no_token(out.conn_id, "no token" if out.answer is None else f"HTTP {out.answer.status}")
            return
        seq, request = self._tokens.pop(out.conn_id)
        assert request.link is not None, "a connect request carries its plan"
        self._open(seq, request, with_token(request.link.path, token))

    def _no_token(self, conn_id: int, reason: str) -> None:
        found = self._tokens.pop(conn_id, None)
        if found is not None:
            body = text_of(LinkBody(LinkEvent.DOWN, f"no token for the private link: {reason}"))
            self.accept(Arrival(Kind.LINK, found[1].source, cause=found[0], body=body))

    def _http(self, record: Record, request: RequestBody) -> None:
        assert request.unsigned is not None, "an HTTP request is a message"
        now_ns = self.venue.now_ns
        if now_ns > request.expires_ns:
            self.answered(record, request, {"outcome": AnswerStatus.NOT_SENT, "error": "expired"}, b"")
            return
        conn_id = self._exchange(request.unsigned, request.clock_offset_ns)
        self._asked[conn_id] = SentRequest(
            record, request, now_ns - self.wires.request_ns
        )  # it left the session one transit time ago
        self.later(request.timeout_ns, lambda: self._timeout(conn_id), ends=conn_id)

    def _exchange(self, unsigned: Unsigned, clock_offset_ns: int) -> int:
        """Send a request to the venue over a new connection. Return the connection's number."""
        now_ns = self.venue.now_ns
        message = self._dialect.signer.sign_http(unsigned, self._key, now_ns + clock_offset_ns)
        conn_id = self.venue.new_conn_id()
        path, _, query = message.path_and_query.partition("?")
        http = HttpRequest(
            method=message.method,
            path=path,
            query=query.encode(),
            body=message.body,
            headers={name.lower(): value for name, value in message.headers},
        )
        self.venue.sim.http(conn_id, http, now_ns)
        return conn_id

    # ---- what comes back

    def _timeout(self, conn_id: int) -> None:
        if conn_id in self._asked:
            self._end_exchange(conn_id, {"outcome": AnswerStatus.TIMEOUT}, b"")

    def _end_exchange(self, conn_id: int, meta: dict[str, Any], body: bytes) -> None:
        record, request, sent_ns = self._asked.pop(conn_id)
        body = without_token(request.purpose, body, int(meta.get("status", 0)))
        self.answered(record, request, {**meta, "sent_ns": sent_ns}, body)

    def answered(self, record: Record, request: RequestBody, meta: dict[str, Any], body: bytes) -> None:
        """Step the session with the answer to a request."""
        kind = Kind.FEED if request.purpose in FEED_PURPOSES else Kind.BROKER
        self.accept(
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
            wait_ns = self._way_ns(self.wires.answer_ns)
            if out.frame is not None:  # frames keep their order
                self._frames_ns = max(self._frames_ns, self.venue.now_ns + wait_ns)
                wait_ns = self._frames_ns - self.venue.now_ns
            self.later(wait_ns, lambda out=out: self._arrive(out))  # type: ignore[misc]  # as above

    def _arrive(self, out: Outgoing) -> None:
        if out.conn_id in self._tokens:
            self._got_token(out)
        elif out.conn_id in self._asked:
            if out.answer is None:
                self._end_exchange(out.conn_id, {"outcome": AnswerStatus.CUT}, b"")
            else:
                headers = recorded_headers(out.answer)
                meta = {"outcome": AnswerStatus.ANSWER, "status": out.answer.status, "headers": headers}
                self._end_exchange(out.conn_id, meta, out.answer.body)
        elif out.conn_id in self.links:
            if out.close:
                self._down(out.conn_id, "closed by the venue")
            elif out.frame is not None:
                self._frame(self.links[out.conn_id], out.frame)

    def _frame(self, source: str, frame: bytes) -> None:
        link = self.state.account.links.by_source[source]
        kind = Kind.FEED if link.role is LinkRole.MARKET else Kind.BROKER
        self.accept(Arrival(kind, source, cause=link.up_seq, recv_ns=self.venue.now_ns, payload=frame))

    def _down(self, conn_id: int, reason: str) -> None:
        source = self.links.pop(conn_id)
        up_seq = self.state.account.links.by_source[source].up_seq
        self.accept(Arrival(Kind.LINK, source, cause=up_seq, body=text_of(LinkBody(LinkEvent.DOWN, reason))))

    def hang_up(self) -> None:
        """Close all connections of the session."""
        for conn_id in list(self.links):
            self.venue.sim.close(conn_id, self.venue.now_ns)
        self.links.clear()


def _concerns_market(state: State, request: RequestBody) -> bool:
    link = state.account.links.by_source.get(request.source)
    return (
        request.purpose in (Purpose.CONNECT, Purpose.DISCONNECT) and link is not None and link.role is LinkRole.MARKET
    )
