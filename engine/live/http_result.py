"""How a request ended, in the four ways that matter to whoever must know whether an order lives.

Values and the interface of the two senders (rest.py, direct.py); no socket here.
"""

from typing import Protocol

import msgspec

from engine.live.clock import SessionClock
from engine.requests import AnswerStatus
from engine.venues.signing import HttpMessage
from journal.record import canonical


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
