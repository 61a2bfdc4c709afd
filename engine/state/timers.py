"""When timers fire. Changes set a timer, never a decision, so a rebuild sets it too. engine/timer_names.py has the names."""

from hashlib import sha256

import msgspec

from engine.bodies import CommandName, LinkEvent
from engine.facts import LinkSteady, OrderUnknown, RateBlocked, Reconciled, ReconcileFailed
from engine.requests import Purpose
from engine.session_record import EngineSettings
from engine.state.changes import Change, Commanded, LinkMoved, Requested, Stamp, TimerFired
from engine.timer_names import TimerKind, TimerName

NEVER_NS = 2**63 - 1
CHECK = str(TimerName(TimerKind.CHECK))
RECONCILE = str(TimerName(TimerKind.RECONCILE))
STOP = str(TimerName(TimerKind.STOP))


class Timers(msgspec.Struct, frozen=True):
    due_ns: dict[str, int] = {}  # by name
    failures: dict[str, int] = {}  # link source, or "reconcile" -> failures in a row
    next_due_ns: int = NEVER_NS

    def next(self) -> tuple[int, TimerName] | None:
        """Return the timer that fires first and its time; of those due at once, the first by TimerName.sort_key."""
        if not self.due_ns:
            return None
        names = [TimerName.parse(text) for text, due_ns in self.due_ns.items() if due_ns == self.next_due_ns]
        return self.next_due_ns, min(names, key=lambda name: name.sort_key)


def periods(settings: EngineSettings, strategies: dict[str, int]) -> dict[str, int]:
    """Return the recurring timers of a session: name -> period.

    Args:
        settings: The session's settings.
        strategies: Strategies with a fixed cadence -> their period.

    """
    return {
        CHECK: settings.check_interval_ns,
        str(TimerName(TimerKind.REPORT)): settings.report_every_ns,
        **{str(TimerName(TimerKind.DECIDE, name)): period for name, period in strategies.items()},
    }


def jittered(settings: EngineSettings, source: str, failures: int, seed: int) -> int:
    """Exponential backoff with jitter of up to half, derived from the seed: a replay waits as long again."""
    full = min(settings.backoff_first_ns << min(failures, 20), settings.backoff_max_ns)
    draw = int.from_bytes(sha256(f"{seed} {source} {failures}".encode()).digest()[:4], "big")
    return full // 2 + (full // 2) * draw // 2**32


def reduce(
    timers: Timers, change: Change, at: Stamp, *, settings: EngineSettings, recurring: dict[str, int], seed: int
) -> Timers:
    due, failures = timers.due_ns, timers.failures
    match change:
        case TimerFired():
            name = change.timer.timer
            due = {other: when for other, when in due.items() if other != name}
            if name in recurring:
                period = recurring[name]
                due[name] = change.timer.due_ns + period * (change.timer.missed + 1)
        case LinkMoved() if change.link.state is LinkEvent.DOWN:
            failed = failures.get(change.source, 0)
            failures = {**failures, change.source: failed + 1}
            due = {
                **due,
                str(TimerName(TimerKind.CONNECT, change.source)): at.time_ns
                + jittered(settings, change.source, failed, seed),
            }
        case LinkSteady():
            failures = {source: failed for source, failed in failures.items() if source != change.source}
        case Reconciled():
            failures = {}  # all links were ready for it
            due = {**due, RECONCILE: at.time_ns + settings.reconcile_every_ns}
        case ReconcileFailed():
            # asked again later and later: what fails for good must not eat the budget of what works
            failed = failures.get(RECONCILE, 0)
            failures = {**failures, RECONCILE: failed + 1}
            wait_ns = min(
                settings.order_query_interval_ns << min(failed, 20),
                max(settings.backoff_max_ns, settings.order_query_interval_ns),
            )
            due = {**due, RECONCILE: at.time_ns + wait_ns}
        case OrderUnknown():
            name = str(TimerName(TimerKind.QUERY_ORDER, change.client_order_id))
            due = {**due, name: at.time_ns + settings.order_query_interval_ns // 2}
        case Requested() if change.request.purpose is Purpose.QUERY_ORDER and change.request.client_order_id:
            name = str(TimerName(TimerKind.QUERY_ORDER, change.request.client_order_id))
            due = {**due, name: at.time_ns + settings.order_query_interval_ns}
        case Requested() if change.request.purpose is Purpose.DEPTH:
            name = str(TimerName(TimerKind.SNAPSHOT, change.request.instrument))
            due = {**due, name: at.time_ns + settings.order_query_interval_ns}
        case RateBlocked():
            name = str(TimerName(TimerKind.RATE_BLOCK, change.venue))
            due = {**due, name: max(due.get(name, 0), change.until_ns)}
        case Commanded() if change.command.command is CommandName.STOP and STOP not in due:
            due = {**due, STOP: at.time_ns + settings.stop_timeout_ns}
        case _:
            return timers
    return Timers(due, failures, min(due.values(), default=NEVER_NS))
