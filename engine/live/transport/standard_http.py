"""The HTTP sender of the profile `standard`: httpcore, the connections of httpx, without its client.

The client would keep cookies, log whole URLs (a URL may hold a signature), and cost half of the time of a request.
"""

import ssl
from collections.abc import AsyncIterable, Coroutine
from contextlib import suppress
from typing import Any

import httpcore
import trio

from engine.live.clock import SessionClock, wall_ns
from engine.live.transport.http_body import BodyReader, HttpBodyError
from engine.live.transport.http_result import (
    BODY_BYTES_MAX,
    CONNECT_SHARE,
    CONNECTIONS_MAX,
    OWN_HEADERS,
    HttpResult,
)
from engine.live.transport.tcp import Address, reason_of
from engine.requests import AnswerStatus
from engine.venues.signing import HttpMessage
from engine.venues.venue import KeptHeaders


class StandardSender:
    """An HttpSender on httpcore's connection pool."""

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
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            network_backend=_OneWriteBackend(),
            keepalive_expiry=None,  # httpx's 5 s would make every rare order pay for a new handshake
        )

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        """See HttpSender."""
        sent_ns = clock.now_ns()
        outcome, reason = AnswerStatus.TIMEOUT, f"no answer within {timeout_s:.3f} s"
        try:
            with trio.move_on_after(timeout_s):
                response, body = await self._exchange(self._request(message, timeout_s))
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
            httpcore.PoolTimeout,
            httpcore.UnsupportedProtocol,
            httpcore.LocalProtocolError,
        ) as error:
            outcome, reason = AnswerStatus.NOT_SENT, f"{type(error).__name__}: {reason_of(error)}"
        except httpcore.TimeoutException as error:
            outcome, reason = AnswerStatus.TIMEOUT, type(error).__name__
        except HttpBodyError as error:
            outcome, reason = AnswerStatus.CUT, str(error)
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            outcome, reason = AnswerStatus.CUT, f"{type(error).__name__}: {reason_of(error)}"
        return HttpResult(outcome, sent_ns, wall_ns(), error=reason)

    async def close(self) -> None:
        """See HttpSender."""
        await self._pool.aclose()

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
            extensions={"timeout": {"connect": connect_s, "pool": connect_s, "read": timeout_s, "write": timeout_s}},
        )

    async def _exchange(self, request: httpcore.Request) -> tuple[httpcore.Response, bytes]:
        """Send a request and receive the whole answer. Raises HttpBodyError if its body is not acceptable."""
        response = await self._pool.handle_async_request(request)
        try:
            body = BodyReader(_encoding(response), self._body_bytes_max)
            await _read(response, body)
            return response, body.finish()
        finally:
            await response.aclose()


async def _read(response: httpcore.Response, body: BodyReader) -> None:
    assert isinstance(response.stream, AsyncIterable), "of an asynchronous pool"
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


class _OneWriteBackend(httpcore.AsyncNetworkBackend):
    """httpcore's backend for trio, with streams that send a request as one piece.

    httpcore writes head and body apart: two packets, and another 100 us until the venue holds the request.
    """

    def __init__(self) -> None:
        self._backend = httpcore.TrioBackend()

    def connect_tcp(self, *where: Any, **options: Any) -> Coroutine[Any, Any, httpcore.AsyncNetworkStream]:
        """See httpcore."""
        return _wrapped(self._backend.connect_tcp(*where, **options))

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await trio.sleep(seconds)


class _OneWriteStream(httpcore.AsyncNetworkStream):
    """A stream that keeps what is written until the answer is read."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._kept: list[bytes] = []
        self._write_s: float | None = None

    def write(self, buffer: bytes, timeout: float | None = None) -> Coroutine[Any, Any, None]:
        self._kept.append(buffer)
        self._write_s = timeout
        return _done()

    def read(self, max_bytes: int, timeout: float | None = None) -> Coroutine[Any, Any, bytes]:
        return self._send_and_read(max_bytes, timeout) if self._kept else self._stream.read(max_bytes, timeout)

    async def _send_and_read(self, max_bytes: int, read_s: float | None) -> bytes:
        request = b"".join(self._kept)
        self._kept.clear()
        with suppress(httpcore.WriteError):  # as httpcore does: an answer may have come before the whole request
            await self._stream.write(request, self._write_s)
        return await self._stream.read(max_bytes, read_s)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Coroutine[Any, Any, httpcore.AsyncNetworkStream]:
        return _wrapped(self._stream.start_tls(ssl_context, server_hostname, timeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _wrapped(opening: Coroutine[Any, Any, httpcore.AsyncNetworkStream]) -> httpcore.AsyncNetworkStream:
    return _OneWriteStream(await opening)


async def _done() -> None:
    """Return at once."""
