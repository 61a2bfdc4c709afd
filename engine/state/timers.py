"""Timers: when the engine must run although nothing arrives. Rules set them from changes, so a rebuild sets them too.

Keys are the names of timers as their records spell them (engine/timer_names.py).
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from hashlib import sha256
from math import gcd

import msgspec

from engine.bodies import CommandName, LinkEvent, RequestBody
from engine.facts import (
    LinkSteady,
    OrderUnknown,
    PlanEnded,
    PlanMoved,
    PollFailed,
    RateBlocked,
    Reconciled,
    ReconcileFailed,
)
from engine.requests import Purpose
from engine.session_record import EngineSettings, SafeguardSettings
from engine.state.changes import Change, Commanded, LinkMoved, Requested, Stamp, TimerFired
from engine.timer_names import TimerKind, TimerName

NEVER_NS = 2**63 - 1
RECONCILE = TimerKind.RECONCILE.value
STOP = TimerKind.STOP.value
DAY_NS = 86_400_000_000_000


class Timers(msgspec.Struct, frozen=True):
    """Due times of the timers that are set."""

    due_ns: dict[str, int] = {}
    failures: dict[str, int] = {}  # link source, or the name of a timer of rounds -> failures in a row
    next_due_ns: int = NEVER_NS

    def next(self) -> tuple[int, str]:
        """Return (due, name) of the first timer. TimerName.sort_key breaks ties."""
        names = [name for name, due_ns in self.due_ns.items() if due_ns == self.next_due_ns]
        if len(names) == 1:
            return self.next_due_ns, names[0]
        return self.next_due_ns, min(names, key=lambda name: TimerName.parse(name).sort_key, default="")

    def is_set(self, kind: TimerKind, subject: str = "") -> bool:
        """Return True if the timer has not fired yet."""
        return timer_name(kind, subject) in self.due_ns


@lru_cache(maxsize=256)
def timer_name(kind: TimerKind, subject: str = "") -> str:
    """Return a timer's name as its record spells it."""
    return str(TimerName(kind, subject))


def periods(
    settings: EngineSettings,
    strategies: dict[str, int],
    safeguards: SafeguardSettings | None = None,
    bars_ns: Collection[int] = (),
) -> dict[str, int]:
    """Return the recurring timers of a session, name -> period.

    Args:
        settings: The session's settings.
        strategies: The periods of the strategies with a fixed cadence, by name.
        safeguards: The session's safeguards.
        bars_ns: The intervals of its bars. One timer ends all, so that those that end together close together.
    """
    return {
        timer_name(TimerKind.CHECK): settings.check_interval_ns,
        timer_name(TimerKind.REPORT): settings.report_every_ns,
        **{timer_name(TimerKind.DECIDE, name): period_ns for name, period_ns in strategies.items()},
        **(
            {timer_name(TimerKind.METADATA): safeguards.metadata_every_ns}
            if safeguards is not None and safeguards.metadata_every_ns
            else {}
        ),
        **(
            {timer_name(TimerKind.BARS): gcd(*bars_ns, DAY_NS)}  # no longer than a day: every interval ends with one
            if settings.bar_close_after_ns and bars_ns
            else {}
        ),
    }


def first_due_ns(name: str, period_ns: int, settings: EngineSettings, started_ns: int) -> int:
    """Return when a recurring timer of a session is due first: that of bars follows their ends, which are UTC's."""
    if name == timer_name(TimerKind.BARS):
        after_ns = settings.bar_close_after_ns
        return ((started_ns - after_ns) // period_ns + 1) * period_ns + after_ns
    return started_ns + period_ns


def jittered(settings: EngineSettings, source: str, failures: int, seed: int) -> int:
    """Return an exponential backoff with a jitter of up to half, in nanoseconds.

    The seed makes a replay wait as long.
    """
    full = min(settings.backoff_first_ns << min(failures, 20), settings.backoff_max_ns)
    draw = int.from_bytes(sha256(f"{seed} {source} {failures}".encode()).digest()[:4], "big")
    return full // 2 + (full // 2) * draw // 2**32


def reduce(
    timers: Timers,
    change: Change,
    at: Stamp,
    *,
    settings: EngineSettings,
    recurring: dict[str, int],
    seed: int,
    metadata_retry_ns: int = 0,
    rounds_every_ns: int = 0,
) -> Timers:
    """Apply a change: add the timers that it sets, drop the one that fired."""
    failures = timers.failures
    match change:
        case Requested():
            found = _timer_of_request(change.request, at, settings, metadata_retry_ns)
            return timers if found is None else _set({**timers.due_ns, found[0]: found[1]}, failures)
        case TimerFired():
            name = change.timer.timer
            due = {other: due_ns for other, due_ns in timers.due_ns.items() if other != name}
            if name in recurring:
                due[name] = change.timer.due_ns + recurring[name] * (change.timer.missed + 1)
            return _set(due, failures)
        case LinkMoved() if change.link.state is LinkEvent.DOWN:
            failed = failures.get(change.source, 0)
            name = timer_name(TimerKind.CONNECT, change.source)
            due_ns = at.time_ns + jittered(settings, change.source, failed, seed)
            return _set({**timers.due_ns, name: due_ns}, {**failures, change.source: failed + 1})
        case LinkSteady():
            return _set(timers.due_ns, {source: count for source, count in failures.items() if source != change.source})
        case Reconciled() if settings.order_rules:  # a market link may be down meanwhile: LinkSteady ends its failures
            name = timer_name(TimerKind.RECONCILE, change.venue)
            kept = {source: count for source, count in failures.items() if source != name}
            every_ns = min(rounds_every_ns or settings.reconcile_every_ns, settings.reconcile_every_ns)
            return _set({**timers.due_ns, name: at.time_ns + every_ns}, kept)
        case Reconciled():  # all links were ready for it, so their failures are over
            return _set({**timers.due_ns, RECONCILE: at.time_ns + settings.reconcile_every_ns}, {})
        case ReconcileFailed():
            # each failure doubles the wait: a query that never works must not use up the budget of those that do
            name = timer_name(TimerKind.RECONCILE, change.venue)
            failed = failures.get(name, 0)
            wait_ns = min(
                settings.order_query_interval_ns << min(failed, 20),
                max(settings.backoff_max_ns, settings.order_query_interval_ns),
            )
            return _set({**timers.due_ns, name: at.time_ns + wait_ns}, {**failures, name: failed + 1})
        case RateBlocked():
            name = timer_name(TimerKind.RATE_BLOCK, change.venue)
            return _set({**timers.due_ns, name: max(timers.due_ns.get(name, 0), change.until_ns)}, failures)
        case PlanMoved() if change.next_ns:
            return _set({**timers.due_ns, timer_name(TimerKind.PLAN, change.plan_id): change.next_ns}, failures)
        case PlanEnded():
            name = timer_name(TimerKind.PLAN, change.plan_id)
            return _set({other: due_ns for other, due_ns in timers.due_ns.items() if other != name}, failures)
        case PollFailed():
            name = timer_name(TimerKind.POLL, f"{change.instrument}/{change.stream}")
            return _set({**timers.due_ns, name: change.retry_ns}, failures)
        case _:
            found = _once(change, at, settings)
            if found is None or (found[0] == STOP and STOP in timers.due_ns):
                return timers
            return _set({**timers.due_ns, found[0]: at.time_ns + found[1]}, failures)


def with_events_due(timers: Timers, strategies: Sequence[str], at: Stamp) -> Timers:
    """Set the timers of strategies that decide on events of the account; they fire before the next input."""
    if not strategies:
        return timers
    due_ns = dict.fromkeys((timer_name(TimerKind.EVENT, name) for name in strategies), at.time_ns)
    return _set({**timers.due_ns, **due_ns}, timers.failures)


def _timer_of_request(
    request: RequestBody, at: Stamp, settings: EngineSettings, metadata_retry_ns: int
) -> tuple[str, int] | None:
    """Return (name, due) of the timer that a request sets."""
    if request.order is not None:
        till_ns = request.order.good_till_ns
        return (timer_name(TimerKind.EXPIRY, request.client_order_id), till_ns) if till_ns else None
    wait_ns = settings.order_query_interval_ns
    match request.purpose:
        case Purpose.EXCHANGE_INFO:
            return timer_name(TimerKind.METADATA_RETRY, request.venue), at.time_ns + metadata_retry_ns
        case Purpose.QUERY_ORDER if request.client_order_id:
            return timer_name(TimerKind.QUERY_ORDER, request.client_order_id), at.time_ns + wait_ns
        case Purpose.DEPTH:
            return timer_name(TimerKind.SNAPSHOT, request.instrument), at.time_ns + wait_ns
        case _ if request.poll is not None:
            return timer_name(TimerKind.POLL, request.poll.key), at.time_ns + request.poll.every_ns
        case _:
            return None


def _once(change: Change, at: Stamp, settings: EngineSettings) -> tuple[str, int] | None:
    """Return (name, wait) of the timer that a change sets once."""
    match change:
        case OrderUnknown():
            return timer_name(TimerKind.QUERY_ORDER, change.client_order_id), settings.order_query_interval_ns // 2
        case Commanded() if change.command.command is CommandName.STOP:
            return STOP, settings.stop_timeout_ns
        case _:
            return None


def _set(due_ns: dict[str, int], failures: dict[str, int]) -> Timers:
    return Timers(due_ns, failures, min(due_ns.values(), default=NEVER_NS))
