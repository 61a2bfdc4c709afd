"""The engine's mode: STARTING -> SYNCING <-> RUNNING <-> PAUSED; any mode -> HALTED, which is a latch.

New orders leave only while RUNNING. A lost link, a stale feed, a gap, a clock jump or a disagreement ends it at once,
and a reconciliation that began later is needed to return. `right_mode` decides; `reduce` keeps what was decided and
ordered.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandName, LinkEvent
from engine.facts import HaltsLifted, ModeChanged, SessionClosing
from engine.mode_reasons import Mode, ModeReason, ReasonCode, joined
from engine.requests import LinkPhase
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.state.access import AccessRefusals
from engine.state.changes import Change, Commanded, LinkMoved, Stamp
from engine.state.lateness import Lateness
from engine.state.links import LinkStates
from engine.state.orders import Order, Orders
from engine.state.rate_budgets import RateBudgets
from engine.state.reconcile_rounds import ReconcileRounds
from engine.state.safety_orders import SafetyOrders

CLOCK_JUMP_NS = 250 * MILLISECOND_NS  # of the wall clock against session time: timestamps may be wrong beyond it
HALTS_MAX = 50  # reasons to halt that are kept
MISSING_FILL_NS = 2 * SECOND_NS  # a fill may arrive a little after the report that counts it


class ModeState(msgspec.Struct, frozen=True):
    """The mode, its reasons and the commands in force."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"halted_also", "waiting_since_ns"})

    mode: Mode = Mode.STARTING
    reasons: tuple[ModeReason, ...] = ()
    since_ns: int = 0
    paused_by: str = ""  # "" or the person who paused it
    halted_for: ModeReason | None = None  # a latch: only a person clears it
    halted_also: tuple[ModeReason, ...] = ()  # further reasons to halt since then, each once (order_rules 1)
    stopping_since_ns: int = 0  # 0: not stopping
    closing: bool = False
    drift_ns: int = 0  # wall clock minus session time, as last measured
    stale_since_seq: int = 0  # knowledge up to here may have holes: RUNNING needs a reconciliation begun after it

    waiting_since_ns: int = 0  # since then STARTING or SYNCING without a break; 0: in another mode (order_rules 1)

    @property
    def halts(self) -> tuple[ModeReason, ...]:
        """Every reason to halt that no person lifted yet."""
        return () if self.halted_for is None else (self.halted_for, *self.halted_also)


def trouble(
    venue: str,
    *,
    links: LinkStates,
    limits: RateBudgets,
    orders: Orders,
    access: AccessRefusals,
    forbidden: Sequence[str],
    is_reconciled: bool,
    time_ns: int,
) -> list[ModeReason]:
    """Return the reasons against RUNNING that end by themselves, of one venue or, for "", of all.

    Args:
        venue: The venue.
        links: All links of the session.
        limits: The venues' rate budgets.
        orders: The account's orders.
        access: The venues that refuse access.
        forbidden: Venues whose account may not trade.
        is_reconciled: A reconciliation began after the last reason for doubt.
        time_ns: Session time.

    """

    def concerns(name: str) -> bool:
        return venue in ("", name)

    reasons = [
        ModeReason(ReasonCode.LINK_NOT_READY, f"{source} is {link.state}", source)
        for source, link in sorted(links.by_source.items())
        if link.state is not LinkPhase.READY and concerns(link.venue)
    ]
    reasons += [
        ModeReason(ReasonCode.VENUE_BLOCKED, f"{name} asked us to wait: {budget.reason}", name)
        for name, budget in sorted(limits.by_venue.items())
        if time_ns < budget.blocked_until_ns and concerns(name)
    ]
    if not is_reconciled and links.has_account_at(venue):
        text = f"{venue} is not reconciled" if venue else "not reconciled"
        reasons.append(ModeReason(ReasonCode.NOT_RECONCILED, text, venue))
    reasons += [
        ModeReason(ReasonCode.FILLS_MISSING, f"order {name} filled more than the fills we have say", name)
        for name in orders.missing_fills
        if (order := orders.get(name)) is not None
        and time_ns - order.reported_ns > MISSING_FILL_NS
        and concerns(_venue_of(order))
    ]
    reasons += [
        ModeReason(ReasonCode.ORDER_DOUBTED, f"{order.doubt}: it is queried", name)
        for name in orders.doubted
        if (order := orders.get(name)) is not None and concerns(_venue_of(order))
    ]
    reasons += [
        ModeReason(ReasonCode.ACCESS_REFUSED, f"{name} refused access: {refusal.reason}", name)
        for name, refusal in sorted(access.by_venue.items())
        if time_ns < refusal.until_ns and concerns(name)
    ]
    return reasons + [
        ModeReason(ReasonCode.TRADING_FORBIDDEN, f"{name} says that the account may not trade", name)
        for name in forbidden
        if concerns(name)
    ]


def _venue_of(order: Order) -> str:
    return order.order.instrument.partition(":")[0]


def right_mode(
    modes: ModeState,
    *,
    links: LinkStates,
    limits: RateBudgets,
    orders: Orders,
    reconciling: ReconcileRounds,
    access: AccessRefusals,
    safety: SafetyOrders,
    forbidden: Sequence[str] = (),
    market_reasons: Sequence[ModeReason],
    time_ns: int,
    blocks: tuple[ModeReason, ...] = (),
    is_all_blocked: bool = False,
    late: Lateness,
    accounts: Sequence[ModeReason] | None = None,
) -> tuple[Mode, tuple[ModeReason, ...]]:
    """Return the mode that is right now, and every reason against RUNNING.

    Args:
        modes: The mode so far, and the orders of a person.
        links: All links of the session.
        limits: The venues' rate budgets.
        orders: The account's orders.
        reconciling: The state of reconciliation.
        access: The venues that refuse access.
        forbidden: Venues whose account may not trade.
        safety: The safety orders in force.
        market_reasons: What the market lacks.
        time_ns: Session time.
        blocks: The blocked instruments. While others trade, the mode is RUNNING and states them as its reasons.
        is_all_blocked: No instrument may trade.
        late: Whether the engine keeps up with its inputs.
        accounts: In a session of several venues, the reasons of its accounts that stop all of it.

    """
    if modes.halted_for is not None:
        return Mode.HALTED, modes.halts
    if accounts is None:
        accounts = trouble(
            "",
            links=links,
            limits=limits,
            orders=orders,
            access=access,
            forbidden=forbidden,
            is_reconciled=reconciling.done_started_seq > modes.stale_since_seq,
            time_ns=time_ns,
        )
    reasons = [*accounts, *market_reasons]
    if reasons or is_all_blocked:
        reasons += blocks
        is_starting = modes.mode is Mode.STARTING and not links.all_ready()
        return (Mode.STARTING if is_starting else Mode.SYNCING), tuple(reasons)
    if modes.paused_by:
        reasons.append(ModeReason(ReasonCode.PAUSED, f"paused by {modes.paused_by}", modes.paused_by))
    if late.since_ns:
        reasons.append(late_reason(late))
    reasons += safety_reasons(safety)
    if reasons:
        return Mode.PAUSED, (*reasons, *blocks)
    return Mode.RUNNING, blocks


def safety_reasons(safety: SafetyOrders) -> list[ModeReason]:
    """Return why safety orders forbid new orders: one is in force, or one was ordered and no resume followed."""
    code = ReasonCode.SAFETY_ORDER
    if safety.pausing:
        return [ModeReason(code, f"{order.title}: not done yet", str(order.number)) for order in safety.pausing]
    if safety.paused_by:
        return [ModeReason(code, f"all orders were cancelled for {safety.paused_by}: resume places again")]
    return []


def late_reason(late: Lateness) -> ModeReason:
    """Return why the engine's own lateness forbids new orders: a backlog must not be decided on as if it were now."""
    age = f"{late.age_ns / SECOND_NS:.1f} s old, {late.waiting:,} messages wait"
    return ModeReason(ReasonCode.LATE, f"late: the engine processes messages {age}")


def reduce(
    modes: ModeState, change: Change, at: Stamp, *, keeps_all_halts: bool = False, has_accounts: bool = False
) -> ModeState:
    """Keep the decided mode, the commands in force, and the seq up to which records may be missing.

    Args:
        modes: The modes.
        change: The change.
        at: The record that brings it.
        keeps_all_halts: A second reason to halt is kept beside the first, and HaltsLifted ends them (order_rules 1).
        has_accounts: The session has several venues: a lost link is its own account's (engine/state/account_modes.py).

    """
    match change:
        case ModeChanged():
            is_left = modes.mode is Mode.RUNNING and change.mode in (Mode.SYNCING, Mode.HALTED)
            if change.mode is Mode.HALTED and keeps_all_halts:
                modes = _halted(modes, change.reasons)
            if keeps_all_halts:
                is_waiting = change.mode in (Mode.STARTING, Mode.SYNCING)
                modes = replace(modes, waiting_since_ns=(modes.waiting_since_ns or at.time_ns) if is_waiting else 0)
            elif change.mode is Mode.HALTED and modes.halted_for is None:
                modes = replace(modes, halted_for=joined(change.reasons))
            return replace(
                modes,
                mode=change.mode,
                reasons=modes.halts if keeps_all_halts and change.mode is Mode.HALTED else change.reasons,
                since_ns=at.time_ns,
                stale_since_seq=at.seq if is_left else modes.stale_since_seq,
            )
        case HaltsLifted():
            return replace(modes, halted_for=None, halted_also=(), stale_since_seq=at.seq)
        case LinkMoved() if change.link.state is LinkEvent.CLOCK:
            # only a change of the drift is a jump; a drift that stays was judged when it appeared
            jumped = abs(change.link.drift_ns - modes.drift_ns) > CLOCK_JUMP_NS
            return replace(
                modes, drift_ns=change.link.drift_ns, stale_since_seq=at.seq if jumped else modes.stale_since_seq
            )
        case LinkMoved() if change.link.state is LinkEvent.DOWN and not has_accounts:
            return replace(modes, stale_since_seq=at.seq)
        case SessionClosing():
            return replace(modes, closing=True)
        case Commanded():
            return _commanded(modes, change, at, keeps_all_halts=keeps_all_halts)
        case _:
            return modes


def _halted(modes: ModeState, reasons: Sequence[ModeReason]) -> ModeState:
    """Return the modes with further reasons to halt, each once: by its object or its text."""

    def key(reason: ModeReason) -> tuple[ReasonCode, str]:
        is_given = reason.code is ReasonCode.HALT_ORDERED or not reason.about
        return reason.code, reason.text if is_given else reason.about

    halts = list(modes.halts)
    for reason in reasons:
        if all(key(reason) != key(known) for known in halts):
            halts.append(reason)
    halts = halts[:HALTS_MAX]
    return replace(modes, halted_for=halts[0], halted_also=tuple(halts[1:]))


def _commanded(modes: ModeState, change: Commanded, at: Stamp, *, keeps_all_halts: bool) -> ModeState:
    person = change.command.by or "operator"
    match change.command.command:
        case CommandName.PAUSE:
            return replace(modes, paused_by=person)
        case CommandName.RESUME if keeps_all_halts:  # the handler names the halts that it lifts
            return replace(modes, paused_by="", stale_since_seq=at.seq)
        case CommandName.RESUME:
            return replace(modes, paused_by="", halted_for=None, stale_since_seq=at.seq)
        case CommandName.ACCEPT_BALANCE if any(map(_is_drift, modes.halts)):
            kept = [reason for reason in modes.halts if not _is_drift(reason)]  # another drift halts again at once
            first = kept[0] if kept else None
            return replace(modes, halted_for=first, halted_also=tuple(kept[1:]), stale_since_seq=at.seq)
        case CommandName.DECIDE:  # a resimulation ends its own pause: nothing was missed in it
            return replace(modes, paused_by="")
        case CommandName.HALT:
            text = change.command.reason or f"ordered by {person}"
            if keeps_all_halts:
                return _halted(modes, (ModeReason(ReasonCode.HALT_ORDERED, text, person),))
            return replace(modes, halted_for=ModeReason(ReasonCode.HALT_ORDERED, text, person))
        case CommandName.STOP if not modes.stopping_since_ns:
            return replace(modes, stopping_since_ns=max(at.time_ns, 1))
        case _:
            return modes


def _is_drift(reason: ModeReason) -> bool:
    return reason.code is ReasonCode.BALANCE_DRIFT
