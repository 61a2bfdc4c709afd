"""Requests on their way: each is sent at most once and ends in exactly one record.

Fresh: what was on its way when a session died is not answered in the next; its orders are asked about (engine/kernel.py).
"""

import msgspec

from engine.bodies import RequestBody
from engine.state.changes import Answered, Change, LinkMoved, Requested, Stamp

AWAITED = frozenset({"connect", "disconnect"})  # these end in a LINK record, not in an answer


class PendingRequest(msgspec.Struct, frozen=True):
    seq: int
    time_ns: int
    request: RequestBody


class PendingRequests(msgspec.Struct, frozen=True):
    by_seq: dict[int, PendingRequest] = {}

    def of(
        self, purpose: str, *, source: str = "", instrument: str = "", client_order_id: str | None = None
    ) -> PendingRequest | None:
        for awaited in self.by_seq.values():
            request = awaited.request
            if (request.purpose, request.source, request.instrument) != (purpose, source, instrument):
                continue
            if client_order_id in (None, request.client_order_id):
                return awaited
        return None

    def for_order(self, client_order_id: str) -> PendingRequest | None:
        for awaited in self.by_seq.values():
            if awaited.request.client_order_id == client_order_id:
                return awaited
        return None


def reduce(requests: PendingRequests, change: Change, at: Stamp) -> PendingRequests:
    match change:
        case Requested() if change.request.purpose not in AWAITED:
            return PendingRequests({**requests.by_seq, at.seq: PendingRequest(at.seq, at.time_ns, change.request)})
        case Answered() if change.request_seq in requests.by_seq:
            return PendingRequests(
                {seq: awaited for seq, awaited in requests.by_seq.items() if seq != change.request_seq}
            )
        case LinkMoved() if change.link.state == "down":
            # what was asked over a link that is gone will not be answered there
            kept = {
                seq: awaited
                for seq, awaited in requests.by_seq.items()
                if awaited.request.source != change.source or awaited.request.purpose != "subscribe"
            }
            return requests if len(kept) == len(requests.by_seq) else PendingRequests(kept)
        case _:
            return requests
