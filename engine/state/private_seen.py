"""When each private link last delivered a frame: an event of the account or an answer. Starts empty in each session."""

import msgspec

from engine.state.changes import Change, PrivateFrame, Stamp


class PrivateSeen(msgspec.Struct, frozen=True):
    """Session time of the last frame of each private link."""

    by_source: dict[str, int] = {}

    def last_ns(self, source: str) -> int:
        """Return when the link's last frame came; 0 before the first."""
        return self.by_source.get(source, 0)


def reduce(seen: PrivateSeen, change: Change, at: Stamp) -> PrivateSeen:
    """Keep the time of the newest frame of each link."""
    if isinstance(change, PrivateFrame):
        return PrivateSeen({**seen.by_source, change.source: at.time_ns})
    return seen
