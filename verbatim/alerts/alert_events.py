"""Values of the watcher: findings of rules, messages, and the events of its log. One event is one line of JSON.

All times are wall clock in nanoseconds. Events are permanent: a new field has a default, so older logs stay readable.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

WATCHER = "the watcher"  # the target of alerts about the watcher itself


class Severity(StrEnum):
    """Severities of alerts."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0, 1 or 2: a higher one is worse."""
        return list(Severity).index(self)


class Why(StrEnum):
    """Why a message names an alert."""

    NEW = "new"
    WORSE = "worse"  # its severity rose
    STILL = "still"  # it lasts
    AGAIN = "again"  # its event occurred again
    RESOLVED = "resolved"


class Finding(msgspec.Struct, frozen=True):
    """A finding of a rule: a condition that holds now, or an event that a record reports."""

    rule: str
    about: str  # a stream, an asset, a strategy; "": the session itself
    severity: Severity
    text: str
    seq: int = -1  # of the record of an event; -1: a condition

    @property
    def is_event(self) -> bool:
        """True if it happened once and cannot end."""
        return self.seq >= 0


class MessagePart(msgspec.Struct, frozen=True):
    """An alert, as a message reports it."""

    number: int
    why: Why
    rule: str
    target: str
    about: str
    severity: Severity
    text: str
    opened_ns: int
    ended_ns: int = 0  # 0: it lasts
    count: int = 1  # occurrences of an event
    is_event: bool = False  # it cannot end


class AlertMessage(msgspec.Struct, frozen=True):
    """A message to people, before a channel gives it its form. Texts have no control characters."""

    number: int  # 0: a trial
    at_ns: int
    severity: Severity
    title: str  # one line
    text: str
    parts: tuple[MessagePart, ...] = ()
    may_repeat: bool = False  # the watcher ended while it sent these alerts, so they may have arrived


class WatchBegan(msgspec.Struct, frozen=True, tag_field="event", tag="watching"):
    """A session is watched. Events up to `seq` are not reported."""

    at_ns: int
    target: str
    session: str
    seq: int


class AlertOpened(msgspec.Struct, frozen=True, tag_field="event", tag="opened"):
    """An alert began."""

    at_ns: int
    number: int
    target: str
    finding: Finding
    session: str = ""
    count: int = 1


class AlertChanged(msgspec.Struct, frozen=True, tag_field="event", tag="changed"):
    """The severity of an alert changed, or its event occurred again."""

    at_ns: int
    number: int
    finding: Finding
    session: str = ""
    count: int = 1  # occurrences since it began


class AlertResolved(msgspec.Struct, frozen=True, tag_field="event", tag="resolved"):
    """The condition of an alert ended, or its event did not occur again for a while."""

    at_ns: int
    number: int


class AlertAcknowledged(msgspec.Struct, frozen=True, tag_field="event", tag="acknowledged"):
    """A person knows: the alert is not repeated."""

    at_ns: int
    number: int
    by: str = ""
    note: str = ""


class AlertClosed(msgspec.Struct, frozen=True, tag_field="event", tag="closed"):
    """Nothing is left to send about an alert. On the channels `skipped` no message named it."""

    at_ns: int
    number: int
    skipped: tuple[str, ...] = ()


class MessageSending(msgspec.Struct, frozen=True, tag_field="event", tag="sending"):
    """A message is sent from here on. Without the next event its outcome is not known."""

    at_ns: int
    channel: str
    message: AlertMessage
    attempt: int = 1
    skipped: int = 0  # of the channel's alerts without a message, so many of the oldest are named
    skipped_more: int = 0  # and so many are counted


class MessageSent(msgspec.Struct, frozen=True, tag_field="event", tag="sent"):
    """A channel accepted a message."""

    at_ns: int
    channel: str
    message: int
    note: str = ""


class MessageFailed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """A channel did not accept a message. `gave_up`: its alerts wait for their next repeat."""

    at_ns: int
    channel: str
    message: int
    reason: str
    next_ns: int = 0  # the next attempt is not earlier
    gave_up: bool = False
    is_unknown: bool = False  # the watcher ended meanwhile, so it may have arrived


class TrialEnded(msgspec.Struct, frozen=True, tag_field="event", tag="trial"):
    """A person sent a trial message."""

    at_ns: int
    channel: str
    reason: str = ""  # why it failed


class DayFigures(msgspec.Struct, frozen=True, tag_field="event", tag="day"):
    """The P&L of an account when a day began, and its highest since then."""

    at_ns: int
    target: str
    day: int  # since 1970-01-01, as the session counts days of loss limits
    currency: str
    opening: Decimal
    peak: Decimal


AlertEvent = (
    WatchBegan
    | AlertOpened
    | AlertChanged
    | AlertResolved
    | AlertAcknowledged
    | AlertClosed
    | MessageSending
    | MessageSent
    | MessageFailed
    | TrialEnded
    | DayFigures
)
