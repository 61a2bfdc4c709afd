"""When the engine wants to be woken. A timer is set by a rule from what happened, never by a decision, so rebuilding sets it too.

Names: "every.<what>" recurs; "connect.<source>", "ask.<client order id>", "depth.<instrument>", "reconcile", "rate.<venue>", "stop" fire once.
"""

from hashlib import sha256

import msgspec

from engine.facts import LinkSteady, OrderUnknown, RateBlocked, Reconciled, ReconcileFailed
from engine.session_record import EngineSettings
from engine.state.changes import Change, Commanded, LinkMoved, Requested, Stamp, TimerFired

NEVER_NS = 2**63 - 1


class Timers(msgspec.Struct, frozen=True):
    due_ns: dict[str, int] = {}
    failures: dict[str, int] = {}  # link source, or "reconcile" -> failures in a row
    next_due_ns: int = NEVER_NS

    def next(self) -> tuple[int, str]:
        """Ties go by (due, name)."""
        return min(zip(self.due_ns.values(), self.due_ns, strict=True), default=(NEVER_NS, ""))


def strategy_of(timer: str) -> str:
    """The strategy that a timer asks; "" where it asks none."""
    kind, _, rest = timer.partition(".")
    recurring, _, name = rest.partition(".")
    return rest if kind == "watch" else name if (kind, recurring) == ("every", "strategy") else ""


def periods(settings: EngineSettings, strategies: dict[str, int]) -> dict[str, int]:
    """The recurring timers of a session: name -> period. `strategies`: those with a fixed cadence."""
    return {
        "every.watch": settings.watch_every_ns,
        "every.report": settings.report_every_ns,
        **{f"every.strategy.{name}": period for name, period in strategies.items()},
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
        case LinkMoved() if change.link.state == "down":
            failed = failures.get(change.source, 0)
            failures = {**failures, change.source: failed + 1}
            due = {**due, f"connect.{change.source}": at.time_ns + jittered(settings, change.source, failed, seed)}
        case LinkSteady():
            failures = {source: failed for source, failed in failures.items() if source != change.source}
        case Reconciled():
            failures = {}  # all links were ready for it
            due = {**due, "reconcile": at.time_ns + settings.reconcile_every_ns}
        case ReconcileFailed():
            # asked again later and later: what fails for good must not eat the budget of what works
            failed = failures.get("reconcile", 0)
            failures = {**failures, "reconcile": failed + 1}
            wait_ns = min(settings.ask_every_ns << min(failed, 20), max(settings.backoff_max_ns, settings.ask_every_ns))
            due = {**due, "reconcile": at.time_ns + wait_ns}
        case OrderUnknown():
            due = {**due, f"ask.{change.client_order_id}": at.time_ns + settings.ask_every_ns // 2}
        case Requested() if change.request.purpose == "query_order" and change.request.client_order_id:
            due = {**due, f"ask.{change.request.client_order_id}": at.time_ns + settings.ask_every_ns}
        case Requested() if change.request.purpose == "depth":
            due = {**due, f"depth.{change.request.instrument}": at.time_ns + settings.ask_every_ns}
        case RateBlocked():
            name = f"rate.{change.venue}"
            due = {**due, name: max(due.get(name, 0), change.until_ns)}
        case Commanded() if change.command.command == "stop" and "stop" not in due:
            due = {**due, "stop": at.time_ns + settings.stop_timeout_ns}
        case _:
            return timers
    return Timers(due, failures, min(due.values(), default=NEVER_NS))
