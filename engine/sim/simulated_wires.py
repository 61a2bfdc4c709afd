"""The wires between one session and a simulated venue: requests and answers under way, each with its transit time.

No socket and no clock: the caller moves the venue's time and calls `pass_market` and `_come`. Arrivals go to `accept`,
`_frame_arrived` and `_link_ended` of the class that knows the session: a session in virtual time (virtual_gateway.py)
or a paper account inside a live one (paper_broker.py).
"""

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any, NamedTuple, Protocol, TypeAlias

from engine.bodies import LinkBody, LinkEvent, RequestBody, source_of
from engine.market.layout import NEVER
from engine.record_codec import text_of
from engine.requests import FEED_PURPOSES, AnswerStatus, Purpose, Unsigned
from engine.sequencer import Arrival
from engine.sim.sim_venue import SimVenue
from engine.sim.wire import HttpAnswer, HttpRequest, Outgoing, StatedAnswer
from engine.step_context import Output
from engine.unwritten import StatedMessage
from engine.venues.binance_common.signer import ApiKey, stamped_params
from engine.venues.contract_accounts import StreamTokens
from engine.venues.link_tokens import frame_with_token, needs_token, with_token, without_token
from engine.venues.signing import SecretKey
from engine.venues.venue import Venue
from journal.record import Kind, Record, canonical

MILLION = 1_000_000
RequestRecord: TypeAlias = Record | Output  # live the record, in virtual time the output that it is made of


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
    lag_ns: int = 0  # the venue's clock is so far behind the session's: requests take longer by it, answers shorter


class SentRequest(NamedTuple):
    """An HTTP request without an answer yet."""

    record: RequestRecord
    request: RequestBody
    sent_ns: int


class _Coming(NamedTuple):
    time_ns: int
    order: int  # unique: it breaks ties
    lines: int  # market lines that the venue had seen when this was sent
    action: Callable[[], None]
    ends: int | None = None  # the HTTP exchange that it ends: dropped once that has ended


class SimulatedWires:
    """Requests and answers of one session on their way. Times are the venue's."""

    def __init__(
        self,
        venue: LiveLink,
        dialect: Venue,
        key: SecretKey,
        wires: Wires,
        *,
        is_read_only: bool,
        encodes: bool = True,
    ) -> None:
        """Connect a session to a venue.

        Args:
            venue: The simulated venue and its time.
            dialect: The protocol in which requests are signed and sent.
            key: The account's key.
            wires: Transit times.
            is_read_only: End requests that change the venue without sending them.
            encodes: Encode and sign requests, which the venue then parses and verifies. False: it gets their
                parameters, with the same answers.
        """
        self.venue = venue
        self.wires = wires
        self.links: dict[int, str] = {}  # connection -> source
        self._dialect = dialect
        self._key = key
        self._is_read_only = is_read_only
        self._key_headers: dict[str, str] | None = None  # of requests that are not encoded
        if not encodes and isinstance(key, ApiKey):
            self._key_headers = {name.lower(): value for name, value in key.headers()}
        self._coming: list[_Coming] = []
        self._order = 0
        self._ways = 0  # number of deliveries so far
        self._frames_ns = 0  # when the last frame arrives
        self._asked: dict[int, SentRequest] = {}  # by the connection of their HTTP exchange
        self._awaited: dict[int, tuple[int, RequestBody]] = {}  # of requests for a token: (seq, connect request)
        self._tokens: dict[str, str] = {}  # of links, by source
        self._stamped_ns = 0

    # ---- what arrives at the session

    def accept(self, arrival: Arrival) -> None:
        """Give the session an input."""
        raise NotImplementedError

    def _frame_arrived(self, source: str, frame: bytes) -> None:
        """Give the session a frame of a link."""
        raise NotImplementedError

    def _message_arrived(self, source: str, message: StatedMessage) -> None:
        """Give the session a message of a link whose bytes are made when they are read."""
        raise NotImplementedError

    def _link_ended(self, source: str, reason: str) -> None:
        """Give the session the end of a link."""
        raise NotImplementedError

    # ---- time

    @property
    def session_ns(self) -> int:
        """The session's time."""
        return self.venue.now_ns + self.wires.lag_ns

    def pass_market(self) -> None:
        """Advance the venue to its time, line by line, and deliver what it sends."""
        sim, now_ns = self.venue.sim, self.venue.now_ns
        while (due_ns := sim.next_due_ns) is not None and due_ns <= now_ns:
            if outgoing := sim.advance(now_ns, lines_max=1):
                self._deliver(outgoing)

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

    def later(self, wait_ns: int, action: Callable[[], None], *, ends: int | None = None) -> None:
        """Schedule an action after a wait.

        Args:
            wait_ns: The wait from now on.
            action: The action.
            ends: The HTTP exchange that the action ends; once that has ended, the action is dropped.
        """
        self._enter_at(self.venue.now_ns + wait_ns, action, ends=ends)

    def _enter_at(self, time_ns: int, action: Callable[[], None], *, ends: int | None = None) -> None:
        self._order += 1
        # as risk.context.answer_of: a NamedTuple without the call of its Python constructor
        coming = tuple.__new__(_Coming, (time_ns, self._order, self.venue.sim.lines, action, ends))
        heappush(self._coming, coming)

    def _way_ns(self, constant_ns: int) -> int:
        ways, scatter = self.wires.ways_ns, self.wires.scatter_ppm
        self._ways += 1
        if ways:
            return ways[(self._ways - 1) % len(ways)]
        return constant_ns * scatter[(self._ways - 1) % len(scatter)] // MILLION if scatter else constant_ns

    # ---- to the venue

    def _send(self, record: RequestRecord, request: RequestBody) -> None:
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
                frame = frame_with_token(frame, self._tokens.get(request.source, ""))
                for conn_id, source in self.links.items():
                    if source == request.source:
                        sim.frame(conn_id, frame, now_ns)
            case _ if request.mutates and self._is_read_only:
                self.answered(record, request, {"outcome": AnswerStatus.NOT_SENT, "error": "read-only"}, b"")
            case _:
                self._http(record, request)

    def _stamp_ns(self, request: RequestBody) -> int:
        """Return the venue's time now, later than every stamp before, as the shell's gateway does."""
        self._stamped_ns = max(self.venue.now_ns + request.clock_offset_ns, self._stamped_ns + 1)
        return self._stamped_ns

    def _connect(self, seq: int, request: RequestBody) -> None:
        assert request.link is not None, "a connect request carries its plan"
        account = self._dialect.account if needs_token(self._dialect, request.link) else None
        if isinstance(account, StreamTokens):
            conn_id = self._exchange(request, account.stream_token())
            self._awaited[conn_id] = (seq, request)
            self.later(request.timeout_ns, lambda: self._no_token(conn_id, "timeout"))
            return
        self._open(seq, request, request.link.path)

    def _open(self, seq: int, request: RequestBody, path: str) -> None:
        conn_id = self.venue.new_conn_id()
        self.links[conn_id] = request.source
        is_polled = request.link is not None and request.link.polled
        if not is_polled and not self.venue.sim.connect(conn_id, path, self.venue.now_ns):
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
        seq, request = self._awaited.pop(out.conn_id)
        assert request.link is not None, "a connect request carries its plan"
        self._tokens[request.source] = token
        self._open(seq, request, with_token(request.link.path, token))

    def _no_token(self, conn_id: int, reason: str) -> None:
        found = self._awaited.pop(conn_id, None)
        if found is not None:
            body = text_of(LinkBody(LinkEvent.DOWN, f"no token for the private link: {reason}"))
            self.accept(Arrival(Kind.LINK, found[1].source, cause=found[0], body=body))

    def _http(self, record: RequestRecord, request: RequestBody) -> None:
        assert request.unsigned is not None, "an HTTP request is a message"
        now_ns = self.venue.now_ns
        if now_ns > request.expires_ns:
            self.answered(record, request, {"outcome": AnswerStatus.NOT_SENT, "error": "expired"}, b"")
            return
        conn_id = self._exchange(request, request.unsigned)
        self._asked[conn_id] = SentRequest(
            record, request, now_ns - self.wires.request_ns
        )  # it left the session one transit time ago
        self.later(request.timeout_ns, lambda: self._timeout(conn_id), ends=conn_id)

    def _exchange(self, request: RequestBody, unsigned: Unsigned) -> int:
        """Send a request to the venue over a new connection. Return the connection's number."""
        conn_id = self.venue.new_conn_id()
        self.venue.sim.http(conn_id, self._http_request(request, unsigned), self.venue.now_ns)
        return conn_id

    def _http_request(self, request: RequestBody, unsigned: Unsigned) -> HttpRequest:
        stamp_ns = self._stamp_ns(request)
        if self._key_headers is not None and unsigned.signed and "?" not in unsigned.path:
            params = stamped_params(unsigned, stamp_ns // 1_000_000)
            return HttpRequest(method=unsigned.method, path=unsigned.path, headers=self._key_headers, params=params)
        message = self._dialect.signer.sign_http(unsigned, self._key, stamp_ns)
        path, _, query = message.path_and_query.partition("?")
        return HttpRequest(
            method=message.method,
            path=path,
            query=query.encode(),
            body=message.body,
            headers={name.lower(): value for name, value in message.headers},
        )

    # ---- what comes back

    def _timeout(self, conn_id: int) -> None:
        if conn_id in self._asked:
            self._end_exchange(conn_id, {"outcome": AnswerStatus.TIMEOUT}, b"")

    def _end_exchange(self, conn_id: int, meta: dict[str, Any], body: bytes) -> None:
        record, request, sent_ns = self._asked.pop(conn_id)
        body = without_token(request.purpose, body, int(meta.get("status", 0)))
        self.answered(record, request, {**meta, "sent_ns": sent_ns}, body)

    def answered(self, record: RequestRecord, request: RequestBody, meta: dict[str, Any], body: bytes) -> None:
        """Give the session the answer to a request."""
        kind = Kind.FEED if request.purpose in FEED_PURPOSES else Kind.BROKER
        self.accept(
            Arrival(
                kind,
                source_of(request),
                cause=record.seq,
                key=record.key,
                recv_ns=self.session_ns,
                meta=canonical(meta),
                payload=body,
            )
        )

    def _deliver(self, outgoing: Sequence[Outgoing]) -> None:
        wires = self.wires
        if len(outgoing) > 1 and not wires.ways_ns and not wires.scatter_ppm:
            self._ways += len(outgoing)
            self.later(max(0, wires.answer_ns - wires.lag_ns), partial(self._arrive_together, outgoing))
            return
        for out in outgoing:
            wait_ns = max(0, self._way_ns(wires.answer_ns) - wires.lag_ns)
            if out.frame is not None or isinstance(out.stated, StatedMessage):  # frames keep their order
                self._frames_ns = max(self._frames_ns, self.venue.now_ns + wait_ns)
                wait_ns = self._frames_ns - self.venue.now_ns
            self.later(wait_ns, partial(self._arrive, out))

    def _arrive_together(self, outgoing: Sequence[Outgoing]) -> None:
        """Let items arrive that left at one time and take equally long."""
        for out in outgoing:
            self._arrive(out)

    def _arrive(self, out: Outgoing) -> None:
        if out.conn_id in self._awaited:
            self._got_token(out)
        elif out.conn_id in self._asked:
            if isinstance(out.stated, StatedAnswer):
                self._end_stated(out.conn_id, out.stated)
            elif out.answer is None:
                self._end_exchange(out.conn_id, {"outcome": AnswerStatus.CUT}, b"")
            else:
                self._end_exchange(out.conn_id, self._meta(out.answer), out.answer.body)
        elif out.conn_id in self.links:
            if out.close:
                self._down(out.conn_id, "closed by the venue")
            elif isinstance(out.stated, StatedMessage):
                self._message_arrived(self.links[out.conn_id], out.stated)
            elif out.frame is not None:
                self._frame_arrived(self.links[out.conn_id], out.frame)

    def _meta(self, answer: HttpAnswer) -> dict[str, Any]:
        headers = self._dialect.kept_headers.keep(answer.headers)
        return {"outcome": AnswerStatus.ANSWER, "status": answer.status, "headers": headers}

    def _end_stated(self, conn_id: int, answer: StatedAnswer) -> None:
        """Give the session an answer whose bytes are made when they are read."""
        record, request, sent_ns = self._asked.pop(conn_id)
        message = StatedMessage(
            answer.events,
            lambda: answer.write().body,
            lambda: {**self._meta(answer.write()), "sent_ns": sent_ns},
            sent_ns,
        )
        source = source_of(request)
        self.accept(Arrival(Kind.BROKER, source, record.seq, record.key, self.session_ns, message=message))

    def _down(self, conn_id: int, reason: str) -> None:
        self._link_ended(self.links.pop(conn_id), reason)
