"""Facts about the history of bars: pages that were read, requests that failed, and its end. Values only."""

from enum import StrEnum

import msgspec


class HistoryEnd(StrEnum):
    """Why the history of some bars is over."""

    WHOLE = "whole"  # every bar since its beginning is known whole
    EMPTY = "empty"  # the source has no bars before the session
    GIVEN_UP = "given_up"  # requests failed too often


class HistoryRead(msgspec.Struct, frozen=True, tag_field="fact", tag="history_read"):
    """A page of bars before the session was read, or the venue's own form of bars that the session saw in part."""

    instrument: str
    interval_ns: int
    start_ns: int
    end_ns: int
    bars: int  # of the history so far
    is_last: bool  # the bars begin with the history from here on


class HistoryFailed(msgspec.Struct, frozen=True, tag_field="fact", tag="history_failed"):
    """A page was not answered with bars. It is requested again at a time."""

    instrument: str
    interval_ns: int
    reason: str
    retry_ns: int


class HistoryEnded(msgspec.Struct, frozen=True, tag_field="fact", tag="history_ended"):
    """No more of the history of these bars is requested."""

    instrument: str
    interval_ns: int
    end: HistoryEnd
    reason: str = ""


HistoryFact = HistoryRead | HistoryFailed | HistoryEnded
