"""The HTTP sender of the profile `standard`: httpcore, the connections of httpx, without its client.

The client would keep cookies, log whole URLs (a URL may hold a signature), and cost half of the time of a request.
"""

import ssl
from collections.abc import AsyncIterable
from contextlib import suppress
from functools import partial

import httpcore
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


class StandardSender:
    """An HttpSender on httpcore's connections, with a stack of idle ones in place of its pool.

    The pool would choose the connection of a request after the request's bytes have left.
    """

    def __init__(
        self,
        base: str,
        kept_headers: KeptHeaders,
        context: ssl.SSLContext | None = None,
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        if context is None and base.startswith("https"):
            context = ssl.create_default_context()  # once for all connections: it reads the certificates, 20 ms
        if context is not None:
            context.set_alpn_protocols(["http/1.1"])
        self._address = address = Address.parse(base)
        scheme, host = b"https" if address.is_secure else b"http", address.host.encode("idna")
        self._origin, self._prefix = httpcore.Origin(scheme, host, address.port), address.target.rstrip("/")
        self._own_headers = [("Host", address.host_header), *OWN_HEADERS]
        self._kept_headers = kept_headers
        self._body_bytes_max = body_bytes_max
        self._context = context
        self._idle: list[_Connection] = []
        self._idle_max = CONNECTIONS_MAX
        self.encode = HeadWriter(address.host_header, self._prefix, OWN_HEADERS).write

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        """See HttpSender."""
        sent_ns = clock.now_ns()
        try:
            with trio.fail_after(timeout_s * CONNECT_SHARE):
                connection = await self._idle_connection() or await self._connect()
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            reason = f"cannot connect: {type(error).__name__}: {reason_of(error)}"
            return HttpResult(AnswerStatus.NOT_SENT, sent_ns, wall_ns(), error=reason)
        sent_ns = clock.now_ns()
        return await self._exchange(connection, message, sent_ns, timeout_s)

    def begin_now(self, message: HttpMessage, data: bytes, clock: SessionClock) -> Answer | None:
        """See SendsAtOnce. The answer's task sends the bytes that the socket does not take."""
        if not self._idle or not self._idle[-1].socket.is_writable:
            return None
        connection = self._idle.pop()
        sent_ns = clock.now_ns()
        connection.begin(data)
        return partial(self._exchange, connection, message, sent_ns)

    async def begin(self, message: HttpMessage, data: bytes, clock: SessionClock) -> Answer | None:
        """See SendsAtOnce."""
        connection = await self._idle_connection()
        if connection is None:
            return None
        sent_ns = clock.now_ns()
        try:
            await connection.begin_waiting(data)
        except trio.Cancelled:
            await connection.close()
            raise
        return partial(self._exchange, connection, message, sent_ns)

    async def _idle_connection(self) -> "_Connection | None":
        """Return the idle connection used last, because its caches are warm, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive:
                return connection
            await connection.close()
        return None

    async def _connect(self) -> "_Connection":
        """Return a new connection."""
        return _Connection(self._origin, await connect(self._address, self._context, by_record=True))

    async def _exchange(
        self, connection: "_Connection", message: HttpMessage, sent_ns: int, timeout_s: float
    ) -> HttpResult:
        """Send a request, or the rest of one that has begun, and receive its answer."""
        outcome, reason, is_whole = AnswerStatus.TIMEOUT, f"no answer within {timeout_s:.3f} s", False
        try:
            with trio.move_on_after(timeout_s):
                response, body = await self._receive(connection, self._request(message))
                is_whole = True
                return HttpResult(
                    AnswerStatus.ANSWER,
                    sent_ns,
                    wall_ns(),
                    status=response.status,
                    headers=self._kept_headers.keep(_text_headers(response)),
                    body=body,
                )
        except httpcore.LocalProtocolError as error:
            outcome = AnswerStatus.CUT if connection.has_begun else AnswerStatus.NOT_SENT
            reason = f"{type(error).__name__}: {reason_of(error)}"
        except HttpBodyError as error:
            outcome, reason = AnswerStatus.CUT, str(error)
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            outcome, reason = AnswerStatus.CUT, f"{type(error).__name__}: {reason_of(error)}"
        finally:
            await self._release(connection, is_whole=is_whole)
        return HttpResult(outcome, sent_ns, wall_ns(), error=reason)

    async def close(self) -> None:
        """See HttpSender."""
        self._idle_max = 0  # a connection whose answer is still to come is closed then
        while self._idle:
            await self._idle.pop().close()

    async def _release(self, connection: "_Connection", *, is_whole: bool) -> None:
        """Keep the connection for the next request, or close it: an answer to come would be the next one's."""
        if is_whole and connection.is_idle and len(self._idle) < self._idle_max:
            connection.forget_request()
            self._idle.append(connection)
            return
        await connection.close()

    def _request(self, message: HttpMessage) -> httpcore.Request:
        headers = [*self._own_headers, *message.headers]
        if message.body or message.method in ("POST", "PUT"):
            headers.append(("Content-Length", str(len(message.body))))
        target = self._prefix + message.path_and_query
        return httpcore.Request(
            message.method,
            httpcore.URL(scheme=self._origin.scheme, host=self._origin.host, port=self._origin.port, target=target),
            headers=headers,
            content=message.body or None,
        )

    async def _receive(self, connection: "_Connection", request: httpcore.Request) -> tuple[httpcore.Response, bytes]:
        """Send a request and receive the whole answer. Raises HttpBodyError if its body is not acceptable."""
        response = await connection.http.handle_async_request(request)
        try:
            body = BodyReader(_encoding(response), self._body_bytes_max)
            await _read(response, body)
            return response, body.finish()
        finally:
            await response.aclose()


async def _read(response: httpcore.Response, body: BodyReader) -> None:
    assert isinstance(response.stream, AsyncIterable), "of an asynchronous connection"
    refused: HttpBodyError | None = None
    try:
        async for chunk in response.stream:
            refused = refused or body.add(chunk)
            if refused is not None:
                await response.aclose()  # the next read fails: only that ends httpcore's iterators in order
    except (httpcore.NetworkError, httpcore.ProtocolError):
        if refused is None:
            raise
    if refused is not None:
        raise refused


def _text_headers(response: httpcore.Response) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]


def _encoding(response: httpcore.Response) -> str:
    return ", ".join([value for name, value in _text_headers(response) if name.lower() == "content-encoding"])


class _Connection:
    """A connection, and httpcore's side of its HTTP conversation."""

    def __init__(self, origin: httpcore.Origin, tcp: TcpConnection) -> None:
        self._tcp = tcp
        self._stream = _OneWriteStream(tcp.stream)
        self.http = _Http(origin, self._stream)
        self.socket = SocketWriter(tcp.plain.socket, is_plain=origin.scheme == b"http")

    @property
    def is_alive(self) -> bool:
        """Return False if the idle socket is readable: the other side closed it, or sent bytes without a request."""
        return not self._tcp.plain.socket.is_readable()

    @property
    def is_idle(self) -> bool:
        """Return True if the next request may use it: nothing came after the answer."""
        return self.http.is_idle() and not self.http.has_waiting and not self._tcp.has_waiting

    @property
    def has_begun(self) -> bool:
        """Return True if bytes of the request at hand may have left before httpcore wrote it."""
        return self._stream.begun is not None

    def begin(self, data: bytes) -> None:
        """Write a request before httpcore does. The socket is writable."""
        self._stream.begun = data
        try:
            self._stream.rest = self.socket.write(data)
        except trio.BrokenResourceError as error:
            self._stream.failure = error

    async def begin_waiting(self, data: bytes) -> None:
        """Write a whole request before httpcore does, over TLS too, and wait for the socket at most a moment."""
        await self._stream.begin(data)

    def forget_request(self) -> None:
        """Prepare for the next request."""
        self._stream.begun, self._stream.rest = None, b""

    async def close(self) -> None:
        """Close it at once."""
        await self._stream.aclose()


class _Http(httpcore.AsyncHTTP11Connection):
    """A connection of httpcore, with a test for bytes that wait in it."""

    @property
    def has_waiting(self) -> bool:
        """Return True if bytes after the answer were received. httpcore would take them for the next answer."""
        return bool(self._h11_state.trailing_data[0])


class _OneWriteStream(httpcore.AsyncNetworkStream):
    """A stream that keeps what is written until the answer is read, and so sends a request as one piece.

    httpcore writes head and body apart: two packets, and another 100 us until the venue holds the request.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.begun: bytes | None = None  # the request that left before httpcore wrote it
        self.rest = b""  # of it: what the socket did not take
        self.failure: Exception | None = None  # which ended its sending
        self._stream = stream
        self._kept: list[bytes] = []

    async def begin(self, request: bytes) -> None:
        """Write a request before httpcore does."""
        self.begun = request
        try:
            with trio.fail_after(AT_ONCE_SECONDS_MAX):
                await self._stream.send_all(request)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as error:
            self.failure = error

    async def write(self, buffer: bytes, *_: object, **_timeout: object) -> None:
        self._kept.append(buffer)

    async def read(self, max_bytes: int, *_: object, **_timeout: object) -> bytes:
        if self._kept:
            await self._send_kept()
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(reason_of(error)) from error

    async def _send_kept(self) -> None:
        request, begun = b"".join(self._kept), self.begun
        self._kept.clear()
        if self.failure is not None:
            raise httpcore.WriteError(reason_of(self.failure)) from self.failure
        if begun is not None:
            if request != begun:
                raise httpcore.ProtocolError("httpcore writes the request in other bytes than those that have left")
            request = self.rest
        if request:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # an answer may have come before its end
                await self._stream.send_all(request)

    async def aclose(self) -> None:
        """Close the socket at once, without a goodbye of TLS: a venue that reads nothing would hold us."""
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)
