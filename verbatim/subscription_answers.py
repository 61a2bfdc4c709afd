"""What answers of a venue mean to `verbatim check`, and its wait for those to the subscriptions of a link."""

from collections.abc import Sequence

import trio

from engine.events import Answer, Event, Outcome, Subscribed
from engine.live.transport.http_result import HttpResult
from engine.requests import LinkPlan, LinkRole
from engine.venues.venue import RowsAndEvents, Venue


async def refusal_of(venue: Venue, plan: LinkPlan, request_id: str, frames: trio.MemoryReceiveChannel[bytes]) -> str:
    """Wait for the answer to a subscription. Return why it is refused, or "".

    A venue whose answers name no request answers in the order of the requests.
    """
    async for frame in frames:
        answered = venue.account.answered_request(frame)
        if answered not in (None, request_id):
            continue
        events = _events_of(venue, plan, frame)
        if any(isinstance(event, Subscribed) for event in events):
            return ""
        if answered is not None or any(isinstance(event, Answer) for event in events):
            return answer_text(events).removeprefix(", ") or "the answer cannot be read"
    return "the connection ended"


def _events_of(venue: Venue, plan: LinkPlan, frame: bytes) -> tuple[Event, ...]:
    """Return the events of a frame of a link; none of a market message."""
    if plan.role is LinkRole.PRIVATE:
        return venue.account.decode_private(frame)
    found = venue.market.decode(frame, plan.source, 0, 0)
    if isinstance(found, RowsAndEvents):
        return found.events
    return found if isinstance(found, tuple) else ()


def answer_text(events: Sequence[object]) -> str:
    """Return code and text of an answer that has a code, for the end of a message; else ""."""
    answer = next((event for event in events if isinstance(event, Answer) and event.code), None)
    return "" if answer is None else f", {answer.coded_text}"


def outcome_of(events: Sequence[Event]) -> Outcome:
    """Return what an answer proves."""
    return next((event.outcome for event in events if isinstance(event, Answer)), Outcome.UNKNOWN)


def body_text(result: HttpResult) -> str:
    """Return the begin of a body in brackets, for the end of a message; "" without one."""
    text = " ".join(result.body[:400].decode("utf-8", "replace").split())[:120]
    return f" ({text})" if text else ""
