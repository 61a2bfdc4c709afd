"""Instruments whose rules or status the venue changed, and accounts that may not trade.

The SESSION record holds the instruments as the session began. The scales of their numbers never change within it. A
next session reads the instruments itself, so nothing is carried over.
"""

from collections.abc import Mapping

import msgspec

from engine.facts import InstrumentChanged, TradingAllowed
from engine.model import Instrument
from engine.state.changes import Change, Stamp


class InstrumentChanges(msgspec.Struct, frozen=True):
    """The newest value of each instrument that changed, and the venues whose account may not trade."""

    by_id: dict[str, Instrument] = {}
    forbidden: tuple[str, ...] = ()  # venues whose report of the account forbids trading

    def current(self, instrument: Instrument) -> Instrument:
        """Return the instrument as the venue described it last."""
        return self.by_id.get(instrument.id, instrument) if self.by_id else instrument

    def applied_to(self, instruments: Mapping[str, Instrument]) -> Mapping[str, Instrument]:
        """Return instruments by any name, each as the venue described it last."""
        if not self.by_id:
            return instruments
        return {name: self.current(instrument) for name, instrument in instruments.items()}


def reduce(changes: InstrumentChanges, change: Change, _at: Stamp) -> InstrumentChanges:
    """Keep the newest value of an instrument, and whether an account may trade."""
    match change:
        case InstrumentChanged():
            return InstrumentChanges({**changes.by_id, change.instrument.id: change.instrument}, changes.forbidden)
        case TradingAllowed():
            others = {venue for venue in changes.forbidden if venue != change.venue}
            return InstrumentChanges(
                changes.by_id, tuple(sorted(others if change.is_allowed else {*others, change.venue}))
            )
        case _:
            return changes
