"""The HTTP sender of the profile `fast`: h11 on trio streams, one write a request, no more of HTTP than we use."""

import socket
import ssl
from functools import partial

import h11
import trio

from engine.live.clock import SessionClock, wall_ns
from engine.live.transport.http_body import BodyReader, HttpBodyError
from engine.live.transport.http_head import HeadWriter
from engine.live.transport.http_result import (
    AT_ONCE_SECONDS_MAX,
    BODY_BYTES_MAX,
    CONNECT_SHARE,
    CONNECTIONS_MAX,
    OWN_HEADERS,
    Answer,
    HttpResult,
)
from engine.live.transport.socket_writes import SocketWriter
from engine.live.transport.tcp import Address, TcpConnection, connect, reason_of
from engine.requests import AnswerStatus
from engine.venues.signing import HttpMessage
from engine.venues.venue import KeptHeaders

RECEIVE_BYTES = 64 * 1024


class FastSender:
    """An HttpSender with a stack of idle connections."""

    def __init__(
        self,
        base: str,
        kept_headers: KeptHeaders,
        context: ssl.SSLContext | None = None,
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._address = Address.parse(base)
        if context is None and self._address.is_secure:
            context = ssl.create_default_context()  # once for all connections: it reads the certificates, 20 ms
        self._context = context
        self._prefix = self._address.target.rstrip("/")
        self._kept_headers = kept_headers
        self._body_bytes_max = body_bytes_max
        self._idle: list[_HttpConnection] = []
        self._idle_max = CONNECTIONS_MAX
        self.encode = HeadWriter(self._address.host_header, self._prefix, OWN_HEADERS).write

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        """See HttpSender."""
        sent_ns = clock.now_ns()
        try:
            with trio.fail_after(timeout_s * CONNECT_SHARE):
                connection = await self._idle_connection() or await self._connect()
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return _not_sent(sent_ns, f"cannot connect: {type(error).__name__}: {reason_of(error)}")
        sent_ns = clock.now_ns()
        return await self._exchange(connection, message, sent_ns, timeout_s)

    def begin_now(self, message: HttpMessage, data: bytes, clock: SessionClock) -> Answer | None:
        """See SendsAtOnce. The answer's task sends the bytes that the socket does not take."""
        if not self._idle or not self._idle[-1].socket.is_writable:
            return None
        connection = self._idle.pop()
        failure: Exception | None = None
        sent_ns, rest = clock.now_ns(), b""
        try:
            rest = connection.socket.write(data)
        except trio.BrokenResourceError as error:
            failure = error
        return partial(self._exchange, connection, message, sent_ns, rest=rest, failure=failure)

    async def begin(self, message: HttpMessage, data: bytes, clock: SessionClock) -> Answer | None:
        """See SendsAtOnce."""
        connection = await self._idle_connection()
        if connection is None:
            return None
        failure: Exception | None = None
        sent_ns = clock.now_ns()
        with trio.move_on_after(AT_ONCE_SECONDS_MAX) as scope:
            try:
                await connection.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                failure = error
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(connection.stream)
                raise
        if scope.cancelled_caught:
            failure = trio.BrokenResourceError(f"it did not take the whole request within {AT_ONCE_SECONDS_MAX:.3f} s")
        return partial(self._exchange, connection, message, sent_ns, rest=b"", failure=failure)

    async def _exchange(
        self,
        connection: "_HttpConnection",
        message: HttpMessage,
        sent_ns: int,
        timeout_s: float,
        *,
        rest: bytes | None = None,
        failure: Exception | None = None,
    ) -> HttpResult:
        """Send a request and receive its answer.

        Args:
            connection: It is released at the end.
            message: The request.
            sent_ns: When its sending began.
            timeout_s: For the answer.
            rest: Its bytes that have not left; None: all.
            failure: The error that ended their sending.
        """
        outcome, reason, is_whole = AnswerStatus.TIMEOUT, f"no answer within {timeout_s:.3f} s", False
        try:
            if failure is not None:
                raise failure
            request = self._bytes(connection.http, message)
            with trio.move_on_after(timeout_s):
                if left := request if rest is None else rest:
                    await connection.stream.send_all(left)
                response, body = await connection.answer(self._body_bytes_max)
                is_whole = True
                return HttpResult(
                    AnswerStatus.ANSWER,
                    sent_ns,
                    wall_ns(),
                    status=response.status_code,
                    headers=self._kept_headers.keep(_text_headers(response)),
                    body=body,
                )
        except h11.LocalProtocolError as error:
            if rest is None:
                return _not_sent(sent_ns, f"the request is not HTTP: {error}")
            outcome, reason = AnswerStatus.CUT, f"{type(error).__name__}: {error}"
        except HttpBodyError as error:
            outcome, reason = AnswerStatus.CUT, str(error)
        except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            outcome, reason = AnswerStatus.CUT, f"{type(error).__name__}: {reason_of(error)}"
        finally:
            await self._release(connection, is_whole=is_whole)
        return HttpResult(outcome, sent_ns, wall_ns(), error=reason)

    async def close(self) -> None:
        """See HttpSender."""
        self._idle_max = 0  # a connection whose answer is still to come is closed then
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)

    def _bytes(self, http: h11.Connection, message: HttpMessage) -> bytes:
        """Return head and body as one piece: two writes would be two packets."""
        headers = [("Host", self._address.host_header), *OWN_HEADERS, *message.headers]
        if message.body or message.method in ("POST", "PUT"):
            headers.append(("Content-Length", str(len(message.body))))
        request = h11.Request(method=message.method, target=self._prefix + message.path_and_query, headers=headers)
        parts = (
            http.send(request),
            http.send(h11.Data(data=message.body)) if message.body else b"",
            http.send(h11.EndOfMessage()),
        )
        return b"".join(part for part in parts if part)

    async def _idle_connection(self) -> "_HttpConnection | None":
        """Return the idle connection used last, because its caches are warm, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.socket.is_alive:
                return connection
            await trio.aclose_forcefully(connection.stream)
        return None

    async def _connect(self) -> "_HttpConnection":
        """Return a new connection."""
        tcp = await connect(self._address, self._context, by_record=True)
        tcp.plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return _HttpConnection(tcp)

    async def _release(self, connection: "_HttpConnection", *, is_whole: bool) -> None:
        """Keep the connection for the next request, or close it."""
        http = connection.http
        is_done = http.our_state is h11.DONE and http.their_state is h11.DONE and not connection.has_waiting
        if is_whole and is_done and len(self._idle) < self._idle_max:
            http.start_next_cycle()
            self._idle.append(connection)
            return
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(connection.stream)


class _HttpConnection:
    """A stream and the state of its HTTP conversation."""

    def __init__(self, tcp: TcpConnection) -> None:
        self.stream = tcp.stream
        self.http = h11.Connection(h11.CLIENT)
        self.socket = SocketWriter(tcp.plain.socket, is_plain=not isinstance(tcp.stream, trio.SSLStream))
        self._tcp = tcp

    @property
    def has_waiting(self) -> bool:
        """Return True if bytes after the answer were received."""
        return bool(self.http.trailing_data[0]) or self._tcp.has_waiting

    async def answer(self, body_bytes_max: int) -> tuple[h11.Response, bytes]:
        """Receive the whole answer. Raises HttpBodyError if the answer's body is not acceptable."""
        response: h11.Response | None = None
        body: BodyReader | None = None
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(bytes(await self.stream.receive_some(RECEIVE_BYTES)))
            elif isinstance(event, h11.Response):
                response = event
                encoding = dict(response.headers).get(b"content-encoding", b"")
                body = BodyReader(encoding.decode("latin-1"), body_bytes_max)
            elif isinstance(event, h11.Data):
                assert body is not None, "h11 keeps the order"
                if (refused := body.add(event.data)) is not None:
                    raise refused
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None, "h11 keeps the order"
                assert body is not None, "made with the response"
                return response, body.finish()
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the other side closed the connection before it answered")


def _not_sent(sent_ns: int, reason: str) -> HttpResult:
    return HttpResult(AnswerStatus.NOT_SENT, sent_ns, wall_ns(), error=reason)


def _text_headers(response: h11.Response) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
