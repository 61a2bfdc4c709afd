"""Changes that reducers get besides facts: requests, answers, links, timers, commands. Values only."""

import msgspec

from engine.bodies import CommandBody, LinkBody, RequestBody, TimerBody
from engine.facts import Fact


class Stamp(msgspec.Struct, frozen=True):
    """Time and seq of the record that brings a change."""

    seq: int
    time_ns: int


class Requested(msgspec.Struct, frozen=True):
    """A request is in the journal."""

    request: RequestBody


class Answered(msgspec.Struct, frozen=True):
    """The one BROKER or FEED record that a REQUEST ends in is in the journal."""

    request_seq: int
    venue: str
    outcome: str  # meta's word: answer | timeout | cut | not_sent
    weight_used: int = -1


class LinkMoved(msgspec.Struct, frozen=True):
    """A link changed."""

    source: str
    link: LinkBody


class TimerFired(msgspec.Struct, frozen=True):
    """A timer fired."""

    timer: TimerBody


class Commanded(msgspec.Struct, frozen=True):
    """A command arrived."""

    command: CommandBody


Change = Fact | Requested | Answered | LinkMoved | TimerFired | Commanded
