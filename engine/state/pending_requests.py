"""Pending requests: each is sent at most once and ends in exactly one record.

The account starts each session without any: no answer to a request of the previous session arrives, so the venue is
queried about its orders (engine/kernel.py).
"""

import msgspec

from engine.bodies import LinkEvent, RequestBody
from engine.requests import Purpose
from engine.state.changes import Answered, Change, LinkMoved, Requested, Stamp

SENT_OVER_LINK = frozenset({Purpose.SUBSCRIBE, Purpose.RESUBSCRIBE, Purpose.PROBE})
UNANSWERED = frozenset({Purpose.CONNECT, Purpose.DISCONNECT})  # these end in a LINK record, not in an answer


class PendingRequest(msgspec.Struct, frozen=True):
    """A request without an answer yet."""

    seq: int
    time_ns: int
    request: RequestBody


class PendingRequests(msgspec.Struct, frozen=True):
    """The requests without an answer yet, by the seq of their record."""

    by_seq: dict[int, PendingRequest] = {}

    def find(
        self,
        purpose: Purpose,
        *,
        venue: str = "",
        source: str = "",
        instrument: str = "",
        client_order_id: str | None = None,
    ) -> PendingRequest | None:
        """Return the oldest pending request with these fields. No `venue` and a `client_order_id` of None match any."""
        for pending in self.by_seq.values():
            request = pending.request
            if (request.purpose, request.source, request.instrument) != (purpose, source, instrument):
                continue
            if client_order_id in (None, request.client_order_id) and venue in ("", request.venue):
                return pending
        return None

    def oldest(self, purpose: Purpose, *, source: str) -> PendingRequest | None:
        """Return the oldest pending request of a purpose that was sent over a link."""
        found = (pending for pending in self.by_seq.values() if pending.request.source == source)
        return next((pending for pending in found if pending.request.purpose is purpose), None)

    def for_order(self, client_order_id: str) -> PendingRequest | None:
        """Return the oldest pending request about an order. A query for its fills hinders none."""
        for pending in self.by_seq.values():
            request = pending.request
            if request.client_order_id == client_order_id and request.purpose is not Purpose.FILLS:
                return pending
            if request.legs and any(leg.client_order_id == client_order_id for leg in request.legs):
                return pending
        return None


def reduce(requests: PendingRequests, change: Change, at: Stamp) -> PendingRequests:
    """Add a request that was made; drop it when it ends."""
    match change:
        case Requested() if change.request.purpose not in UNANSWERED:
            return PendingRequests({**requests.by_seq, at.seq: PendingRequest(at.seq, at.time_ns, change.request)})
        case Answered() if change.request_seq in requests.by_seq:
            return PendingRequests(
                {seq: pending for seq, pending in requests.by_seq.items() if seq != change.request_seq}
            )
        case LinkMoved() if change.link.state is LinkEvent.DOWN:
            # a request that was sent over a lost link is not answered there
            kept = {
                seq: pending
                for seq, pending in requests.by_seq.items()
                if pending.request.source != change.source or pending.request.purpose not in SENT_OVER_LINK
            }
            return requests if len(kept) == len(requests.by_seq) else PendingRequests(kept)
        case _:
            return requests
