"""The gateway of a session in virtual time, between the session and the simulated venue's core.

It sends the session's requests and returns the replies. Requests, answers and frames take their transit times. Nothing
waits: the caller reads `next_ns`, moves the venue to it and calls `advance`. Knows no file and writes no journal.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from engine.bodies import LinkBody, LinkEvent, RequestBody
from engine.record_codec import text_of
from engine.requests import AnswerStatus, LinkRole, Purpose
from engine.sequencer import Arrival, Sequencer
from engine.sim.simulated_wires import LiveLink, RequestRecord, SimulatedWires, Wires
from engine.state.session_state import State
from engine.step_context import Output
from engine.unwritten import StatedMessage
from engine.venues.candle_store import CandleStore, stored_answer
from engine.venues.signing import SecretKey
from engine.venues.venue import Venue
from journal.record import Kind

UNREACHABLE = "unreachable"


class VirtualGateway(SimulatedWires):
    """One session's sockets in virtual time: `perform` a step's outputs, then `advance` at each `next_ns`."""

    def __init__(
        self,
        venue: LiveLink,
        sequencer: Sequencer,
        dialect: Venue,
        key: SecretKey,
        wires: Wires,
        *,
        on_market_link: Callable[[Output, RequestBody], None] | None = None,
        history: CandleStore | None = None,
        encodes: bool = True,
        hands_events: bool = False,
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
            encodes: As of SimulatedWires.
            hands_events: The venue hands over plain answers and account events as the engine's events. Their bytes are
                made when they are read.
        """
        if hands_events:
            venue.sim.hand_events(dialect.name)
        session = sequencer.kernel.session
        is_watched = dialect.name in session.accounts.known - session.accounts.trading
        super().__init__(venue, dialect, key, wires, is_read_only=session.body.read_only or is_watched, encodes=encodes)
        self.sequencer = sequencer
        self.closing = False
        self._on_market_link = on_market_link
        self._history = history
        self.peers: dict[str, VirtualGateway] = {}  # of a session of several venues: by venue, with this one
        self._is_reachable = True

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

    # ---- outputs of the core

    def perform(self, outputs: Sequence[Output]) -> None:
        """Send the requests among the outputs of a step."""
        for output in outputs:
            body = output.body
            if isinstance(body, RequestBody):
                self.peers.get(body.venue, self).perform_request(output, body)
        for gateway in self.peers.values() or (self,):
            gateway.closing = self.state.account.modes.closing

    def perform_request(self, output: Output, request: RequestBody) -> None:
        """Send a request to this venue."""
        if self._on_market_link is not None and _concerns_market(self.state, request):
            self._on_market_link(output, request)
            return
        self.later(self._way_ns(self.wires.request_ns), partial(self._send, output, request))

    def set_reachable(self, *, is_reachable: bool) -> None:
        """Cut the network between the session and the venue, or restore it."""
        self._is_reachable = is_reachable
        if is_reachable:
            return
        for conn_id in list(self.links):
            self.venue.sim.close(conn_id, self.venue.now_ns)
            self._down(conn_id, UNREACHABLE)
        for conn_id in list(self._asked):
            self._end_exchange(conn_id, {"outcome": AnswerStatus.CUT}, b"")

    def _send(self, record: RequestRecord, request: RequestBody) -> None:
        if request.purpose is Purpose.HISTORY and (self._history is not None or request.unsigned is None):
            meta, body = stored_answer(self._history, self.state.market.instruments, request)
            self.answered(record, request, {**meta, "sent_ns": self.venue.now_ns - self.wires.request_ns}, body)
            return
        super()._send(record, request)

    def _connect(self, seq: int, request: RequestBody) -> None:
        if self._is_reachable:
            super()._connect(seq, request)
            return
        down = LinkBody(LinkEvent.DOWN, UNREACHABLE)
        self.accept(Arrival(Kind.LINK, request.source, cause=seq, body=text_of(down)))

    def _http(self, record: RequestRecord, request: RequestBody) -> None:
        if self._is_reachable:
            super()._http(record, request)
        else:
            self.answered(record, request, {"outcome": AnswerStatus.NOT_SENT, "error": UNREACHABLE}, b"")

    # ---- what comes back

    def accept(self, arrival: Arrival) -> None:
        """Step the session with an arrival and perform its outputs."""
        if not self.closing:
            self.perform(self.sequencer.accept(arrival, self.venue.now_ns).outputs)

    def _frame_arrived(self, source: str, frame: bytes) -> None:
        link = self.state.account.links.by_source[source]
        kind = Kind.FEED if link.role is LinkRole.MARKET else Kind.BROKER
        self.accept(Arrival(kind, source, cause=link.up_seq, recv_ns=self.venue.now_ns, payload=frame))

    def _message_arrived(self, source: str, message: StatedMessage) -> None:
        up_seq = self.state.account.links.by_source[source].up_seq
        self.accept(Arrival(Kind.BROKER, source, cause=up_seq, recv_ns=self.venue.now_ns, message=message))

    def _link_ended(self, source: str, reason: str) -> None:
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
