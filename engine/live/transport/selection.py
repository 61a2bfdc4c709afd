"""The choice of a transport: what the setting `venue.transport` selects."""

import ssl
from enum import StrEnum

from engine.live.transport.http_result import BODY_BYTES_MAX, HttpSender
from engine.live.transport.websocket import WEBSOCKET_LIMITS, Websocket, WebsocketLimits
from engine.venues.venue import KeptHeaders

KEPT_HEADERS = KeptHeaders()


class TransportProfile(StrEnum):
    """See docs/performance.md for how to choose."""

    STANDARD = "standard"  # trio-websocket and httpcore, the connections of httpx
    FAST = "fast"  # the sans-IO protocols of websockets and h11 on trio streams


async def open_websocket(
    profile: TransportProfile,
    url: str,
    context: ssl.SSLContext | None = None,
    limits: WebsocketLimits = WEBSOCKET_LIMITS,
) -> Websocket:
    """Open a websocket of a profile; the caller sets the deadline.

    Raises:
        WebsocketClosedError: if there is no connection, or the other side refuses the handshake.
    """
    if profile is TransportProfile.FAST:
        from engine.live.transport import fast_websocket

        return await fast_websocket.open_websocket(url, context, limits)
    from engine.live.transport import standard_websocket

    return await standard_websocket.open_websocket(url, context, limits)


def make_sender(
    profile: TransportProfile,
    base: str,
    context: ssl.SSLContext | None = None,
    *,
    kept_headers: KeptHeaders = KEPT_HEADERS,
    body_bytes_max: int = BODY_BYTES_MAX,
) -> HttpSender:
    """Return the sender of a profile for one base URL."""
    if profile is TransportProfile.FAST:
        from engine.live.transport.fast_http import FastSender

        return FastSender(base, kept_headers, context, body_bytes_max=body_bytes_max)
    from engine.live.transport.standard_http import StandardSender

    return StandardSender(base, kept_headers, context, body_bytes_max=body_bytes_max)
