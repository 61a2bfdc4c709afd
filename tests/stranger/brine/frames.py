"""The common part of Brine's public and private sockets: acknowledgements, times, and errors of reading."""

from datetime import UTC, datetime, timedelta

import msgspec

from engine.events import Answer, Event, Outcome, Subscribed

FAILURES = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
    AttributeError,
    msgspec.MsgspecError,
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Acknowledgement(msgspec.Struct):
    method: str
    success: bool
    req_id: int = 0
    error: str = ""


def acknowledged(payload: bytes) -> tuple[Event, ...]:
    """Return what the answer to a login or a subscription says."""
    answer = msgspec.json.decode(payload, type=_Acknowledgement)
    if answer.success:
        return (Answer(Outcome.DONE), Subscribed(str(answer.req_id)))
    return (Answer(Outcome.AUTH if answer.method == "login" else Outcome.REFUSED, code=answer.error[:200]),)


def request_of(payload: bytes) -> str | None:
    """Return the request that a frame answers, if it answers one."""
    try:
        return str(msgspec.json.decode(payload, type=_Acknowledgement).req_id)
    except FAILURES:
        return None


def nanoseconds(text: str) -> int:
    """Return a time such as 2026-01-02T03:04:05.678901Z. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 2000 <= moment.year < 2200:
        raise ValueError(f"no time: {text[:40]!r}")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1_000
