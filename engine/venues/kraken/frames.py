"""The common part of the public and the private websockets: acknowledgements, errors, and frames without content."""

from typing import Final

import msgspec

from engine.events import Answer, Event, Outcome, Subscribed
from engine.venues.kraken.error_codes import classify, retry_at_ns
from engine.venues.kraken.values import FAILURES, TEXT_MAX

# channels whose frames change nothing here, with the reason
QUIET: Final = {
    "heartbeat": "it proves that the link lives, and its arrival is enough",
    "status": "the state of the venue: orders that it does not take are refused",
}


class _Result(msgspec.Struct):
    channel: str = ""
    symbol: str = ""


class _Acknowledgement(msgspec.Struct):
    method: str
    success: bool | None = None  # a pong has none
    req_id: int | None = None
    error: str = ""
    result: _Result | None = None


class ChannelFrame(msgspec.Struct):
    """A message of a channel, or an answer, whose channel is ""."""

    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    sequence: int | None = None


def acknowledged(payload: bytes) -> tuple[Event, ...]:
    """Return what the answer to a request over a websocket says."""
    answer = msgspec.json.decode(payload, type=_Acknowledgement)
    if answer.method == "pong":
        return ()
    if answer.success:
        named = answer.result or _Result()
        return (Answer(Outcome.DONE), Subscribed(f"{named.channel} {named.symbol}".strip()[:TEXT_MAX]))
    if answer.success is None:
        raise ValueError(f"an answer to {answer.method[:40]!r} that states no success")
    text = answer.error[:TEXT_MAX]
    outcome = classify(text)
    refused = Outcome.REFUSED if outcome is Outcome.UNKNOWN else outcome  # a subscription that failed is not there
    return (Answer(refused, code=text or "no reason", text=text, retry_at_ns=retry_at_ns(text)),)


def request_of(payload: bytes) -> str | None:
    """Return the id of the request that a frame answers, if it answers one."""
    try:
        found = msgspec.json.decode(payload, type=_Acknowledgement).req_id
    except FAILURES:
        return None
    return None if found is None else str(found)
