"""Margin: leverage and margin mode of each contract, the position mode of the account, and the margin of positions.

As the venue states them: each session queries them. The venue alone decides the margin that a position needs.
"""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from engine.facts import ContractConfigured, MarginReported, PositionForced, PositionModeKnown
from engine.model import MarginMode
from engine.money import ZERO
from engine.requests import Purpose
from engine.state.changes import Change, Requested, Stamp

# requests whose times are kept: engine/handlers/margin_settings.py repeats them
ABOUT_MARGIN: Final = frozenset(
    {Purpose.POSITION_MODE, Purpose.CONTRACT_SETTINGS, Purpose.SET_LEVERAGE, Purpose.SET_MARGIN_MODE}
)


class ContractMargin(msgspec.Struct, frozen=True):
    """One contract."""

    leverage: Decimal = ZERO  # 0: not known
    margin_mode: MarginMode | None = None  # None: not known
    positions: dict[str, MarginReported] = {}  # position side -> its newest report


class Margins(msgspec.Struct, frozen=True):
    """All contracts of the session."""

    by_instrument: dict[str, ContractMargin] = {}
    forced: dict[str, PositionForced] = {}  # instrument -> the newest closing of a position by the venue itself
    hedges: dict[str, bool] = {}  # venue -> True if it has long and short positions apart
    asked_ns: dict[str, int] = {}  # "purpose instrument or venue" -> when it was last requested

    def get(self, instrument: str) -> ContractMargin:
        """Return a contract; an empty one before its first report."""
        return self.by_instrument.get(instrument) or ContractMargin()

    def is_hedge(self, venue: str) -> bool:
        """Return True if the account has long and short positions apart there."""
        return self.hedges.get(venue, False)


def reduce(margins: Margins, change: Change, at: Stamp) -> Margins:
    """Keep the newest settings and reports."""
    match change:
        case Requested() if change.request.purpose in ABOUT_MARGIN:
            request = change.request
            about = request.venue if request.purpose is Purpose.POSITION_MODE else request.instrument
            return replace(margins, asked_ns={**margins.asked_ns, f"{request.purpose} {about}": at.time_ns})
        case PositionModeKnown():
            return replace(margins, hedges={**margins.hedges, change.venue: change.is_hedge})
        case ContractConfigured():
            known = margins.get(change.instrument)
            mode = change.margin_mode or known.margin_mode
            return _put(margins, change.instrument, replace(known, leverage=change.leverage, margin_mode=mode))
        case PositionForced():
            return replace(margins, forced={**margins.forced, change.instrument: change})
        case MarginReported():
            known = margins.get(change.instrument)
            positions = {**known.positions, str(change.position_side): change}
            if not change.quantity and not change.margin:
                del positions[str(change.position_side)]
            return _put(margins, change.instrument, replace(known, positions=positions))
        case _:
            return margins


def _put(margins: Margins, instrument: str, contract: ContractMargin) -> Margins:
    return replace(margins, by_instrument={**margins.by_instrument, instrument: contract})
