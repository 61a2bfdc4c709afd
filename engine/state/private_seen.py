"""When each private link last delivered a frame: an event of the account or an answer. Starts empty in each session."""

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.state.changes import Change, PrivateFrame, PrivateNumber, Stamp


class PrivateSeen(msgspec.Struct, frozen=True):
    """Session time of the last frame of each private link, and the last numbers of the streams that have some."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"numbers"})

    by_source: dict[str, int] = {}
    numbers: dict[str, PrivateNumber] = {}  # "source stream" -> the newest

    def last_ns(self, source: str) -> int:
        """Return when the link's last frame came; 0 before the first."""
        return self.by_source.get(source, 0)

    def before(self, number: PrivateNumber) -> int | None:
        """Return the number of the stream's message before this one, or None if it is the connection's first."""
        known = self.numbers.get(f"{number.source} {number.stream}")
        return known.number if known is not None and known.up_seq == number.up_seq else None


def reduce(seen: PrivateSeen, change: Change, at: Stamp) -> PrivateSeen:
    """Keep the time of the newest frame of each link, and the newest number of each stream."""
    match change:
        case PrivateFrame():
            return replace(seen, by_source={**seen.by_source, change.source: at.time_ns})
        case PrivateNumber():
            return replace(seen, numbers={**seen.numbers, f"{change.source} {change.stream}": change})
        case _:
            return seen
