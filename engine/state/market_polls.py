"""Polled streams of the market that fail: how often in a row, and since when.

The account starts each session without any. When a stream is requested next is a timer (state/timers.py).
"""

import msgspec

from engine.facts import PollFailed, PollResumed
from engine.state.changes import Change, Stamp


class FailingPoll(msgspec.Struct, frozen=True):
    """A polled stream whose newest request failed."""

    failures: int  # in a row
    since_ns: int  # session time of the first


class MarketPolls(msgspec.Struct, frozen=True):
    """The failing streams, by requests.PolledStream.key."""

    failing: dict[str, FailingPoll] = {}


def reduce(polls: MarketPolls, change: Change, at: Stamp) -> MarketPolls:
    """Count failures in a row, and forget them when the stream is read again."""
    match change:
        case PollFailed():
            key = f"{change.instrument}/{change.stream}"
            known = polls.failing.get(key) or FailingPoll(0, at.time_ns)
            return MarketPolls({**polls.failing, key: FailingPoll(known.failures + 1, known.since_ns)})
        case PollResumed():
            resumed = f"{change.instrument}/{change.stream}"
            return MarketPolls({key: failing for key, failing in polls.failing.items() if key != resumed})
        case _:
            return polls
