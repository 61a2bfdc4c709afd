"""How a request ended, in the four ways that matter to whoever must know whether an order lives.

Values and the interface of the two senders (rest.py, direct.py); no socket here.
"""

from typing import Protocol

import msgspec

from engine.live.clock import SessionClock
from engine.requests import AnswerStatus
from engine.venues.binance_spot.signing import HttpMessage
from journal.record import canonical

KEPT_HEADERS = ("content-type", "retry-after")
KEPT_PREFIXES = ("x-mbx-used-weight", "x-mbx-order-count", "ratelimit", "x-ratelimit")


class HttpResult(msgspec.Struct):
    """`answer` carries status and body; `not_sent` proves that no byte left; `timeout` and `cut` prove nothing."""

    outcome: AnswerStatus
    sent_ns: int  # session time when sending began
    recv_ns: int  # wall clock when it ended
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    error: str = ""

    def meta(self) -> str:
        """What the answer's record says beside its payload."""
        told: dict[str, object] = {"outcome": self.outcome, "sent_ns": self.sent_ns}
        if self.outcome is AnswerStatus.ANSWER:
            told |= {"status": self.status, "headers": self.headers}
        else:
            told["error"] = self.error
        return canonical(told)


class HttpSender(Protocol):
    """Performs signed messages; several may be on their way at once."""

    async def send(self, message: HttpMessage, *, timeout_s: float, clock: SessionClock) -> HttpResult: ...

    async def close(self) -> None: ...


def kept(headers: list[tuple[str, str]]) -> dict[str, str]:
    """The headers that decisions may rest on; the rest (cookies, traces) stays out of the journal."""
    lower = ((name.lower(), value) for name, value in headers)
    return {name: value for name, value in lower if name in KEPT_HEADERS or name.startswith(KEPT_PREFIXES)}
