"""Facts about the session itself: mode, strategies, breakers, blocks, safety orders, its end. Values only."""

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.block_reasons import BlockReason
from engine.mode_reasons import Mode, ModeReason


class CloseReason(StrEnum):
    """Why the core closes a session."""

    STOPPED = "stopped"  # in order, with every answer that was awaited
    DEADLINE = "deadline"  # the time allowed for a stop ran out


class SafetyKind(StrEnum):
    """Kinds of safety orders."""

    CANCEL = "cancel"  # no own order stays live
    FLATTEN = "flatten"  # that, and then no position either


class SafetyCause(StrEnum):
    """Why there is a safety order."""

    COMMAND = "command"  # a person ordered it
    BLIND = "blind"  # the session could not be RUNNING for too long
    STRATEGY_STOPPED = "strategy_stopped"
    CORE_FAILED = "core_failed"
    DAILY_LOSS = "daily_loss"  # a loss of the day reached its limit


class BreakerScope(StrEnum):
    """Subjects that a breaker can pause."""

    INSTRUMENT = "instrument"
    STRATEGY = "strategy"


class ModeChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="mode"):
    """The engine's mode changed, with every reason against RUNNING."""

    mode: Mode
    reasons: tuple[ModeReason, ...]


class AccountModeChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="account_mode"):
    """The mode of one account changed, in a session of several venues, with every reason against RUNNING."""

    venue: str
    mode: Mode
    reasons: tuple[ModeReason, ...]


class HaltsLifted(msgspec.Struct, frozen=True, tag_field="fact", tag="halts_lifted"):
    """A person resumed: these reasons to halt are lifted, by name."""

    by: str
    reasons: tuple[ModeReason, ...]


class StrategyChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_changed"):
    """The fields of a strategy's declared state that its last decision changed."""

    strategy: str
    changed: dict[str, Any]


class StrategyTriggered(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_triggered"):
    """A strategy's compiled predicate returned True. Recorded, so that a rebuild runs none of its code."""

    strategy: str


class StrategyStopped(msgspec.Struct, frozen=True, tag_field="fact", tag="strategy_stopped"):
    """A strategy stopped because its code raised an error or took too long.

    `cut_off`: its decision on this input was interrupted from outside. A replay does not run that decision again.
    """

    strategy: str
    reason: str
    cut_off: bool = False


class BreakerTripped(msgspec.Struct, frozen=True, tag_field="fact", tag="breaker_tripped"):
    """New orders of an instrument or a strategy pause: they were refused again and again for one reason."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"exits_only"})

    scope: BreakerScope
    subject: str  # the instrument's id, or the strategy's name
    reason: str
    until_ns: int
    may_run: bool = False  # the strategy still runs and may cancel: only its new orders are dropped
    exits_only: bool = False  # it runs for its exits: its other orders are cancelled


class InstrumentBlocked(msgspec.Struct, frozen=True, tag_field="fact", tag="instrument_blocked"):
    """The reasons why an instrument gets no new order changed: all that hold from here on. Without any it trades."""

    instrument: str
    reasons: tuple[BlockReason, ...]


class SafetyOrdered(msgspec.Struct, frozen=True, tag_field="fact", tag="safety_ordered"):
    """A safety order is in force from here on."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"also"})

    number: int
    kind: SafetyKind
    cause: SafetyCause
    by: str
    strategy: str = ""  # whose orders it concerns; "": all
    also: tuple[str, ...] = ()  # older sessions whose orders it concerns too


class SafetyOrderEnded(msgspec.Struct, frozen=True, tag_field="fact", tag="safety_order_ended"):
    """A safety order is over: the account shows that it is done. `left` names the rest."""

    number: int
    left: tuple[str, ...] = ()  # positions that could not be closed, for people
    withdrawn: bool = False  # a person resumed before it was done


class SessionClosing(msgspec.Struct, frozen=True, tag_field="fact", tag="session_closing"):
    """The session awaits no more answers: the shell may seal the journal."""

    reason: CloseReason


SessionFact = (
    ModeChanged
    | HaltsLifted
    | StrategyChanged
    | StrategyTriggered
    | StrategyStopped
    | BreakerTripped
    | InstrumentBlocked
    | SafetyOrdered
    | SafetyOrderEnded
    | SessionClosing
    | AccountModeChanged
)
