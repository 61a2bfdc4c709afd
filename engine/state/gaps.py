"""Which links have a gap in their market data right now, and which FACT told of its beginning. Fresh in every session.

When a gap begins and ends is decided in engine/handlers/market_gaps.py.
"""

import msgspec

from engine.facts import MarketGap
from engine.state.changes import Change, Stamp


class OpenGap(msgspec.Struct, frozen=True):
    seq: int  # of the FACT that told of it
    gap: MarketGap


class OpenGaps(msgspec.Struct, frozen=True):
    open: dict[str, OpenGap] = {}  # link -> its gap


def reduce(gaps: OpenGaps, change: Change, at: Stamp) -> OpenGaps:
    match change:
        case MarketGap() if change.stream:
            return gaps  # begun and over at once
        case MarketGap() if change.to_ns:
            return OpenGaps({link: found for link, found in gaps.open.items() if link != change.link})
        case MarketGap():
            return OpenGaps({**gaps.open, change.link: OpenGap(at.seq, change)})
        case _:
            return gaps
