"""Rounds of reconciliation: which one runs, when the last one ended, and up to which fill everything is recorded.

engine/execution/reconciliation.py makes the queries and compares the answers; this module keeps what must outlive a
record.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import FillsConfirmed, Reconciled, ReconcileFailed
from engine.requests import Purpose
from engine.state.changes import Change, LinkMoved, Requested, Stamp


class ReconcileRounds(msgspec.Struct, frozen=True):
    round: int = 0  # the newest one
    started_seq: int = -1  # its start: an answer is compared with what was known then
    done_round: int = 0  # the newest one that ended well
    done_started_seq: int = -1
    done_ns: int = 0
    failures: int = 0  # in a row
    fills_confirmed: dict[str, int] = {}  # instrument -> fill id
    fills_asked_ns: dict[str, int] = {}  # instrument -> time of the last query for its fills

    @property
    def running(self) -> bool:
        return self.round > self.done_round


def reduce(rounds: ReconcileRounds, change: Change, at: Stamp) -> ReconcileRounds:
    """Fold the queries of a round, its end, and confirmed fills."""
    match change:
        case Requested():
            request = change.request
            if request.purpose is Purpose.FILLS:
                rounds = replace(rounds, fills_asked_ns={**rounds.fills_asked_ns, request.instrument: at.time_ns})
            if request.round > rounds.round:
                rounds = replace(rounds, round=request.round, started_seq=at.seq)
            return rounds
        case FillsConfirmed():
            return replace(rounds, fills_confirmed={**rounds.fills_confirmed, change.instrument: change.fill_id})
        case Reconciled():
            return replace(
                rounds,
                done_round=change.round,
                done_started_seq=rounds.started_seq,
                done_ns=at.time_ns,
                failures=0,
            )
        case ReconcileFailed():
            return replace(rounds, done_round=change.round, done_started_seq=-1, failures=rounds.failures + 1)
        case LinkMoved():
            return replace(rounds, failures=0)  # with a new connection a new round may begin at once
        case _:
            return rounds
