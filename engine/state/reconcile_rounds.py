"""Where reconciliation stands: which round runs, what it still waits for, and up to which fill all is booked.

The comparison itself is engine/execution/reconciliation.py; here is only what must be remembered between records.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import FillsConfirmed, Reconciled, ReconcileFailed
from engine.state.changes import Change, LinkMoved, Requested, Stamp
from engine.state.fill_cursor import FillCursor
from engine.state.orders import Order

QUERIES = frozenset({"open_orders", "account", "fills", "query_order"})


class ReconcileRounds(msgspec.Struct, frozen=True):
    round: int = 0  # the newest one begun
    started_seq: int = -1  # where it began: an answer is compared with what was known then
    done_round: int = 0  # the newest one that ended well
    done_started_seq: int = -1
    done_ns: int = 0
    failures: int = 0  # in a row
    fills_confirmed: dict[str, int | str] = {}  # instrument -> fill cursor, as records hold it
    fills_asked_ns: dict[str, int] = {}  # instrument -> when its fills were last asked for

    @property
    def running(self) -> bool:
        return self.round > self.done_round

    def confirmed_cursor(self, instrument: str) -> str | None:
        """Return the cursor up to which every fill is booked, or None before the first page."""
        confirmed = self.fills_confirmed.get(instrument)
        return None if confirmed is None else str(confirmed)

    def confirms(self, order: Order, cursors: FillCursor) -> bool:
        """Return True if a reconciliation has confirmed every fill of this order.

        Where an id does not give its place among the fills, a round that began after the order last changed is the proof.
        """
        confirmed = self.confirmed_cursor(order.order.instrument)
        confirmed_key = cursors.key(cursors.start if confirmed is None else confirmed)
        places = [cursors.of_id(fill_id) for fill_id in order.fill_ids]
        return all(
            self.done_started_seq > order.updated_seq if place is None else cursors.key(place) <= confirmed_key
            for place in places
        )


def reduce(reconciling: ReconcileRounds, change: Change, at: Stamp) -> ReconcileRounds:
    match change:
        case Requested():
            return _requested(reconciling, change, at)
        case FillsConfirmed():
            return replace(
                reconciling, fills_confirmed={**reconciling.fills_confirmed, change.instrument: change.fill_id}
            )
        case Reconciled():
            return replace(
                reconciling,
                done_round=change.round,
                done_started_seq=reconciling.started_seq,
                done_ns=at.time_ns,
                failures=0,
            )
        case ReconcileFailed():
            return replace(reconciling, done_round=change.round, done_started_seq=-1, failures=reconciling.failures + 1)
        case LinkMoved():
            return replace(reconciling, failures=0)  # a new connection is a new reason to ask at once
        case _:
            return reconciling


def _requested(reconciling: ReconcileRounds, change: Requested, at: Stamp) -> ReconcileRounds:
    request = change.request
    if request.purpose == "fills":
        asked_ns = {**reconciling.fills_asked_ns, request.instrument: at.time_ns}
        reconciling = replace(reconciling, fills_asked_ns=asked_ns)
    if request.round > reconciling.round:
        reconciling = replace(reconciling, round=request.round, started_seq=at.seq)
    return reconciling
