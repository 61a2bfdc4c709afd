"""The websocket interface of both profiles: whole messages, each with the wall clock right after its socket read."""

from collections.abc import Callable
from typing import NoReturn, Protocol

import msgspec

Deliver = Callable[[int, list[bytes]], bool]
"""Accepts the messages of one socket read and its time. Returns False if there is no room, which ends the link."""

NO_ROOM = "the engine is behind: the queue of arrivals is full"
NO_GOODBYE = "the other side ended the connection without a goodbye"


class WebsocketClosedError(Exception):
    """The connection ended, or could not be opened; the text states why."""


class HandshakeRefusedError(WebsocketClosedError):
    """The other side answered the handshake with an HTTP status that opens no websocket."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class WebsocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one connection."""

    message_bytes_max: int = 16 * 1024 * 1024  # the largest snapshots have about 2 MiB
    close_seconds_max: float = 1.0  # wait for the other side's closing frame


WEBSOCKET_LIMITS = WebsocketLimits()


class Websocket(Protocol):
    """An open connection. One task at a time calls `read`; any task may call the rest."""

    async def read(self, deliver: Deliver) -> NoReturn:
        """Deliver the messages of each socket read until the connection ends.

        Cancellation leaves the connection open: the next call continues where this one stopped.

        Raises:
            WebsocketClosedError: always, with the reason of the end.
        """
        ...

    async def send(self, message: bytes) -> None:
        """Send a text message.

        Raises:
            WebsocketClosedError: if the connection is closed.
        """
        ...

    async def ping(self) -> None:
        """Send a ping. Returns when it is sent or when it is answered, which depends on the profile."""
        ...

    async def close(self) -> None:
        """Send a closing frame, wait a bounded time for the reply, and close the socket. Never raises."""
        ...

    @property
    def heard_at(self) -> float:
        """The time of the last socket read, by trio's clock."""
        ...


def too_long(message_bytes_max: int) -> str:
    """Return the reason of a link that ended on an oversize message."""
    return f"a message is longer than {message_bytes_max} bytes"


def closed_by_peer(code: int, reason: str | None) -> str:
    """Return the reason of a link that the other side closed."""
    return f"closed by the other side: {code} {reason or ''}".rstrip()
