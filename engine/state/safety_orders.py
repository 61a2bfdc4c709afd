"""Safety orders: cancel all, flatten. Each is kept here until the account shows that it is done, also over restarts.

engine/handlers/safety.py pursues them. Positions, modes and the venue are unknown here.
"""

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandName, RequestBody
from engine.facts import ModeChanged, SafetyCause, SafetyKind, SafetyOrdered, SafetyOrderEnded
from engine.mode_reasons import Mode, ReasonCode
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from engine.state.changes import Change, Commanded, Requested, Stamp

TRY_AT_ONCE = 3  # tries a second apart; after them each wait is twice the one before
TRY_WAIT_NS_MAX = 10 * SECOND_NS
SWITCHES = frozenset({Purpose.ARM_SWITCH, Purpose.DISARM_SWITCH})


class SafetyOrder(msgspec.Struct, frozen=True):
    """One safety order in force."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"also"})

    number: int
    kind: SafetyKind
    cause: SafetyCause
    strategy: str  # whose orders it concerns; "": all
    by: str
    since_seq: int  # of its fact; 0 if an earlier session recorded it
    since_ns: int
    also: tuple[str, ...] = ()  # older sessions whose orders it concerns too

    @property
    def title(self) -> str:
        """Name the order in a message to people."""
        action = "cancel all orders" if self.kind is SafetyKind.CANCEL else "cancel all orders and flatten"
        return f"{action} of strategy {self.strategy}" if self.strategy else action


class Tries(msgspec.Struct, frozen=True):
    """The count of requests for one order or position while a safety order was in force."""

    count: int
    last_ns: int

    def next_ns(self) -> int:
        """Return the time before which it is not requested again."""
        doublings = min(max(self.count - TRY_AT_ONCE, 0), 10)
        return self.last_ns + min(SECOND_NS << doublings, TRY_WAIT_NS_MAX)


class SafetyOrders(msgspec.Struct, frozen=True):
    """The safety orders in force, and what the next ones need to know."""

    number: int = 0  # of the newest
    active: tuple[SafetyOrder, ...] = ()
    tries: dict[str, Tries] = {}  # client order id, or "strategy instrument" of a position
    left: tuple[str, ...] = ()  # positions that the newest flatten could not close
    paused_by: str = ""  # the person whose order pauses placing until someone resumes
    armed_ns: dict[str, int] = {}  # instrument -> when its dead-man switch was last armed
    not_running_since_ns: int = 0  # 0: RUNNING, or paused by a person or a safety order

    @property
    def pausing(self) -> tuple[SafetyOrder, ...]:
        """Return the orders during which nothing is placed."""
        return tuple(order for order in self.active if not order.strategy)

    @property
    def also(self) -> tuple[str, ...]:
        """Return the older sessions whose orders are ours while the orders in force last."""
        return tuple(dict.fromkeys(session for order in self.active for session in order.also))

    def is_pausing(self, strategy: str) -> bool:
        """Return True if an order in force concerns all strategies or this one."""
        return any(order.strategy in ("", strategy) for order in self.active)

    def is_active(self, kind: SafetyKind, strategy: str) -> bool:
        """Return True if an order in force does at least this."""
        kinds = (kind, SafetyKind.FLATTEN)
        return any(order.kind in kinds and order.strategy in ("", strategy) for order in self.active)


def reduce(safety: SafetyOrders, change: Change, at: Stamp) -> SafetyOrders:
    """Fold a safety order's start and end, its requests, a person's resume, and how long the session does not run."""
    match change:
        case Requested():
            return _requested(safety, change.request, at)
        case SafetyOrdered():
            # an order that is given again replaces the first, and its tries begin again
            replaced = [each for each in safety.active if (each.kind, each.strategy) == (change.kind, change.strategy)]
            named = (*(session for each in replaced for session in each.also), *change.also)
            order = SafetyOrder(
                number=change.number,
                kind=change.kind,
                cause=change.cause,
                strategy=change.strategy,
                by=change.by,
                since_seq=at.seq,
                since_ns=at.time_ns,
                also=tuple(dict.fromkeys(named)),
            )
            is_persons = change.cause is SafetyCause.COMMAND and not change.strategy
            kept = (each for each in safety.active if each not in replaced)
            return replace(
                safety,
                number=change.number,
                left=(),
                active=(*kept, order),
                tries={} if is_persons else safety.tries,
                paused_by=change.by if is_persons else safety.paused_by,
            )
        case SafetyOrderEnded():
            active = tuple(order for order in safety.active if order.number != change.number)
            return replace(safety, active=active, tries=safety.tries if active else {}, left=change.left)
        case ModeChanged():
            is_late = any(reason.code is ReasonCode.LATE for reason in change.reasons)
            is_run = change.mode in (Mode.RUNNING, Mode.PAUSED) and not is_late
            since_ns = 0 if is_run else safety.not_running_since_ns or at.time_ns
            return safety if since_ns == safety.not_running_since_ns else replace(safety, not_running_since_ns=since_ns)
        case Commanded() if change.command.command is CommandName.RESUME and safety.paused_by:
            return replace(safety, paused_by="")
        case _:
            return safety


def _requested(safety: SafetyOrders, request: RequestBody, at: Stamp) -> SafetyOrders:
    """Keep when a dead-man switch was armed, and count what is requested while a safety order is in force."""
    if request.purpose in SWITCHES:
        armed_ns = {other: ns for other, ns in safety.armed_ns.items() if other != request.instrument}
        if request.purpose is Purpose.ARM_SWITCH:
            armed_ns = {**safety.armed_ns, request.instrument: at.time_ns}
        return replace(safety, armed_ns=armed_ns)
    if not safety.active:
        return safety
    if request.mutates:
        is_cancel = request.purpose is Purpose.CANCEL
        name = request.client_order_id if is_cancel else position_name(request.strategy, request.instrument)
        return _tried(safety, name, at)
    if request.purpose is Purpose.OPEN_ORDERS and not request.round:  # a query of a round is no probe
        return _tried(safety, probe_name(request.venue), at)
    return safety


def _tried(safety: SafetyOrders, name: str, at: Stamp) -> SafetyOrders:
    before = safety.tries.get(name)
    tries = Tries(1 if before is None else before.count + 1, at.time_ns)
    return replace(safety, tries={**safety.tries, name: tries})


def probe_name(venue: str) -> str:
    """Return the name under which queries to a venue that refuses access are counted."""
    return f"open orders at {venue}"


def position_name(strategy: str, instrument: str) -> str:
    """Return the name under which tries to flatten a position are counted."""
    return f"{strategy} {instrument}"


def restored(safety: SafetyOrders) -> SafetyOrders:
    """Return the safety orders that the previous session left, without its seqs and tries."""
    active = tuple(replace(order, since_seq=0) for order in safety.active)
    return replace(safety, active=active, tries={}, armed_ns={}, not_running_since_ns=0)
