"""The outcome of a request, and the interface of the two senders. No socket here."""

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

import msgspec

from engine.live.clock import SessionClock
from engine.requests import AnswerStatus
from engine.venues.signing import HttpMessage
from journal.record import canonical

CONNECTIONS_MAX = 16  # open and idle, as many as the gateway has requests in flight
CONNECT_SHARE = 0.5  # of a request's time, for connecting: a failure there proves that nothing was sent
BODY_BYTES_MAX = 64 * 1024 * 1024  # all of exchangeInfo is some 6 MB
AT_ONCE_SECONDS_MAX = 0.05  # the input loop waits for no socket longer
OWN_HEADERS = (("User-Agent", "verbatim"), ("Accept-Encoding", "identity"))


class HttpResult(msgspec.Struct):
    """`answer` has status and body; `not_sent` proves that no byte left; `timeout` and `cut` prove nothing."""

    outcome: AnswerStatus
    sent_ns: int  # session time when sending began
    recv_ns: int  # wall clock when it ended
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    error: str = ""

    def meta(self) -> str:
        """Return the meta text of the answer's record."""
        fields: dict[str, object] = {"outcome": self.outcome, "sent_ns": self.sent_ns}
        if self.outcome is AnswerStatus.ANSWER:
            fields |= {"status": self.status, "headers": self.headers}
        else:
            fields["error"] = self.error
        return canonical(fields)


class HttpSender(Protocol):
    """Sends signed messages, several at once. Never follows a redirect and never keeps a cookie."""

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult:
        """Send a message once and return its only outcome. Raises nothing but cancellation."""
        ...

    async def close(self) -> None:
        """Close the idle connections."""
        ...


Answer = Callable[[float], Awaitable[HttpResult]]
"""Receives the answer of a request that was sent, within seconds, and returns its only outcome."""


@runtime_checkable
class SendsAtOnce(Protocol):
    """An HttpSender may have this as well: a request leaves in the task that decided on it."""

    @property
    def encode(self) -> Callable[[HttpMessage], bytes]:
        """The function that encodes a request for `begin`; b"" is one that must go the ordinary way."""
        ...

    def begin_now(self, message: HttpMessage, data: bytes, clock: SessionClock) -> Answer | None:
        """Do as `begin`, if an idle connection takes the request without waiting."""
        ...

    async def begin(self, message: HttpMessage, data: bytes, clock: SessionClock) -> Answer | None:
        """Send an encoded request on an idle connection, waiting for the socket at most a moment.

        Return what receives its answer, once and in any task, or None if no connection is idle: nothing was sent then.
        """
        ...
