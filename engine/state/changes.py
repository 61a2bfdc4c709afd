"""What reducers are told besides facts: our requests, their answers, links, timers and commands. Values only."""

import msgspec

from engine.bodies import CommandBody, LinkBody, RequestBody, TimerBody
from engine.facts import Fact


class Stamp(msgspec.Struct, frozen=True):
    """When a change was taken, and where it stands in the total order."""

    seq: int
    time_ns: int


class Requested(msgspec.Struct, frozen=True):
    request: RequestBody


class Answered(msgspec.Struct, frozen=True):
    """The one BROKER or FEED record that a REQUEST ends in is in the journal."""

    request_seq: int
    venue: str
    outcome: str  # meta's word: answer | timeout | cut | not_sent
    weight_used: int = -1


class LinkMoved(msgspec.Struct, frozen=True):
    source: str
    link: LinkBody


class TimerFired(msgspec.Struct, frozen=True):
    timer: TimerBody


class Commanded(msgspec.Struct, frozen=True):
    command: CommandBody


Change = Fact | Requested | Answered | LinkMoved | TimerFired | Commanded
