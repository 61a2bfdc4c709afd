"""Blocked instruments: for each the set of reasons why no new order of it may be placed. Cancels stay possible.

Handlers decide (engine/handlers/block_instruments.py); the risk rule `blocked` and the mode ask this part. The next
session begins without blocks.
"""

import msgspec

from engine.block_reasons import BlockCode, BlockReason
from engine.facts import InstrumentBlocked
from engine.state.changes import Change, Stamp


class InstrumentBlocks(msgspec.Struct, frozen=True):
    """The reasons of each blocked instrument, sorted by code and object. An instrument without any is not a key."""

    by_instrument: dict[str, tuple[BlockReason, ...]] = {}

    def reasons(self, instrument: str) -> tuple[BlockReason, ...]:
        """Return why an instrument is blocked; () if it is not."""
        return self.by_instrument.get(instrument, ())

    def has(self, instrument: str, code: BlockCode, about: str = "") -> bool:
        """Return True if this reason blocks the instrument."""
        return any((reason.code, reason.about) == (code, about) for reason in self.reasons(instrument))


def with_reason(reasons: tuple[BlockReason, ...], added: BlockReason) -> tuple[BlockReason, ...]:
    """Return the reasons with one more, in their order. One with the same code and object keeps its first text."""
    if any((reason.code, reason.about) == (added.code, added.about) for reason in reasons):
        return reasons
    return tuple(sorted((*reasons, added), key=lambda reason: (reason.code, reason.about)))


def without_reason(reasons: tuple[BlockReason, ...], code: BlockCode, about: str) -> tuple[BlockReason, ...]:
    """Return the reasons without the one that has this code and object."""
    return tuple(reason for reason in reasons if (reason.code, reason.about) != (code, about))


def reduce(blocks: InstrumentBlocks, change: Change, at: Stamp) -> InstrumentBlocks:
    """Keep the newest set of reasons of each instrument."""
    match change:
        case InstrumentBlocked():
            others = {name: found for name, found in blocks.by_instrument.items() if name != change.instrument}
            return InstrumentBlocks({**others, change.instrument: change.reasons} if change.reasons else others)
        case _:
            return blocks
