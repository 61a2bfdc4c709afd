"""The simulated venue's listener: HTTP and websockets on one port, in real time, around a SimVenue.

It waits, reads the clock and moves bytes; their meaning is known to the venue alone. One task reads each connection,
one writes each websocket, one drives the venue when something is due by itself.
"""

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import h11
import trio
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from engine.sim.sim_venue import SimVenue
from engine.sim.wire import HttpAnswer, HttpRequest, Outgoing

HEAD_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 1024 * 1024
MESSAGE_BYTES_MAX: Final = 1024 * 1024  # from a client
BUFFER_BYTES_MAX: Final = 32 * 1024 * 1024  # to a slow client: then it is cut, as a venue would
RECEIVE_BYTES: Final = 64 * 1024
LINES_MAX: Final = 512  # public lines per turn, so that requests get their turn too
PING_SECONDS: Final = 20
PONG_SECONDS_MAX: Final = 60
CLOSE_SECONDS: Final = 1
SLEEP_SECONDS_MAX: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledClock:
    """Session time: origin + speed x monotonic time since. A process with the same three numbers has the same clock."""

    session_origin_ns: int
    monotonic_origin_ns: int
    speed: float

    def now_ns(self) -> int:
        """Return the session time."""
        return self.session_origin_ns + int((time.monotonic_ns() - self.monotonic_origin_ns) * self.speed)

    def seconds_until(self, session_ns: int) -> float:
        """Return how long to wait, in seconds of this machine, until a session time."""
        return (session_ns - self.now_ns()) / self.speed / 1e9


class _Exchange:
    """One HTTP request's way to its answer."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: HttpAnswer | None = None  # None once done: the socket must be cut


class _Websocket:
    """One websocket's outgoing bytes. Filled without waiting, emptied by the writer task."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.protocol = ServerProtocol(max_size=MESSAGE_BYTES_MAX)
        self.buffer = bytearray()
        self.filled = trio.Event()
        self.ending = False
        self.sending = False
        self.pong_due: float | None = None

    def put_frame(self, payload: bytes, *, binary: bool = False) -> None:
        """Append a frame. It is made by hand: the protocol object would cost more than all else on a busy feed."""
        size, head = len(payload), b"\x82" if binary else b"\x81"
        if size < 126:
            self.buffer += head + bytes((size,))
        elif size < 65_536:
            self.buffer += head + b"\x7e" + size.to_bytes(2, "big")
        else:
            self.buffer += head + b"\x7f" + size.to_bytes(8, "big")
        self.buffer += payload

    def put_protocol(self) -> None:
        for chunk in self.protocol.data_to_send():
            self.buffer += chunk
        self.filled.set()

    def cut(self) -> None:
        """End the connection once its buffer is sent."""
        self.ending = True
        self.filled.set()


class VenueServer:
    """The HTTP and websocket listener of one simulated venue."""

    def __init__(self, venue: SimVenue, clock: ScaledClock) -> None:
        self._venue = venue
        self._clock = clock
        self._exchanges: dict[int, _Exchange] = {}
        self._websockets: dict[int, _Websocket] = {}
        self._conn_id_next = 1
        self._wake = trio.Event()
        self.slow_clients_cut = 0

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Serve until cancelled; then send every websocket a closing frame."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._drive)
            nursery.start_soon(self._ping)
            await trio.serve_listeners(self._connection, listeners)

    # ---- the venue

    def _pump(self) -> None:
        """Move the venue to now and hand out what it gives."""
        filled: dict[int, _Websocket] = {}
        for item in self._venue.advance(self._clock.now_ns(), lines_max=LINES_MAX):
            websocket = self._websockets.get(item.conn_id)
            if websocket is None:
                self._hand_over(item)
                continue
            if item.frame is not None:
                websocket.put_frame(item.frame, binary=item.binary)
            if item.close:
                websocket.ending = True
            filled[item.conn_id] = websocket
        for websocket in filled.values():
            websocket.filled.set()
            if len(websocket.buffer) > BUFFER_BYTES_MAX and not websocket.ending:
                self.slow_clients_cut += 1
                websocket.buffer.clear()
                websocket.cut()

    def _hand_over(self, item: Outgoing) -> None:
        exchange = self._exchanges.get(item.conn_id)
        if exchange is not None:  # else its client has gone
            exchange.answer = item.answer
            exchange.done.set()

    def _pump_and_wake(self) -> None:
        self._pump()
        self._wake.set()  # the next due time may have changed

    async def _drive(self) -> None:
        while True:
            self._pump()
            due_ns = self._venue.next_due_ns
            seconds = SLEEP_SECONDS_MAX if due_ns is None else self._clock.seconds_until(due_ns)
            if seconds <= 0:
                await trio.lowlevel.checkpoint()
                continue
            self._wake = trio.Event()
            with trio.move_on_after(min(seconds, SLEEP_SECONDS_MAX)):
                await self._wake.wait()

    # ---- connections

    async def _connection(self, stream: trio.SocketStream) -> None:
        try:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._http(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, OSError):
            pass  # the client closed its end, or its bytes are not HTTP
        finally:
            await trio.aclose_forcefully(stream)

    def _new_id(self) -> int:
        self._conn_id_next += 1
        return self._conn_id_next - 1

    # ---- HTTP

    async def _http(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        local = ip_address(stream.socket.getpeername()[0].partition("%")[0]).is_loopback
        while True:
            request = await _next_request(connection, stream)
            if request is None:
                return
            if request.headers.get("upgrade", "").lower() == "websocket":  # also later: aiohttp reuses its connections
                await self._websocket(stream, _head(request) + connection.trailing_data[0])
                return
            if request.path.startswith("/sim/") and not local:
                answer: HttpAnswer | None = HttpAnswer(status=403, body=b'{"error":"/sim is for loopback only"}')
            else:
                answer = await self._exchange(request, connection, stream)
            if answer is None:
                return
            headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
            parts = [
                connection.send(h11.Response(status_code=answer.status, headers=headers)),
                connection.send(h11.Data(data=answer.body)),
                connection.send(h11.EndOfMessage()),
            ]
            await stream.send_all(b"".join(part for part in parts if part))
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()

    async def _exchange(
        self, request: HttpRequest, connection: h11.Connection, stream: trio.SocketStream
    ) -> HttpAnswer | None:
        """Return the venue's answer, or None if the socket must be closed without one."""
        conn_id = self._new_id()
        exchange = self._exchanges[conn_id] = _Exchange()
        try:
            self._venue.http(conn_id, request, self._clock.now_ns())
            self._pump_and_wake()
            if not exchange.done.is_set():
                await _done_or_gone(exchange, connection, stream)
            return exchange.answer
        finally:
            del self._exchanges[conn_id]
            if not exchange.done.is_set():
                self._venue.close(conn_id, self._clock.now_ns())

    # ---- websockets

    async def _websocket(self, stream: trio.SocketStream, head: bytes) -> None:
        websocket = _Websocket(stream)
        protocol = websocket.protocol
        protocol.receive_data(head)
        conn_id = self._new_id()
        for event in protocol.events_received():
            accepted = False
            response = protocol.accept(event)  # type: ignore[arg-type]  # the first event of a server is the request
            if response.status_code == 101:
                accepted = self._venue.connect(conn_id, event.path, self._clock.now_ns())  # type: ignore[union-attr]  # as above
                if not accepted:
                    response = protocol.reject(404, "unknown stream endpoint; docs/venue.md lists them\n")
            protocol.send_response(response)
            websocket.put_protocol()
            if not accepted:
                await stream.send_all(bytes(websocket.buffer))
                return
        if protocol.state is not State.OPEN:
            return
        self._websockets[conn_id] = websocket
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, websocket, nursery.cancel_scope)
                await self._read(conn_id, websocket)
                nursery.cancel_scope.cancel()
        finally:
            del self._websockets[conn_id]
            self._venue.close(conn_id, self._clock.now_ns())
            with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_SECONDS):
                await _send_closing_frame(websocket)

    async def _read(self, conn_id: int, websocket: _Websocket) -> None:
        protocol = websocket.protocol
        fragments = b""
        self._pump_and_wake()
        while True:
            for event in protocol.events_received():
                assert isinstance(event, Frame)
                websocket.pong_due = None  # every frame is a sign of life
                if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    fragments += event.data
                    if event.fin:
                        self._venue.frame(conn_id, fragments, self._clock.now_ns())
                        fragments = b""
                        self._pump_and_wake()
            websocket.put_protocol()  # pongs and the closing handshake
            if protocol.state is not State.OPEN:
                websocket.cut()
                await trio.sleep(CLOSE_SECONDS)  # the writer ends this sooner
                return
            received = await websocket.stream.receive_some(RECEIVE_BYTES)
            if not received:
                return
            protocol.receive_data(received)

    async def _write(self, websocket: _Websocket, scope: trio.CancelScope) -> None:
        try:
            while True:
                await websocket.filled.wait()
                websocket.filled = trio.Event()
                data, websocket.buffer = websocket.buffer, bytearray()
                if data:
                    websocket.sending = True
                    await websocket.stream.send_all(data)
                    websocket.sending = False
                if websocket.ending and not websocket.buffer:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone; the reader's end cleans up
        scope.cancel()

    async def _ping(self) -> None:
        """Send a ping every 20 s, and cut a client that sends nothing for 60 s after one."""
        while True:
            await trio.sleep(PING_SECONDS)
            now = trio.current_time()
            for websocket in list(self._websockets.values()):
                if websocket.pong_due is not None and now > websocket.pong_due:
                    websocket.cut()
                elif websocket.protocol.state is State.OPEN:
                    websocket.protocol.send_ping(str(self._clock.now_ns() // 1_000_000).encode())
                    websocket.pong_due = websocket.pong_due or now + PONG_SECONDS_MAX
                    websocket.put_protocol()


async def _send_closing_frame(websocket: _Websocket) -> None:
    """Send a closing frame if the connection is open and no frame is half sent."""
    if websocket.protocol.state is State.OPEN and not websocket.sending and not websocket.ending:
        websocket.protocol.send_close(1001, "the venue ends")
        websocket.put_protocol()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it may have gone first
            await websocket.stream.send_all(bytes(websocket.buffer))


def _head(request: HttpRequest) -> bytes:
    """Return a websocket's opening request as bytes, for the protocol object that parses it again."""
    target = request.path.encode("latin-1") + (b"?" + request.query if request.query else b"")
    lines = [f"{name}: {value}".encode("latin-1") for name, value in request.headers.items()]
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", *lines, b"\r\n"])


async def _next_request(connection: h11.Connection, stream: trio.SocketStream) -> HttpRequest | None:
    """Return the next request with its body, or None if the client has closed."""
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        match event:
            case h11.Request():
                request = event
            case h11.Data():
                body += bytes(event.data)
                if len(body) > BODY_BYTES_MAX:
                    return None
            case h11.EndOfMessage():
                break
            case h11.ConnectionClosed():
                return None
            case h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await stream.send_all(connection.send(go_on) or b"")
                connection.receive_data(await stream.receive_some(RECEIVE_BYTES))
            case _:
                return None
    assert request is not None
    path, _, query = request.target.partition(b"?")
    return HttpRequest(
        method=request.method.decode("ascii"),
        path=path.decode("latin-1"),
        query=query,
        body=body,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers},
    )


async def _done_or_gone(exchange: _Exchange, connection: h11.Connection, stream: trio.SocketStream) -> None:
    """Return once the answer is there or the client has closed."""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while True:
                received = await stream.receive_some(RECEIVE_BYTES)
                if not received:
                    nursery.cancel_scope.cancel()
                    return
                connection.receive_data(received)

        nursery.start_soon(watch)
        await exchange.done.wait()
        nursery.cancel_scope.cancel()
