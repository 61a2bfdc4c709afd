"""Performs what a step put out: signs, sends at most once, and brings back exactly one end for each request.

A request that changes the venue leaves only with a Durable token: its record, and all before it, is on stable storage.
Decides nothing. Secrets join here, last, and go nowhere else.
"""

from collections import deque
from collections.abc import Collection, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

import trio

from engine.bodies import RequestBody, source_of
from engine.live.clock import SessionClock, wall_ns
from engine.live.ingress import Ingress
from engine.live.link_tasks import LinkTasks, venue_setting
from engine.live.refused_addresses import RefusedAddresses
from engine.live.send_turns import SendTurns
from engine.live.signed_requests import SignedRequest, sign
from engine.live.token_requests import request_token
from engine.live.transport.http_result import Answer, HttpResult, HttpSender, SendsAtOnce
from engine.live.transport.websocket import WebsocketClosedError
from engine.requests import FEED_PURPOSES, AnswerStatus, Purpose, Transport, Unsigned
from engine.sequencer import Arrival
from engine.venues.candle_store import CandleStore, stored_answer
from engine.venues.link_tokens import frame_with_token, with_token, without_token
from engine.venues.signing import SecretKey
from engine.venues.venue import Venue
from journal.durable import Durable
from journal.record import Kind, Record, canonical
from journal.writer import JournalWriter

# requests on their way at once, to all venues; the rest wait their turn, and expire if it comes too late
PARALLEL_MAX = 16
READ_ONLY = "the session only reads there: nothing that changes the venue is sent"
LATENCIES_MAX = 1000  # times that the log summarises
SENDS_MAX = 10_000  # between two lines of the meter
TOKEN_TIMEOUT_S = 5.0
EMERGENCY_TIMEOUT_S = 5.0  # for the answer to one request of the emergency cancel


_Due = tuple[Durable, int, RequestBody, SignedRequest | None]  # a request that may leave, as `_held` has it


class Send(NamedTuple):
    """A request that changes the venue and reached the wire."""

    purpose: Purpose
    transport: Transport
    after_ns: int  # session time from the record that led to it until its sending began


class Gateway:
    """`perform` takes a REQUEST record and returns at once; its end arrives in the ingress."""

    def __init__(
        self,
        *,
        venues: dict[str, Venue],
        senders: dict[str, HttpSender],
        keys: Mapping[str, SecretKey | None],
        clock: SessionClock,
        ingress: Ingress,
        links: LinkTasks,
        nursery: trio.Nursery,
        trading: Collection[str],
        addresses: Mapping[str, str] | None = None,
        refused: RefusedAddresses | None = None,
        history: CandleStore | None = None,
    ) -> None:
        """Make the gateway. It sends requests that change a venue only to those of `trading`.

        Keys are by venue. Requests for bars from before the session are answered by `history`, if it is given.
        """
        self._venues = venues
        self._senders = senders
        self._keys = dict(keys)
        self._clock = clock
        self._ingress = ingress
        self._links = links
        self._nursery = nursery
        self._turns = trio.CapacityLimiter(PARALLEL_MAX)
        self._venue_turns = SendTurns()
        self._writer: JournalWriter | None = None
        # heap: waiting for their records to be durable; signed meanwhile, if the venue does not take them in turn
        self._held: list[tuple[int, RequestBody, SignedRequest | None]] = []
        self._waiting: deque[_Due] = deque()  # for a socket: their records are durable
        self._sends_waiting = False
        self._at_once = {name: sender for name, sender in senders.items() if isinstance(sender, SendsAtOnce)}
        self._closed = False
        self._trading = frozenset(trading)
        self._addresses = addresses or {}
        self._refused = refused or RefusedAddresses()
        self._history = history
        self._stamped_ns = 0
        self._tokens: dict[str, str] = {}  # of the private links that need one, by source
        links.find_path = self._path_of
        # session time from the record that led to an order to its sending, newest last
        self.latencies_ns: deque[int] = deque(maxlen=LATENCIES_MAX)
        self.sends: deque[Send] = deque(maxlen=SENDS_MAX)  # newest last; a reader removes what it read
        self._decided_ns: dict[int, int] = {}  # seq of a request that changes the venue -> time of its record

    def attach(self, writer: JournalWriter) -> None:
        """Set the writer whose durable records release requests."""
        self._writer = writer

    @property
    def is_holding(self) -> bool:
        """Return True while a request waits for its record to be durable."""
        return bool(self._held)

    def perform(self, record: Record, request: RequestBody) -> None:
        """Perform a REQUEST, whose body is `request`: now, or when its record is durable."""
        if request.mutates:
            self._sign_and_queue(record, request)
            return
        match request.purpose:
            case Purpose.CONNECT:
                self._nursery.start_soon(self._links.run, record.seq, request)
            case Purpose.DISCONNECT:
                self._links.close(request.source, "closed by the engine")
            case Purpose.HISTORY if self._history is not None or request.unsigned is None:
                instruments = self._venues[request.venue].instruments
                meta, payload = stored_answer(self._history, instruments, request)
                source = f"{request.venue}.rest"
                text = canonical(meta)
                self._ingress.put(Arrival(Kind.FEED, source, cause=record.seq, meta=text, payload=payload))
            case _:
                self._nursery.start_soon(self._send_query, record.seq, request)

    def _sign_and_queue(self, record: Record, request: RequestBody) -> None:
        """Sign a request that changes the venue, and keep it until its record is durable."""
        if request.venue not in self._trading:
            self._ingress.put(arrival_of(record.seq, request, self._not_sent(READ_ONLY)))
            return
        self._decided_ns[record.seq] = record.time_ns
        heappush(self._held, (record.seq, request, self._sign(request)))
        assert self._writer is not None, "attach comes first"
        if not self._writer.has_deferred:  # else `flush` comes before the caller waits
            self.release()

    def close(self) -> None:
        """Send nothing from here on, except the cancel that needs no record."""
        self._closed = True

    async def flush(self) -> None:
        """Bring records that wait to the disk, and send the requests that may then leave, before other tasks run.

        A disk that was slow lately is left to the journal's thread.
        """
        self._commit()
        await self._send_waiting()

    def flush_now(self) -> None:
        """Do the same without waiting for a socket. A request that must wait gets a task."""
        self._commit()
        self._start_sending()

    def release(self) -> None:
        """Send requests whose records are now durable. No-op after `close`."""
        self._send_released()
        self._start_sending()

    def _commit(self) -> None:
        """Bring records to the disk and send requests without waiting. Those that must wait for a socket are queued."""
        assert self._writer is not None, "attach comes first"
        if not self._held:
            if self._writer.has_deferred:
                self._writer.write_deferred()
            return
        if self._writer.commit():
            self._send_released()
        if self._writer.has_deferred:  # it is written and needs its sync
            self._writer.wake()

    def _send_released(self) -> None:
        """Send requests whose records are durable, without waiting. Those that must wait for a socket are queued."""
        while (due := self._next_released()) is not None:
            _, seq, request, signed = due
            if signed is None or not signed.data:
                self._nursery.start_soon(self._send_durable, *due)
                continue
            answer, borrower = None, None
            if not (self._waiting or self._sends_waiting) and (borrower := self._enter_turn(*due)) is not None:
                answer = self._at_once[request.venue].begin_now(signed.message, signed.data, self._clock)
            if not self._is_begun(seq, request, answer, borrower):
                self._waiting.append(due)

    def _start_sending(self) -> None:
        """Start a task for the requests that wait for a socket, unless there is one. No-op after `close`."""
        if self._waiting and not self._sends_waiting and not self._closed:
            self._nursery.start_soon(self._send_waiting)

    async def _send_waiting(self) -> None:
        """Send the requests that wait for a socket, in their order. No-op while another task does."""
        if self._sends_waiting:
            return
        self._sends_waiting = True
        try:
            while self._waiting and not self._closed:
                await self._send_at_once(*self._waiting.popleft())
        finally:
            self._sends_waiting = False

    def _next_released(self) -> _Due | None:
        """Remove and return the oldest request that waits, with its token, or None if its record is not durable."""
        assert self._writer is not None, "attach comes first"
        if self._closed or not self._held or (token := self._writer.durable_token(self._held[0][0])) is None:
            return None
        return token, *heappop(self._held)

    async def _send_at_once(self, token: Durable, seq: int, request: RequestBody, signed: SignedRequest | None) -> None:
        """Send a request in this task if a connection is idle, else in its own. Its answer has a task in both cases."""
        borrower = self._enter_turn(token, seq, request, signed)
        answer = None
        if signed is not None and borrower is not None:
            answer = await self._at_once[request.venue].begin(signed.message, signed.data, self._clock)
        if not self._is_begun(seq, request, answer, borrower):
            self._nursery.start_soon(self._send_durable, token, seq, request, signed)

    def _enter_turn(
        self, token: Durable, seq: int, request: RequestBody, signed: SignedRequest | None
    ) -> object | None:
        """Return who holds a request's turn, or None if it cannot be sent in this task."""
        assert request.venue in self._trading, "perform ends these requests"
        assert token.seq >= seq, (token, seq)
        now_ns = self._clock.now_ns()
        if signed is None or not signed.data or not signed.is_good(self._keys[request.venue], now_ns):
            return None
        if now_ns > request.expires_ns:
            return None
        borrower = object()
        try:
            self._turns.acquire_on_behalf_of_nowait(borrower)
        except trio.WouldBlock:
            return None
        return borrower

    def _is_begun(self, seq: int, request: RequestBody, answer: Answer | None, borrower: object | None) -> bool:
        """Start the task of a request's answer, or end its turn. Return True if the request was sent."""
        if answer is not None and borrower is not None:
            self._nursery.start_soon(self._receive, seq, request, answer, borrower)
            return True
        if borrower is not None:
            self._turns.release_on_behalf_of(borrower)
        return False

    async def _receive(self, seq: int, request: RequestBody, answer: Answer, borrower: object) -> None:
        """Put the end of a request that has left into the ingress."""
        try:
            ended = await answer(self._clock.seconds(request.timeout_ns))
        finally:
            self._turns.release_on_behalf_of(borrower)
        self._end(seq, request, ended)

    async def _send_durable(
        self, token: Durable, seq: int, request: RequestBody, signed: SignedRequest | None = None
    ) -> None:
        """Send a request that changes the venue. The token proves that its record is durable."""
        assert request.venue in self._trading, "perform ends these requests"
        assert token.seq >= seq, (token, seq)
        await self._sign_and_send(seq, request, signed)

    async def _send_query(self, seq: int, request: RequestBody) -> None:
        """Send a request that changes nothing at the venue. It does not wait for its record."""
        assert not request.mutates, "a request that changes the venue needs a durable record"
        await self._sign_and_send(seq, request)

    def _sign(self, request: RequestBody) -> SignedRequest | None:
        """Return the signed request, or None if it must be signed when its turn comes."""
        unsigned, venue = request.unsigned, self._venues[request.venue]
        if unsigned is None or unsigned.transport is not Transport.REST or self._venue_turns.has_turns(venue):
            return None
        now_ns, stamp_ns = self._clock.now_ns(), self._stamp_ns(request.clock_offset_ns)
        sender = self._at_once.get(venue.name)
        return sign(venue, unsigned, self._keys[venue.name], venue_ns=stamp_ns, now_ns=now_ns, sender=sender)

    async def _sign_and_send(self, seq: int, request: RequestBody, signed: SignedRequest | None = None) -> None:
        """Sign and send a request in its turn, and put the one input in which it ends into the ingress."""
        unsigned = request.unsigned
        assert unsigned is not None, "only connect and disconnect carry no message"
        if unsigned.transport is Transport.WS_API:
            await self._over_link(seq, request, unsigned)
            return
        async with self._venue_turns.turn(self._venues[request.venue]), self._turns:
            key, now_ns = self._keys[request.venue], self._clock.now_ns()
            late_ns = now_ns - request.expires_ns
            if late_ns > 0:
                ended = self._not_sent(f"expired {late_ns} ns before its turn came")
            else:
                try:
                    if signed is not None and signed.is_good(key, now_ns):
                        message = signed.message
                    else:
                        stamp_ns = self._stamp_ns(request.clock_offset_ns)
                        message = self._venues[request.venue].signer.sign_http(unsigned, key, stamp_ns)
                except ValueError as error:
                    ended = self._not_sent(f"cannot be signed: {error}")
                else:
                    timeout_s = self._clock.seconds(request.timeout_ns)
                    ended = await self._senders[request.venue].send(message, timeout_s=timeout_s, clock=self._clock)
        self._end(seq, request, ended)

    def _end(self, seq: int, request: RequestBody, ended: HttpResult) -> None:
        """Put the one input in which a request ends into the ingress."""
        assert request.unsigned is not None, "it was to be sent"
        if ended.outcome is AnswerStatus.ANSWER:
            address = self._addresses.get(request.venue, "").rstrip("/") + request.unsigned.path
            self._refused.note(address, ended.status, venue_setting(request.venue, "rest", self._venues))
        self._ingress.put(arrival_of(seq, request, ended))
        self._note_latency(seq, request, ended.sent_ns, was_sent=ended.outcome is not AnswerStatus.NOT_SENT)

    def _note_latency(self, seq: int, request: RequestBody, sent_ns: int, *, was_sent: bool) -> None:
        decided_ns = self._decided_ns.pop(seq, 0)
        if not decided_ns or not was_sent:
            return
        assert request.unsigned is not None, "it was sent"
        self.sends.append(Send(request.purpose, request.unsigned.transport, sent_ns - decided_ns))
        if request.placed:
            self.latencies_ns.append(sent_ns - decided_ns)

    async def _over_link(self, seq: int, request: RequestBody, unsigned: Unsigned) -> None:
        """Send over the private websocket. The reply arrives as a frame, or the link drops."""
        websocket = self._links.websocket(request.source)
        stamp_ns = self._stamp_ns(request.clock_offset_ns)
        signer, key = self._venues[request.venue].signer, self._keys[request.venue]
        frame = signer.sign_frame(unsigned, key, stamp_ns, str(seq))
        frame = frame_with_token(frame, self._tokens.get(request.source, ""))
        try:
            if websocket is None:
                raise WebsocketClosedError("the link is down")
            sent_ns = self._clock.now_ns()
            await websocket.send(frame)
            self._note_latency(seq, request, sent_ns, was_sent=True)
        except WebsocketClosedError as ended:
            self._note_latency(seq, request, 0, was_sent=False)
            self._ingress.put(arrival_of(seq, request, self._not_sent(str(ended))))

    def _stamp_ns(self, clock_offset_ns: int) -> int:
        """Return the venue's time now, later than every stamp before: some venues refuse a nonce that does not rise."""
        self._stamped_ns = max(self._clock.now_ns() + clock_offset_ns, self._stamped_ns + 1)
        return self._stamped_ns

    def _not_sent(self, why: str) -> HttpResult:
        return HttpResult(AnswerStatus.NOT_SENT, self._clock.now_ns(), wall_ns(), error=why)

    def replace_key(self, venue: str, key: SecretKey) -> None:
        """Sign with another key from here on."""
        self._keys[venue] = key

    async def try_key(self, venue: str, query: Unsigned, key: SecretKey, clock_offset_ns: int) -> HttpResult:
        """Send a query that is signed with a key that is not in use yet. It is no record."""
        message = self._venues[venue].signer.sign_http(query, key, self._stamp_ns(clock_offset_ns))
        return await self._senders[venue].send(message, timeout_s=EMERGENCY_TIMEOUT_S, clock=self._clock)

    async def _path_of(self, request: RequestBody) -> str:
        """Return the path of a link. One that needs a token gets a new one for its path and its messages."""
        plan = request.link
        assert plan is not None, "a connect request carries its plan"
        token = await request_token(plan, self._venues[request.venue], self._send_unrecorded)
        self._tokens[plan.source] = token
        return with_token(plan.path, token)

    async def _send_unrecorded(self, venue: str, unsigned: Unsigned) -> HttpResult:
        """Send the request for a token, whose answer no record may hold."""
        async with self._venue_turns.turn(self._venues[venue]):
            message = self._venues[venue].signer.sign_http(unsigned, self._keys[venue], self._stamp_ns(0))
            return await self._senders[venue].send(message, timeout_s=TOKEN_TIMEOUT_S, clock=self._clock)

    async def send_now(self, venue: str, unsigned: Unsigned, clock_offset_ns: int) -> HttpResult:
        """Send a request of the emergency cancel, after `close`. A venue that is only watched gets none."""
        if venue not in self._trading:
            return self._not_sent(READ_ONLY)
        async with self._venue_turns.turn(self._venues[venue]):
            try:
                stamp_ns = self._stamp_ns(clock_offset_ns)
                message = self._venues[venue].signer.sign_http(unsigned, self._keys[venue], stamp_ns)
            except ValueError as error:
                return self._not_sent(f"cannot be signed: {error}")
            return await self._senders[venue].send(message, timeout_s=EMERGENCY_TIMEOUT_S, clock=self._clock)


def arrival_of(seq: int, request: RequestBody, ended: HttpResult) -> Arrival:
    """Return the one input in which a request ends."""
    return Arrival(
        kind=Kind.FEED if request.purpose in FEED_PURPOSES else Kind.BROKER,
        source=source_of(request),
        cause=seq,
        key=request.client_order_id or None if request.poll is None else request.poll.key,
        recv_ns=ended.recv_ns,
        meta=ended.meta(),
        payload=without_token(request.purpose, ended.body, ended.status),
    )
