"""Changes that reducers fold beside facts: requests, answers, links, timers and commands. Values only."""

import msgspec

from engine.bodies import CommandBody, LinkBody, RequestBody, TimerBody, VerdictBody
from engine.facts import Fact


class Stamp(msgspec.Struct, frozen=True):
    """The time of a change and its place in the total order."""

    seq: int
    time_ns: int


class Requested(msgspec.Struct, frozen=True):
    """A request is in the journal."""

    request: RequestBody


class Answered(msgspec.Struct, frozen=True):
    """A request ended: this is the only BROKER or FEED record that answers it."""

    request_seq: int
    venue: str
    outcome: str  # an AnswerStatus, as the meta of the record spells it
    weight_used: int = -1
    orders_day_used: int = -1


class LinkMoved(msgspec.Struct, frozen=True):
    """A link changed."""

    source: str
    link: LinkBody


class Lagged(msgspec.Struct, frozen=True):
    """The shell measured that the engine is late, or caught up, or that a decision took too long."""

    link: LinkBody


class TimerFired(msgspec.Struct, frozen=True):
    """A timer fired."""

    timer: TimerBody


class Commanded(msgspec.Struct, frozen=True):
    """A command arrived."""

    command: CommandBody


class PrivateFrame(msgspec.Struct, frozen=True):
    """A private link delivered a frame."""

    source: str


class PrivateNumber(msgspec.Struct, frozen=True):
    """A private link delivered a numbered message."""

    source: str
    up_seq: int  # of the LINK record that opened the link: each connection begins its own numbers
    stream: str
    number: int


Change = (
    Fact
    | Requested
    | Answered
    | LinkMoved
    | Lagged
    | TimerFired
    | Commanded
    | PrivateFrame
    | PrivateNumber
    | VerdictBody
)
