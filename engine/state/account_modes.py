"""The mode of each account in a session of several venues, and the seq up to which its records may have holes.

The part is empty in a session of one venue: its mode is the session's (engine/state/mode.py).
"""

import msgspec
from msgspec.structs import replace

from engine.bodies import LinkEvent
from engine.facts import AccountModeChanged
from engine.mode_reasons import Mode, ModeReason
from engine.state.changes import Change, LinkMoved, Stamp


class AccountMode(msgspec.Struct, frozen=True):
    """The mode of one account: STARTING, SYNCING or RUNNING. A pause and a halt are the session's."""

    mode: Mode = Mode.STARTING
    reasons: tuple[ModeReason, ...] = ()
    since_ns: int = 0
    stale_since_seq: int = 0  # RUNNING needs a reconciliation of the account that began after it


class AccountModes(msgspec.Struct, frozen=True):
    """The accounts of the session, by venue."""

    by_venue: dict[str, AccountMode] = {}

    def get(self, venue: str) -> AccountMode:
        """Return the mode of the account at a venue."""
        return self.by_venue.get(venue) or AccountMode()


def reduce(modes: AccountModes, change: Change, at: Stamp) -> AccountModes:
    """Keep the decided modes, and note for an account that a link of its venue is lost."""
    match change:
        case AccountModeChanged():
            known = modes.get(change.venue)
            is_left = known.mode is Mode.RUNNING and change.mode is not Mode.RUNNING
            moved = AccountMode(change.mode, change.reasons, at.time_ns, at.seq if is_left else known.stale_since_seq)
            return AccountModes({**modes.by_venue, change.venue: moved})
        case LinkMoved() if change.link.state is LinkEvent.DOWN:
            venue = change.source.partition(".")[0]
            return AccountModes({**modes.by_venue, venue: replace(modes.get(venue), stale_since_seq=at.seq)})
        case _:
            return modes
