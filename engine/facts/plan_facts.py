"""Facts of execution plans (engine/execution/plans). Values only."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec

from engine.plan_terms import PlanTerms


class PlanPhase(StrEnum):
    """Phases of an execution plan."""

    WORKING = "working"
    CANCELLING = "cancelling"  # its live orders must end before it continues
    PROTECTING = "protecting"  # a bracket whose entry has ended
    EXITING = "exiting"  # a bracket or a trailing stop that closes its position
    STOPPING = "stopping"  # it was ordered to end, and its live orders are cancelled


class PlanStarted(msgspec.Struct, frozen=True, tag_field="fact", tag="plan_started"):
    """An execution plan runs from here on."""

    plan_id: str
    strategy: str
    version: str
    terms: PlanTerms


class PlanMoved(msgspec.Struct, frozen=True, tag_field="fact", tag="plan_moved"):
    """An execution plan reached another phase, or counted on."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"retry_ns"})

    plan_id: str
    phase: PlanPhase
    count: int = 0  # of its replacements or slices
    mark: Decimal = Decimal(0)  # best price of a trailing stop
    next_ns: int = 0  # session time at which it acts without any other event; 0: never
    refusals: int = 0  # of its orders in a row
    retry_ns: int = 0  # session time before which risk gets no further order of it; 0: at once (order_rules 3)


class PlanEnded(msgspec.Struct, frozen=True, tag_field="fact", tag="plan_ended"):
    """An execution plan is over."""

    plan_id: str
    reason: str
    filled: Decimal  # of its side


PlanFact = PlanStarted | PlanMoved | PlanEnded
