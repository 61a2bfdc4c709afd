"""The history of bars: which pages were read, what failed, and which histories are over.

The bars themselves are part of the market (engine/market/history.py). The account starts each session without any.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import HistoryEnd, HistoryEnded, HistoryFailed, HistoryRead
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from engine.state.changes import Change, Requested, Stamp

HISTORY_TRIES = 3  # after so many failures in a row a strategy no longer waits for a history


class HistoryLoad(msgspec.Struct, frozen=True):
    """The history of the bars of one instrument and length."""

    next_ns: int  # where the next page begins
    end_ns: int  # where the history ends
    is_loaded: bool = False  # the bars begin with it
    failures: int = 0  # in a row
    retry_ns: int = 0  # no request before
    pages: int = 0  # that were read
    bars: int = 0  # of the history so far
    end: HistoryEnd | None = None  # why it is over; None: it is not


class HistoryLoads(msgspec.Struct, frozen=True):
    """Histories by the key of their bars."""

    by_bars: dict[str, HistoryLoad] = {}

    def get(self, instrument: str, interval_ns: int) -> HistoryLoad | None:
        """Return the history of some bars; None before its first request."""
        return self.by_bars.get(key_of(instrument, interval_ns))


def key_of(instrument: str, interval_ns: int) -> str:
    """Return the key of bars: the instrument, and the seconds of a bar."""
    return f"{instrument}/{interval_ns // SECOND_NS}"


def reduce(loads: HistoryLoads, change: Change, at: Stamp) -> HistoryLoads:
    """Fold requests for pages, their answers, and the ends of histories."""
    del at
    match change:
        case Requested() if change.request.purpose is Purpose.HISTORY and change.request.history is not None:
            page = change.request.history
            key = key_of(change.request.instrument, page.interval_ns)
            known = loads.by_bars.get(key) or HistoryLoad(0, 0)
            return _with(loads, key, replace(known, next_ns=page.start_ns, end_ns=page.series_end_ns))
        case HistoryRead():
            key = key_of(change.instrument, change.interval_ns)
            known = loads.by_bars[key]
            return _with(
                loads,
                key,
                replace(
                    known,
                    next_ns=change.end_ns,
                    is_loaded=known.is_loaded or change.is_last,
                    failures=0,
                    retry_ns=0,
                    bars=change.bars,
                    pages=known.pages + 1,
                ),
            )
        case HistoryFailed():
            key = key_of(change.instrument, change.interval_ns)
            known = loads.by_bars[key]
            return _with(loads, key, replace(known, failures=known.failures + 1, retry_ns=change.retry_ns))
        case HistoryEnded():
            key = key_of(change.instrument, change.interval_ns)
            known = loads.by_bars.get(key) or HistoryLoad(0, 0)
            return _with(loads, key, replace(known, end=change.end))
        case _:
            return loads


def _with(loads: HistoryLoads, key: str, load: HistoryLoad) -> HistoryLoads:
    return HistoryLoads({**loads.by_bars, key: load})
