"""A paper session's account in the trading process: the broker, its place in the queue of inputs, and its time.

The session's market is real: links and public queries go the usual way, without a key. Everything about the account
ends in engine/sim/paper_broker.py. The gateway of a paper session has no key and no way to send what changes a venue.
"""

from collections.abc import Sequence

import trio

from engine.apply.batch import Batch
from engine.bodies import RequestBody
from engine.kernel import StepResult
from engine.live.clock import SessionClock, wall_ns
from engine.live.gateway import Gateway, arrival_of
from engine.live.ingress import Command, FrameBatch, Ingress, LinkDown
from engine.live.signed_requests import SignedRequest
from engine.live.transport.http_result import HttpResult
from engine.market.layout import NEVER
from engine.market.rows import Rows
from engine.record_codec import read_request
from engine.requests import LinkRole, Purpose, Unsigned
from engine.sequencer import Arrival, Sequencer
from engine.session_record import SessionBody
from engine.sim.paper_broker import PaperBroker, concerns_account
from engine.step_context import Output
from journal.record import Kind, Record

IDLE_SECONDS_MAX = 1.0
NOTHING_SIGNED = "a paper session signs nothing and sends nothing that changes a venue"


class PaperSequencer(Sequencer):
    """Shows the paper account each market record that the session has applied."""

    account: "LivePaper"

    def begin(self, session: SessionBody) -> list[Output]:
        """Make the SESSION record, and open the account in the state that it opens."""
        outputs = super().begin(session)
        self.account.open()
        return outputs

    def step(self, batch: Batch) -> StepResult:
        """Step a batch of records, then let the account follow those of the market."""
        row, depth = batch.row, self._depth_instrument(batch.records)
        result = super().step(batch)
        if depth:
            self.account.follow_depth(result.records[0], depth)
        elif batch.rows is not None and batch.row > row:
            self.account.follow(batch.rows[row : batch.row])
        return result

    def _depth_instrument(self, records: Sequence[Record]) -> str:
        """Return the instrument of an answer with a book, before the session forgets the request; "" for any other."""
        if not records or records[0].kind is not Kind.FEED or records[0].meta is None:
            return ""
        [record] = records
        pending = self.state.account.requests.by_seq.get(-1 if record.cause is None else record.cause)
        if pending is None or pending.request.purpose is not Purpose.DEPTH or not record.payload:
            return ""
        venue = self.kernel.session.venues[pending.request.venue]
        return pending.request.instrument if venue.market.is_snapshot(record.payload) else ""


class PaperIngress(Ingress):
    """The ingress queue, in which what the paper account sends is due at once: before messages that wait."""

    def __init__(self) -> None:
        super().__init__()
        self._due = 0  # items at the head of the queue that the account sent

    def put_due(self, item: Arrival | FrameBatch | LinkDown) -> None:
        """Queue an item behind the earlier ones of the account, and before all others."""
        if isinstance(item, FrameBatch):
            self.waiting += len(item.payloads)
        self._items.insert(self._due, item)
        self._due += 1
        self.wake()

    def put_back(self, frames: FrameBatch) -> None:
        """Return messages that were not processed to their place behind the items that are due."""
        self.waiting += len(frames.payloads)
        self._items.insert(self._due, frames)

    def next(self) -> Command | FrameBatch | LinkDown | Arrival | None:
        """Remove and return the next item."""
        if not self._commands and self._due:
            self._due -= 1
        return super().next()


class LivePaper:
    """The paper account of a live session: a PaperReceiver, and the task that moves the broker's time."""

    def __init__(self, sequencer: PaperSequencer, ingress: PaperIngress, clock: SessionClock) -> None:
        plans = [plan for venue in sequencer.kernel.session.venues for plan in sequencer.kernel.session.links(venue)]
        self._private = frozenset(plan.source for plan in plans if plan.role is LinkRole.PRIVATE)
        self._sequencer = sequencer
        self._ingress = ingress
        self._clock = clock
        self._connects: dict[str, int] = {}  # source of the account's link -> seq of its newest connect request
        self._broker: PaperBroker | None = None
        self._woken = trio.Event()

    def open(self) -> None:
        """Open the account in the state with which the session begins."""
        session, state = self._sequencer.kernel.session, self._sequencer.state
        (dialect,) = session.venues.values()
        self._broker = PaperBroker(session.body, state, dialect, self)

    @property
    def broker(self) -> PaperBroker:
        """The broker, once the account is open."""
        assert self._broker is not None, "the session has begun"
        return self._broker

    def is_for_account(self, request: RequestBody) -> bool:
        """Return True for a REQUEST that the account answers."""
        return concerns_account(request, self._private)

    def perform(self, record: Record) -> None:
        """Perform a REQUEST about the account."""
        request = read_request(record.body or "")
        if request.purpose is Purpose.CONNECT:
            self._connects[request.source] = record.seq
        self.broker.perform(record, request)
        self._woken.set()

    def follow(self, rows: Rows) -> None:
        """Move the broker along market records that the session has just applied."""
        self.broker.follow(rows)
        self._catch_up()

    def follow_depth(self, record: Record, instrument: str) -> None:
        """Move the broker along the answer to a request for a book."""
        self.broker.follow_depth(record, instrument)
        self._catch_up()

    def _catch_up(self) -> None:
        self.broker.advance(self._sequencer.state.time_ns)
        self._woken.set()

    async def run(self) -> None:
        """Move the broker's time until cancelled."""
        while True:
            due_ns = self.broker.due_ns
            self._woken = trio.Event()
            wait_s = IDLE_SECONDS_MAX if due_ns >= NEVER else self._clock.seconds_until(due_ns)
            if wait_s > 0:
                with trio.move_on_after(min(wait_s, IDLE_SECONDS_MAX)):
                    await self._woken.wait()
                if self._clock.now_ns() < due_ns:
                    continue  # it may be due at another time now
            else:
                await trio.lowlevel.checkpoint()
            self.broker.advance(self._clock.now_ns())

    # ---- a PaperReceiver

    def accept(self, arrival: Arrival) -> None:
        """Queue an answer, or the news that the account's link is up."""
        self._ingress.put_due(arrival)

    def frame(self, source: str, payload: bytes) -> None:
        """Queue a frame of the account's link."""
        self._ingress.put_due(FrameBatch(source, is_market=False, recv_ns=wall_ns(), payloads=[payload]))

    def link_down(self, source: str, reason: str) -> None:
        """Queue the news that the account's link is down."""
        self._ingress.put_due(LinkDown(source, self._connects[source], reason))


class PaperGateway(Gateway):
    """The gateway of a paper session: it has no key, and sends public queries alone."""

    account: LivePaper

    def perform(self, record: Record, request: RequestBody) -> None:
        """Perform a REQUEST: by the paper account, or a public one."""
        if self.account.is_for_account(request):
            self.account.perform(record)
        else:
            super().perform(record, request)

    async def _sign_and_send(self, seq: int, request: RequestBody, signed: SignedRequest | None = None) -> None:
        assert request.unsigned is not None, "as in Gateway"
        del signed
        if request.mutates or request.unsigned.signed:
            self._ingress.put(arrival_of(seq, request, self._not_sent(NOTHING_SIGNED)))
        else:
            await super()._sign_and_send(seq, request)

    async def send_now(self, venue: str, unsigned: Unsigned, clock_offset_ns: int) -> HttpResult:
        """Refuse: the paper account ends with the process, and its orders are in the journal."""
        del venue, unsigned, clock_offset_ns
        return self._not_sent(NOTHING_SIGNED)


def parts_of(body: SessionBody) -> tuple[type[Ingress], type[Sequencer], type[Gateway]]:
    """Return the classes that make a live session."""
    return (Ingress, Sequencer, Gateway) if body.paper is None else (PaperIngress, PaperSequencer, PaperGateway)


def paper_account(sequencer: Sequencer, ingress: Ingress, gateway: Gateway, clock: SessionClock) -> LivePaper | None:
    """Return the account that joins the parts of a paper session; None for any other session."""
    if not isinstance(sequencer, PaperSequencer) or not isinstance(gateway, PaperGateway):
        return None
    assert isinstance(ingress, PaperIngress), "parts_of"
    sequencer.account = gateway.account = account = LivePaper(sequencer, ingress, clock)
    return account
