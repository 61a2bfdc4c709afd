"""Profit and loss of the UTC day: the worth of each position when the day began, and the losses that reached a limit.

engine/handlers/losses_of_day.py computes and decides. The next session gets this part, so a restart forgets no loss.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.facts import DailyLossReached, DayBegan, PositionEnteredDay
from engine.session_record import SECOND_NS
from engine.state.changes import Change, Stamp

DAY_NS = 86_400 * SECOND_NS


def day_of(time_ns: int) -> int:
    """Return the UTC day of a time, as days since 1970-01-01."""
    return time_ns // DAY_NS


class DayPnl(msgspec.Struct, frozen=True):
    """The UTC day that the account is in."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"unlisted"})

    day: int = 0  # as `day_of` counts; 0: none began yet
    opening: dict[str, Decimal] = {}  # "strategy instrument" -> P&L of all days before this one
    lost: dict[str, Decimal] = {}  # asset -> loss of the day when it reached the limit
    unlisted: tuple[str, ...] = ()  # positions without a mark since the day began: they count from their first mark


def reduce(pnl: DayPnl, change: Change, at: Stamp) -> DayPnl:
    """Fold the begin of a day, and a loss that reached the limit."""
    match change:
        case DayBegan():
            return DayPnl(change.day, change.opening, unlisted=change.unlisted)
        case PositionEnteredDay():
            opening = {**pnl.opening, change.position: change.pnl}
            unlisted = tuple(name for name in pnl.unlisted if name != change.position)
            return replace(pnl, opening=opening, unlisted=unlisted)
        case DailyLossReached():
            return replace(pnl, lost={**pnl.lost, change.asset: change.loss})
        case _:
            return pnl
