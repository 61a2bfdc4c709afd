"""Signed HTTP messages through h11 on trio streams: one write a request, a fifth of httpx's time, and no more than we use of HTTP.

The second implementation of the same Sender; the configuration chooses (`venue.http`).
"""

import select
import socket
import ssl
from urllib.parse import urlsplit

import h11
import trio

from engine.live.clock import SessionClock, wall_ns
from engine.live.http_result import HttpResult
from engine.requests import AnswerStatus
from engine.venues.signing import HttpMessage
from engine.venues.venue import KeptHeaders

IDLE_MAX = 16  # connections kept: as many as the gateway has requests on their way
RECEIVE_BYTES = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
CONNECT_SHARE = 0.5  # of a request's time may go into connecting


class _LostError(Exception):
    """The connection ended before the answer was whole."""


class _Connection:
    """One stream and where its HTTP conversation stands."""

    def __init__(self, stream: trio.abc.Stream, plain: trio.SocketStream) -> None:
        self.stream = stream
        self._plain = plain
        self.http = h11.Connection(h11.CLIENT)

    @property
    def alive(self) -> bool:
        """An idle connection has nothing to say: readable means that the other side closed it."""
        poll = select.poll()
        poll.register(self._plain.socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    async def exchange(self, request: bytes) -> tuple[h11.Response, bytes]:
        await self.stream.send_all(request)
        response: h11.Response | None = None
        body = bytearray()
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(bytes(await self.stream.receive_some(RECEIVE_BYTES)))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_BYTES_MAX:
                    raise _LostError(f"the answer is longer than {BODY_BYTES_MAX} bytes")
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None, "h11 keeps the order"
                return response, bytes(body)
            elif not isinstance(event, h11.InformationalResponse):
                raise _LostError("the other side closed the connection before it answered")


class H11Sender:
    def __init__(self, base: str, kept_headers: KeptHeaders | None = None) -> None:
        self._kept_headers = kept_headers or KeptHeaders()
        found = urlsplit(base)
        self._host = found.hostname or ""
        self._secure = ssl.create_default_context() if found.scheme == "https" else None
        self._port = found.port or (443 if self._secure else 80)
        self._prefix = found.path.rstrip("/")
        self._host_header = found.netloc.rpartition("@")[2]
        self._idle: list[_Connection] = []

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        sent_ns = clock.now_ns()
        try:
            with trio.fail_after(timeout_s * CONNECT_SHARE):
                connection = await self._connection()
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return HttpResult(
                AnswerStatus.NOT_SENT, sent_ns, wall_ns(), error=f"cannot connect: {type(error).__name__}: {error}"
            )
        outcome, error_text, whole = AnswerStatus.TIMEOUT, f"no answer within {timeout_s:.3f} s", False
        sent_ns = clock.now_ns()
        try:
            with trio.move_on_after(timeout_s):
                response, body = await connection.exchange(self._bytes(connection.http, message))
                whole = True
                return HttpResult(
                    AnswerStatus.ANSWER,
                    sent_ns,
                    wall_ns(),
                    status=response.status_code,
                    headers=self._kept_headers.keep(
                        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
                    ),
                    body=body,
                )
        except (_LostError, h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            outcome, error_text = AnswerStatus.CUT, f"{type(error).__name__}: {error}"
        finally:
            await self._give_back(connection, whole=whole)
        return HttpResult(outcome, sent_ns, wall_ns(), error=error_text)

    async def close(self) -> None:
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)

    def _bytes(self, http: h11.Connection, message: HttpMessage) -> bytes:
        """Head and body as one write: two would be two packets."""
        headers = [("Host", self._host_header), *message.headers]
        if message.body or message.method in ("POST", "PUT"):
            headers.append(("Content-Length", str(len(message.body))))
        request = h11.Request(method=message.method, target=self._prefix + message.path_and_query, headers=headers)
        parts = (
            http.send(request),
            http.send(h11.Data(data=message.body)) if message.body else b"",
            http.send(h11.EndOfMessage()),
        )
        return b"".join(part for part in parts if part)

    async def _connection(self) -> _Connection:
        """The one used last, where it still lives: its caches are warm."""
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
            await trio.aclose_forcefully(connection.stream)
        plain = await trio.open_tcp_stream(self._host, self._port)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._secure is None:
            return _Connection(plain, plain)
        stream = trio.SSLStream(plain, self._secure, server_hostname=self._host, https_compatible=True)
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(plain)
            raise
        return _Connection(stream, plain)

    async def _give_back(self, connection: _Connection, *, whole: bool) -> None:
        http = connection.http
        if whole and http.our_state is h11.DONE and http.their_state is h11.DONE and len(self._idle) < IDLE_MAX:
            http.start_next_cycle()
            self._idle.append(connection)
            return
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(connection.stream)
