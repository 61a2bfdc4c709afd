"""Names of TIMER records, such as `connect.binance_spot.market.0`. This module alone spells them.

The order of the kinds breaks ties: timers due at the same time fire by (kind, subject).
"""

from enum import StrEnum
from functools import lru_cache

import msgspec

from engine.trigger_kinds import split_trigger


class TimerKind(StrEnum):
    """The action that a timer starts. The value is the beginning of the timer's name."""

    QUERY_ORDER = "query"  # subject: client order id
    CONNECT = "connect"  # subject: link source
    SNAPSHOT = "depth"  # subject: instrument
    REPORT = "report"
    BARS = "bars"  # bars end, of all instruments and intervals
    DECIDE = "decide"  # subject: strategy with a fixed cadence
    CHECK = "check"
    RATE_BLOCK = "rate"  # subject: venue
    RECONCILE = "reconcile"  # subject: the venue, in a session of several
    STOP = "stop"
    THROTTLE = "throttle"  # subject: trigger whose throttle ends (trigger_kinds.trigger_name)
    METADATA = "metadata"
    METADATA_RETRY = "metadata_retry"  # subject: venue whose instruments may be read again after a refusal
    PLAN = "plan"  # subject: execution plan
    EVENT = "event"  # subject: strategy that decides on the account's events
    EXPIRY = "expiry"  # subject: client order id of an order that is good till then
    POLL = "poll"  # subject: polled stream (requests.PolledStream.key)


class TimerName(msgspec.Struct, frozen=True):
    """A timer's kind and the object that it concerns ("" if it concerns the session)."""

    kind: TimerKind
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.kind}.{self.subject}" if self.subject else str(self.kind)

    @classmethod
    def parse(cls, text: str) -> "TimerName":
        """Return the name that a record holds as text. Raises ValueError for an unknown kind."""
        return _parsed(text)

    @property
    def sort_key(self) -> tuple[int, str]:
        """The place among timers that are due at the same time."""
        return _PLACES[self.kind], self.subject

    @property
    def strategy(self) -> str:
        """The strategy that decides when the timer fires; "" for other timers."""
        if self.kind is TimerKind.THROTTLE:
            return split_trigger(self.subject)[0]
        return self.subject if self.kind in (TimerKind.DECIDE, TimerKind.EVENT) else ""


@lru_cache(maxsize=256)  # a session has few recurring timers, and each fires every second or so
def _parsed(text: str) -> TimerName:
    first, _, rest = text.partition(".")
    return TimerName(TimerKind(first), rest)


_PLACES = {kind: place for place, kind in enumerate(TimerKind)}
