"""Signed HTTP messages through httpx: the one module that knows it."""

import logging
import ssl

import httpx
import trio

from engine.live.clock import SessionClock, wall_ns
from engine.live.http_result import HttpResult
from engine.requests import AnswerStatus
from engine.venues.signing import HttpMessage
from engine.venues.venue import KeptHeaders

CONNECTIONS_MAX = 16
CONNECT_SHARE = 0.5  # of a request's time may go into connecting: what fails there proves that nothing was sent
BODY_BYTES_MAX = 64 * 1024 * 1024  # all of exchangeInfo is some 6 MB


def quiet_loggers() -> None:
    """Both log whole URLs, and a URL holds a signature."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class HttpxSender:
    def __init__(self, base: str, kept_headers: KeptHeaders | None = None) -> None:
        self._kept_headers = kept_headers or KeptHeaders()
        quiet_loggers()
        # one context for all connections: making one reads the certificates, 20 ms each time
        secure: ssl.SSLContext | bool = ssl.create_default_context() if base.startswith("https") else False
        limits = httpx.Limits(
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            keepalive_expiry=None,  # the default of 5 s would make every rare order pay for a new handshake
        )
        self._base = base.rstrip("/")
        self._client = httpx.AsyncClient(
            verify=secure, limits=limits, trust_env=False, follow_redirects=False, http1=True, http2=False
        )

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        timeout = httpx.Timeout(timeout_s, connect=timeout_s * CONNECT_SHARE, pool=timeout_s * CONNECT_SHARE)
        sent_ns = clock.now_ns()
        outcome, error = AnswerStatus.TIMEOUT, f"no answer within {timeout_s:.3f} s"
        try:
            with trio.move_on_after(timeout_s):
                response = await self._client.request(
                    message.method,
                    self._base + message.path_and_query,
                    headers=message.headers,
                    content=message.body or None,
                    timeout=timeout,
                )
                return HttpResult(
                    AnswerStatus.ANSWER,
                    sent_ns,
                    wall_ns(),
                    status=response.status_code,
                    headers=self._kept_headers.keep(response.headers.multi_items()),
                    body=response.content,
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as found:
            outcome, error = AnswerStatus.NOT_SENT, f"{type(found).__name__}: {found}"
        except httpx.TimeoutException as found:
            outcome, error = AnswerStatus.TIMEOUT, type(found).__name__
        except httpx.HTTPError as found:
            outcome, error = AnswerStatus.CUT, f"{type(found).__name__}: {found}"
        return HttpResult(outcome, sent_ns, wall_ns(), error=error)

    async def close(self) -> None:
        await self._client.aclose()
