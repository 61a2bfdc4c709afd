"""Where reconciliation stands: which round runs, what it still waits for, and up to which fill all is booked.

The comparison itself is engine/execution/reconciliation.py; here is only what must be remembered between records.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import FillsConfirmed, Reconciled, ReconcileFailed
from engine.state.changes import Change, LinkMoved, Requested, Stamp

QUERIES = frozenset({"open_orders", "account", "fills", "query_order"})


class ReconcileRounds(msgspec.Struct, frozen=True):
    round: int = 0  # the newest one begun
    started_seq: int = -1  # where it began: an answer is compared with what was known then
    done_round: int = 0  # the newest one that ended well
    done_started_seq: int = -1
    done_ns: int = 0
    failures: int = 0  # in a row
    fills_confirmed: dict[str, int] = {}  # instrument -> fill id
    fills_queried_ns: dict[str, int] = {}  # instrument -> when its fills were last asked for

    @property
    def running(self) -> bool:
        return self.round > self.done_round


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
        asked_ns = {**reconciling.fills_queried_ns, request.instrument: at.time_ns}
        reconciling = replace(reconciling, fills_queried_ns=asked_ns)
    if request.round > reconciling.round:
        reconciling = replace(reconciling, round=request.round, started_seq=at.seq)
    return reconciling
