"""Errors of orders in the last while: a burst of them leads to a reconciliation, because our picture may be wrong.

Counted are rejected orders, orders without a known outcome, and cancels that failed. The start of a round begins the
count again. engine/handlers/watch_errors.py decides.
"""

import msgspec

from engine.events import Outcome
from engine.facts import CancelSettled, OrderClosed, OrderUnknown
from engine.lifecycle import Report
from engine.requests import Purpose
from engine.state.changes import Change, Requested, Stamp

KEPT_MAX = 100


class ErrorBursts(msgspec.Struct, frozen=True):
    """The times of the newest errors since the last round began."""

    times_ns: tuple[int, ...] = ()

    def count_since(self, from_ns: int) -> int:
        """Return how many errors came at or after a time."""
        return sum(time_ns >= from_ns for time_ns in self.times_ns)


def reduce(errors: ErrorBursts, change: Change, at: Stamp) -> ErrorBursts:
    """Fold errors of orders, and the start of a round."""
    match change:
        case OrderUnknown():
            is_error = True
        case OrderClosed():
            is_error = change.status is Report.REJECTED
        case CancelSettled():
            is_error = not change.outcome.startswith(Outcome.DONE)
        case Requested() if change.request.round and change.request.purpose is Purpose.OPEN_ORDERS:
            return ErrorBursts()
        case _:
            is_error = False
    return ErrorBursts((*errors.times_ns, at.time_ns)[-KEPT_MAX:]) if is_error else errors
