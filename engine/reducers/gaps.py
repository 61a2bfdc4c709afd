"""Which links have a gap in their market data right now, and which FACT told of its beginning. Fresh in every session.

When a gap begins and ends is decided in engine/gaps.py.
"""

import msgspec

from engine.facts import MarketGap
from engine.reducers.changes import Change, Stamp


class OpenGap(msgspec.Struct, frozen=True):
    seq: int  # of the FACT that told of it
    gap: MarketGap


class Gaps(msgspec.Struct, frozen=True):
    open: dict[str, OpenGap] = {}  # link -> its gap


def reduce(gaps: Gaps, change: Change, at: Stamp) -> Gaps:
    match change:
        case MarketGap() if change.stream:
            return gaps  # begun and over at once
        case MarketGap() if change.to_ns:
            return Gaps({link: found for link, found in gaps.open.items() if link != change.link})
        case MarketGap():
            return Gaps({**gaps.open, change.link: OpenGap(at.seq, change)})
        case _:
            return gaps
