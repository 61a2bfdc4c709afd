"""Breakers: equal refusals of an instrument's or a strategy's orders, and the pauses that they led to.

Counted are rejections by the venue, orders without an answer, and refusals by our own risk rules. An order that is
accepted (of a strategy: approved) starts the count again. `engine/handlers/trip_breakers.py` decides on a pause. A
pause ends with its time or by a person's command. After one that ended with its time, the next refusals lead to a
pause twice as long.
"""

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandName, VerdictBody
from engine.facts import BreakerScope, BreakerTripped, OrderAccepted, OrderClosed, OrderUnknown
from engine.lifecycle import Report
from engine.session_record import SECOND_NS, SafeguardSettings
from engine.state.changes import Change, Commanded, Requested, Stamp
from engine.state.orders import Order, Orders

REASONS_MAX = 16  # of one subject; a venue's texts are foreign, and the oldest is dropped
REASON_CHARS_MAX = 200
UNANSWERED = "no answer"
RISK = "risk "
RATE_PAUSE_NS = SECOND_NS
EXIT_WAIT_NS = SECOND_NS  # of a paused strategy, after its first refused exit
EXIT_WAIT_NS_MAX = 60 * SECOND_NS
RATE_RULES = frozenset({
    "rate", "order_limit", "placement_budget", "strategy_placement_budget", "cancel_budget", "strategy_cancel_budget",
    "replacement_budget", "strategy_replacement_budget",
})  # fmt: skip
NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
COMMAND_SCOPES = {
    CommandName.RESUME_INSTRUMENT: BreakerScope.INSTRUMENT,
    CommandName.RESUME_STRATEGY: BreakerScope.STRATEGY,
}


class Tally(msgspec.Struct, frozen=True):
    """Equal refusals since a time."""

    reason: str  # as the newest one said it; before order_rules 5 the first one
    since_ns: int
    count: int


class Pause(msgspec.Struct, frozen=True):
    """A pause, kept until its subject works again."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"exits_only", "exit_refusals", "exits_from_ns"})

    reason: str
    since_ns: int
    until_ns: int
    may_run: bool = False  # the strategy still runs: only its new orders are dropped
    exits_only: bool = False  # it runs for its exits: its other orders are cancelled
    exit_refusals: int = 0  # of exits during the pause
    exits_from_ns: int = 0  # the next exit waits until then, after one was refused


class Breakers(msgspec.Struct, frozen=True):
    """Counts and pauses by "scope subject". `due` are subjects to decide on: (key, kind of reason)."""

    tallies: dict[str, dict[str, Tally]] = {}
    pauses: dict[str, Pause] = {}
    due: tuple[tuple[str, str], ...] = ()

    def pause_reason(self, scope: BreakerScope, subject: str, time_ns: int) -> str:
        """Return why the subject is paused now, or ""."""
        if not self.pauses:
            return ""
        pause = self.pauses.get(key_of(scope, subject))
        return "" if pause is None or time_ns >= pause.until_ns else pause.reason

    def active(self, scope: BreakerScope, subject: str, time_ns: int) -> Pause | None:
        """Return the subject's pause, if one lasts."""
        pause = self.pauses.get(key_of(scope, subject))
        return None if pause is None or time_ns >= pause.until_ns else pause

    def may_run(self, strategy: str, time_ns: int) -> bool:
        """Return True if the strategy may run now."""
        if not self.pauses:
            return True
        pause = self.pauses.get(key_of(BreakerScope.STRATEGY, strategy))
        return pause is None or time_ns >= pause.until_ns or pause.may_run


def key_of(scope: BreakerScope, subject: str) -> str:
    """Return the key of a subject."""
    return f"{scope} {subject}"


def risk_kind(instrument: str, rules: str) -> str:
    """Return the kind of a refusal by these of our risk rules."""
    return f"{RISK}{instrument} {rules}"


def is_of_rates(kind: str) -> bool:
    """Return True if rate rules alone refused."""
    rules = kind.removeprefix(RISK).partition(" ")[2].split(", ")
    return kind.startswith(RISK) and RATE_RULES.issuperset(rules)


def next_pause_ns(pause: Pause | None, kind: str, time_ns: int, settings: SafeguardSettings) -> int:
    """Return the length of a pause that begins now. Refusals by rate limits alone first pause for 1 s."""
    first_ns = min(RATE_PAUSE_NS, settings.pause_first_ns) if is_of_rates(kind) else settings.pause_first_ns
    if pause is None or not _is_recent(pause, time_ns):
        return first_ns
    return min(max(first_ns, 2 * (pause.until_ns - pause.since_ns)), settings.pause_max_ns)


def _is_recent(pause: Pause, time_ns: int) -> bool:
    """Return True until as much time passed since a pause's end as it lasted."""
    return time_ns <= 2 * pause.until_ns - pause.since_ns


def reduce(
    breakers: Breakers, change: Change, at: Stamp, *, orders: Orders, settings: SafeguardSettings, keeps_newest: bool
) -> Breakers:
    """Count refusals, and start again with a success.

    Args:
        breakers: The breakers.
        change: The change.
        at: The record that brings it.
        orders: The orders before the change.
        settings: Its limits; with a limit of 0 nothing is counted.
        keeps_newest: The reason of equal refusals is that of the newest one (from order_rules 5 on).

    """
    match change:
        case OrderAccepted() | Requested() if not breakers.tallies and not breakers.pauses:
            return breakers  # nothing to forget
        case OrderClosed() if change.status is Report.REJECTED and settings.rejections_max:
            refusal = _Refusal(f"venue {NUMBERS.sub('#', change.reason)}", change.reason, at.time_ns, keeps_newest)
            return _rejected(breakers, orders.get(change.client_order_id), refusal, settings)
        case OrderUnknown() if settings.rejections_max:
            refusal = _Refusal(f"venue {UNANSWERED}", UNANSWERED, at.time_ns, keeps_newest)
            return _rejected(breakers, orders.get(change.client_order_id), refusal, settings)
        case VerdictBody() if settings.refusals_max and change.strategy:
            rules = ", ".join(name for name, reason in sorted(change.rules.items()) if reason)
            reason = "; ".join(reason for _, reason in sorted(change.rules.items()) if reason)
            refusal = _Refusal(risk_kind(change.instrument, rules), reason, at.time_ns, keeps_newest)
            key = key_of(BreakerScope.STRATEGY, change.strategy)
            if settings.paused_exits and breakers.pauses:
                keys = (key, key_of(BreakerScope.INSTRUMENT, change.instrument))
                breakers = _with_refused_exit(breakers, keys, at.time_ns)
            return _counted(breakers, key, refusal, settings.refusals_max, settings.window_ns)
        case OrderAccepted():
            order = orders.get(change.client_order_id)
            if order is None:
                return breakers
            subjects = ((BreakerScope.INSTRUMENT, order.order.instrument), (BreakerScope.STRATEGY, order.strategy))
            return _cleared(breakers, [key_of(scope, subject) for scope, subject in subjects], at)
        case Requested() if change.request.placed:
            return _approved(breakers, key_of(BreakerScope.STRATEGY, change.request.strategy), at)
        case BreakerTripped():
            key = key_of(change.scope, change.subject)
            pause = Pause(change.reason, at.time_ns, change.until_ns, change.may_run, change.exits_only)
            due = tuple(waiting for waiting in breakers.due if waiting[0] != key)
            return replace(breakers, pauses={**breakers.pauses, key: pause}, due=due)
        case Commanded() if change.command.command in COMMAND_SCOPES:
            return _resumed(breakers, COMMAND_SCOPES[change.command.command], change.command.about)
        case _:
            return breakers


class _Refusal(NamedTuple):
    kind: str
    reason: str
    time_ns: int
    is_kept: bool  # in place of the reason of equal refusals before it


def _rejected(breakers: Breakers, order: Order | None, refusal: _Refusal, settings: SafeguardSettings) -> Breakers:
    """Count a rejection for the order's instrument and for its strategy."""
    if order is None or order.adopted:
        return breakers
    limit, window_ns = settings.rejections_max, settings.window_ns
    if settings.paused_exits and breakers.pauses:
        subjects = ((BreakerScope.INSTRUMENT, order.order.instrument), (BreakerScope.STRATEGY, order.strategy))
        breakers = _with_refused_exit(breakers, [key_of(*subject) for subject in subjects], refusal.time_ns)
    breakers = _counted(breakers, key_of(BreakerScope.INSTRUMENT, order.order.instrument), refusal, limit, window_ns)
    # a strategy that is rejected on one instrument alone pauses that instrument first
    return _counted(breakers, key_of(BreakerScope.STRATEGY, order.strategy), refusal, 2 * limit, window_ns)


def _with_refused_exit(breakers: Breakers, keys: Iterable[str], time_ns: int) -> Breakers:
    """Return the breakers after a refusal during pauses of these subjects: their next exit waits twice as long."""
    pauses = dict(breakers.pauses)
    for key in keys:
        pause = pauses.get(key)
        if pause is not None and time_ns < pause.until_ns:
            wait_ns = min(EXIT_WAIT_NS << min(pause.exit_refusals, 10), EXIT_WAIT_NS_MAX)
            refusals = pause.exit_refusals + 1
            pauses[key] = replace(pause, exit_refusals=refusals, exits_from_ns=time_ns + wait_ns)
    return replace(breakers, pauses=pauses)


def _counted(breakers: Breakers, key: str, refusal: _Refusal, limit: int, window_ns: int) -> Breakers:
    """Return the breakers with one more refusal of a subject, due for a decision if it reached the limit."""
    kind, reason, time_ns = refusal.kind[:REASON_CHARS_MAX], refusal.reason[:REASON_CHARS_MAX], refusal.time_ns
    found = breakers.tallies.get(key, {})
    tally = found.get(kind)
    pause = breakers.pauses.get(key)
    is_repeated = tally is not None and tally.count >= limit and pause is not None and _is_recent(pause, time_ns)
    if tally is None or (not is_repeated and time_ns - tally.since_ns > window_ns):
        tally = Tally(reason, time_ns, 1)
    else:
        tally = replace(tally, count=tally.count + 1, reason=reason if refusal.is_kept else tally.reason)
    kept = {other: value for other, value in found.items() if other != kind}
    if len(kept) >= REASONS_MAX:
        del kept[min(kept, key=lambda other: (kept[other].since_ns, other))]
    is_due = tally.count >= limit and (pause is None or time_ns >= pause.until_ns)
    due = (*breakers.due, (key, kind)) if is_due and (key, kind) not in breakers.due else breakers.due
    return replace(breakers, tallies={**breakers.tallies, key: {**kept, kind: tally}}, due=due)


def _cleared(breakers: Breakers, keys: list[str], at: Stamp) -> Breakers:
    """Forget the refusals of subjects that work again. A pause that lasts stays."""
    if not any(key in breakers.tallies or key in breakers.pauses for key in keys):
        return breakers
    pauses = {key: pause for key, pause in breakers.pauses.items() if key not in keys or at.time_ns < pause.until_ns}
    return Breakers(_without(breakers.tallies, keys), pauses, tuple(due for due in breakers.due if due[0] not in keys))


def _approved(breakers: Breakers, key: str, at: Stamp) -> Breakers:
    """Forget the refusals by risk of a strategy that got an order approved; the venue may still reject it."""
    found = breakers.tallies.get(key)
    if found is None:
        return breakers
    kept = {kind: tally for kind, tally in found.items() if not kind.startswith(RISK)}
    if len(kept) == len(found):
        return breakers
    tallies = {**_without(breakers.tallies, [key]), **({key: kept} if kept else {})}
    pauses = breakers.pauses
    if not kept and key in pauses and at.time_ns >= pauses[key].until_ns:
        pauses = {other: pause for other, pause in pauses.items() if other != key}
    return Breakers(tallies, pauses, tuple(due for due in breakers.due if due[0] != key or due[1] in kept))


def _resumed(breakers: Breakers, scope: BreakerScope, about: str) -> Breakers:
    keys = [
        key
        for key in sorted({*breakers.pauses, *breakers.tallies})
        if key == key_of(scope, about) or (key.startswith(f"{scope} ") and about and key.endswith(f":{about}"))
    ]
    pauses = {key: pause for key, pause in breakers.pauses.items() if key not in keys}
    return Breakers(_without(breakers.tallies, keys), pauses, tuple(due for due in breakers.due if due[0] not in keys))


def _without(tallies: Mapping[str, dict[str, Tally]], keys: list[str]) -> dict[str, dict[str, Tally]]:
    return {key: found for key, found in tallies.items() if key not in keys}
