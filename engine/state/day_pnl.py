"""Profit and loss of the day: the worth of each position when it began, its highest P&L, and the losses at a limit.

engine/handlers/losses_of_day.py computes and decides. The next session gets this part, so a restart forgets no loss.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.facts import DailyLossReached, DayBegan, PnlPeak, PositionEnteredDay
from engine.risk_settings import DaySettings
from engine.session_record import SECOND_NS
from engine.state.changes import Change, Stamp

DAY_NS = 86_400 * SECOND_NS
HOUR_S = 3_600
UTC_DAY = DaySettings()


def day_of(time_ns: int, settings: DaySettings = UTC_DAY) -> int:
    """Return the day of a time, as days since 1970-01-01 in the settings' zone, each beginning at their hour."""
    east_s = 0
    for since_s, offset_s in settings.offsets:
        if time_ns < since_s * SECOND_NS:
            break
        east_s = offset_s
    return (time_ns + (east_s - settings.hour * HOUR_S) * SECOND_NS) // DAY_NS


class LastPnl(msgspec.Struct, frozen=True):
    """The P&L of a position when the session before ended."""

    asset: str
    pnl: Decimal
    reported: Decimal | None = None  # in the reporting currency; None: not known


class DayPnl(msgspec.Struct, frozen=True):
    """The day that the account is in."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"peaks", "unlisted", "reported", "last"})

    day: int = 0  # as `day_of` counts; 0: none began yet
    opening: dict[str, Decimal] = {}  # "strategy instrument" -> P&L of all days before this one
    lost: dict[str, Decimal] = {}  # key of a limit -> loss of the day when it reached the limit
    peaks: dict[str, Decimal] = {}  # key of a limit -> highest P&L of the day
    unlisted: tuple[str, ...] = ()  # positions without a mark since the day began: they count from their first mark
    reported: dict[str, Decimal] = {}  # as `opening`, in the reporting currency; lacks positions without a rate
    last: dict[str, LastPnl] = {}  # by position: it counts where the session does not list the instrument


def key_of(name: str, asset: str) -> str:
    """Return the key of a limit in an asset. Older journals have the asset alone, for `daily_loss_max`."""
    return f"{name} {asset}" if name else asset


def reduce(pnl: DayPnl, change: Change, at: Stamp) -> DayPnl:
    """Fold the start of a day, its highest P&L, and a loss that reached the limit."""
    match change:
        case DayBegan():
            return DayPnl(change.day, change.opening, unlisted=change.unlisted, reported=change.reported)
        case PositionEnteredDay():
            opening = {**pnl.opening, change.position: change.pnl}
            unlisted = tuple(name for name in pnl.unlisted if name != change.position)
            reported = pnl.reported
            if change.reported is not None:
                reported = {**reported, change.position: change.reported}
            return replace(pnl, opening=opening, unlisted=unlisted, reported=reported)
        case DailyLossReached():
            return replace(pnl, lost={**pnl.lost, key_of(change.name, change.asset): change.loss})
        case PnlPeak():
            return replace(pnl, peaks={**pnl.peaks, key_of(change.name, change.asset): change.pnl})
        case _:
            return pnl
