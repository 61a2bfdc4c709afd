"""The HTTP sender of the profile `standard`: httpcore, the connections of httpx, without its client.

The client would keep cookies, log whole URLs (a URL may hold a signature), and cost half of the time of a request.
"""

import ssl
from collections.abc import AsyncIterable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

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
from engine.live.transport.tcp import Address, reason_of
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
        address = Address.parse(base)
        self._scheme, self._host = (b"https" if address.is_secure else b"http"), address.host.encode("idna")
        self._port, self._prefix = address.port, address.target.rstrip("/")
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
        connection = await self._idle_connection() or _Connection(self._scheme, self._host, self._port, self._context)
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
            with trio.CancelScope(shield=True):
                await connection.close()
            raise
        return partial(self._exchange, connection, message, sent_ns)

    async def _idle_connection(self) -> "_Connection | None":
        """Return the idle connection used last, because its caches are warm, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.http.has_expired():  # the other side did not close it
                return connection
            await connection.close()
        return None

    async def _exchange(
        self, connection: "_Connection", message: HttpMessage, sent_ns: int, timeout_s: float
    ) -> HttpResult:
        """Send a request, or the rest of one that has begun, and receive its answer."""
        outcome, reason, is_whole = AnswerStatus.TIMEOUT, f"no answer within {timeout_s:.3f} s", False
        try:
            with trio.move_on_after(timeout_s):
                response, body = await self._receive(connection, self._request(message, timeout_s))
                is_whole = True
                return HttpResult(
                    AnswerStatus.ANSWER,
                    sent_ns,
                    wall_ns(),
                    status=response.status,
                    headers=self._kept_headers.keep(_text_headers(response)),
                    body=body,
                )
        except (
            httpcore.ConnectError,
            httpcore.ConnectTimeout,
            httpcore.UnsupportedProtocol,
            httpcore.LocalProtocolError,
        ) as error:
            outcome = AnswerStatus.CUT if connection.has_begun else AnswerStatus.NOT_SENT
            reason = f"{type(error).__name__}: {reason_of(error)}"
        except httpcore.TimeoutException as error:
            outcome, reason = AnswerStatus.TIMEOUT, type(error).__name__
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
        with trio.CancelScope(shield=True):
            await connection.close()

    def _request(self, message: HttpMessage, timeout_s: float) -> httpcore.Request:
        connect_s = timeout_s * CONNECT_SHARE
        headers = [*self._own_headers, *message.headers]
        if message.body or message.method in ("POST", "PUT"):
            headers.append(("Content-Length", str(len(message.body))))
        target = self._prefix + message.path_and_query
        return httpcore.Request(
            message.method,
            httpcore.URL(scheme=self._scheme, host=self._host, port=self._port, target=target),
            headers=headers,
            content=message.body or None,
            extensions={"timeout": {"connect": connect_s, "read": timeout_s, "write": timeout_s}},
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
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        if refused is None:
            raise
    if refused is not None:
        raise refused


def _text_headers(response: httpcore.Response) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]


def _encoding(response: httpcore.Response) -> str:
    return ", ".join([value for name, value in _text_headers(response) if name.lower() == "content-encoding"])


class _Connection(httpcore.AsyncNetworkBackend):
    """A connection of httpcore, and the backend that opens its stream."""

    def __init__(self, scheme: bytes, host: bytes, port: int, context: ssl.SSLContext | None) -> None:
        self.http = httpcore.AsyncHTTPConnection(
            httpcore.Origin(scheme, host, port),
            ssl_context=context,
            keepalive_expiry=None,  # httpx's 5 s would make every rare order pay for a new handshake
            network_backend=self,
        )
        self.socket: SocketWriter  # once there is a connection
        self._is_plain = scheme == b"http"
        self._stream: _OneWriteStream | None = None
        self._backend = httpcore.TrioBackend()

    async def connect_tcp(self, *where: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        stream = await self._backend.connect_tcp(*where, **options)
        self.socket = SocketWriter(stream.get_extra_info("socket"), is_plain=self._is_plain)
        self._stream = _OneWriteStream(stream)
        return self._stream

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await trio.sleep(seconds)

    @property
    def is_idle(self) -> bool:
        """Return True if the next request may use it."""
        return self._stream is not None and self.http.is_idle() and not self.http.is_closed()

    @property
    def has_begun(self) -> bool:
        """Return True if bytes of the request at hand may have left before httpcore wrote it."""
        return self._stream is not None and self._stream.begun is not None

    def begin(self, data: bytes) -> None:
        """Write a request before httpcore does. The socket is writable."""
        assert self._stream is not None, "it is idle"
        self._stream.begun = data
        try:
            self._stream.rest = self.socket.write(data)
        except trio.BrokenResourceError as error:
            self._stream.failure = error

    async def begin_waiting(self, data: bytes) -> None:
        """Write a whole request before httpcore does, over TLS too, and wait for the socket at most a moment."""
        assert self._stream is not None, "it is idle"
        await self._stream.begin(data)

    def forget_request(self) -> None:
        """Prepare for the next request."""
        assert self._stream is not None, "it is idle"
        self._stream.begun, self._stream.rest = None, b""

    async def close(self) -> None:
        """Close it, also if it was not opened whole."""
        if self._stream is not None:
            await self._stream.aclose()


class _OneWriteStream(httpcore.AsyncNetworkStream):
    """A stream that keeps what is written until the answer is read, and so sends a request as one piece.

    httpcore writes head and body apart: two packets, and another 100 us until the venue holds the request.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.begun: bytes | None = None  # the request that left before httpcore wrote it
        self.rest = b""  # of it: what the socket did not take
        self.failure: Exception | None = None  # which ended its sending
        self._stream = stream
        self._kept: list[bytes] = []
        self._write_s: float | None = None

    async def begin(self, request: bytes) -> None:
        """Write a request before httpcore does."""
        self.begun = request
        try:
            await self._stream.write(request, AT_ONCE_SECONDS_MAX)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self.failure = error

    def write(self, buffer: bytes, timeout: float | None = None) -> Coroutine[Any, Any, None]:
        self._kept.append(buffer)
        self._write_s = timeout
        return _done()

    def read(self, max_bytes: int, timeout: float | None = None) -> Coroutine[Any, Any, bytes]:
        return self._send_and_read(max_bytes, timeout) if self._kept else self._stream.read(max_bytes, timeout)

    async def _send_and_read(self, max_bytes: int, read_s: float | None) -> bytes:
        request, begun, failure = b"".join(self._kept), self.begun, self.failure
        self._kept.clear()
        if failure is not None:
            raise httpcore.WriteError(reason_of(failure)) from failure
        if begun is not None:
            if request != begun:
                raise httpcore.ProtocolError("httpcore writes the request in other bytes than those that have left")
            request = self.rest
        with suppress(httpcore.WriteError):  # as httpcore does: an answer may have come before the whole request
            await self._stream.write(request, self._write_s)
        return await self._stream.read(max_bytes, read_s)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Coroutine[Any, Any, httpcore.AsyncNetworkStream]:
        return self._begin_tls(self._stream.start_tls(ssl_context, server_hostname, timeout))

    async def _begin_tls(
        self, opening: Coroutine[Any, Any, httpcore.AsyncNetworkStream]
    ) -> httpcore.AsyncNetworkStream:
        self._stream = await opening
        return self

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _done() -> None:
    """Return at once."""
