"""Data quality of a session: what each market stream brought, missed, repeated and delayed; clocks and links.

Counted over the decoded rows (replay/projections.py) and the recorded facts; no strategy code runs. A capture has no
facts, so its messages alone count.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from analysis.market_rows import SessionRows
from engine.market import rows as r
from engine.market.fold.trades import find_repeats
from engine.market.rows import Rows

if TYPE_CHECKING:
    from analysis.session import Session

MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SILENCE_NS: Final = (
    10_000_000_000  # above it an interval without a message counts as silence, as the default rule has it
)
CLOCK_STEP_MS: Final = 1_000.0  # a clock that leaves session time by more is a finding
STREAMS: Final = {r.QUOTE: "quotes", r.TRADE: "trades", r.DIFF: "book", r.MARK: "marks"}
LAG_SHARES: Final = (50, 99, 100)  # percentiles of the lag

_LINK_EVENTS = """
    SELECT state, count(*) AS count, coalesce(sum(age_ns), 0) AS age_ns, coalesce(max(abs(drift_ns)), 0) AS drift_ns
    FROM links GROUP BY state
"""
_GAPS = """
    SELECT source, coalesce(stream, '') AS stream, coalesce(instrument, '') AS instrument,
           coalesce(reason, '') AS reason, count(*) AS count,
           CAST(coalesce(sum(greatest(duration_ns, 0)) FILTER (to_time IS NOT NULL), 0) AS BIGINT) AS duration_ns
    FROM gaps GROUP BY ALL ORDER BY ALL
"""
# of an import: lines and messages that its file lacks; texts that differ in their numbers alone count together
_IMPORT_GAPS = """
    SELECT source, '' AS stream, '' AS instrument,
           arg_min(body->>'$.text', seq) || if(count(*) > 1, ' (the first)', '') AS reason,
           count(*) AS count, CAST(0 AS BIGINT) AS duration_ns
    FROM journal WHERE kind = 'LINK' AND body->>'$.state' = 'gap' AND body->>'$.text' IS NOT NULL
    GROUP BY source, regexp_replace(body->>'$.text', '[0-9]+', '', 'g') ORDER BY source, min(seq)
"""
_CLOCKS = """
    SELECT body->>'$.venue' AS venue, CAST(body->>'$.offset_ns' AS BIGINT) AS offset_ns
    FROM facts WHERE fact = 'clock_measured' ORDER BY venue, seq
"""


class StreamQuality(msgspec.Struct, frozen=True):
    """One stream of one instrument. Times are in session time; a lag is receive time less the venue's stamp."""

    instrument: str
    stream: str  # quotes, trades, book or marks
    messages: int  # of a polled stream: trades and quotes that were not there before
    first_ns: int
    last_ns: int
    silence_max_ns: int  # the longest interval between two messages
    silence_from_ns: int  # its beginning
    silent_ns: int  # the sum of all intervals above 10 s
    gaps: int  # places at which the ids show missing messages
    missing: int  # ids of trades that are missing; of other streams the number is not known: 0
    repeated: int  # trades and quotes that were there before
    backwards: int  # messages with an earlier stamp of the venue than the message before
    crossed: int  # quotes whose bid is not below the ask
    unreadable: int  # messages with a number outside the range or off the grid
    lag_ms: tuple[float, ...] | None  # median, 99th percentile and most; None: the venue stamps no message of it


class RecordedGaps(msgspec.Struct, frozen=True):
    """Recorded gaps of one link or stream, by reason; of an import also what its file lacks."""

    source: str
    stream: str  # "" if it concerns every stream of the link
    instrument: str
    reason: str
    count: int
    duration_ns: int  # of those that ended


class DataQuality(msgspec.Struct, frozen=True):
    """The data quality of one session."""

    session: str
    records: int
    streams: tuple[StreamQuality, ...]
    gaps: tuple[RecordedGaps, ...]
    link_losses: int  # how often a link went down
    clock_offset_ms: dict[str, tuple[float, float]]  # venue -> least and most of its clock less ours, if measured
    clock_drift_ms: float  # the greatest difference between wall clock and session time
    late: int  # how often our own processing fell behind
    late_ns: int  # for how long in all
    overruns: int  # decisions beyond their time budget

    @property
    def has_findings(self) -> bool:
        """True if messages are missing, unreadable or crossed, or a link, a clock or our own processing had trouble.

        Also if no market message was decoded.
        """
        return bool(
            self.gaps
            or self.link_losses
            or self.late
            or self.overruns
            or self.clock_drift_ms > CLOCK_STEP_MS
            or not self.streams
            or any(each.gaps or each.unreadable or each.crossed for each in self.streams)
        )


def data_quality(session: "Session") -> DataQuality:
    """Judge one session, sealed or running, or a capture.

    Args:
        session: One session.

    Raises:
        SeveralSessionsError: Several sessions are open.
        DamagedJournalError: A segment cannot be read.
    """
    rows = SessionRows(session.journal)
    offsets: dict[str, list[int]] = {}
    for row in session.sql(_CLOCKS):
        offsets.setdefault(row["venue"], []).append(row["offset_ns"])
    events = {row["state"]: row for row in session.sql(_LINK_EVENTS)}

    def of(state: str, figure: str) -> int:
        return int(events[state][figure]) if state in events else 0

    return DataQuality(
        session=session.id,
        records=session.journal.last_seq + 1,
        streams=tuple(_streams(rows, offsets)),
        gaps=tuple(RecordedGaps(**gap) for query in (_GAPS, _IMPORT_GAPS) for gap in session.sql(query)),
        link_losses=of("down", "count"),
        clock_offset_ms={
            venue: (min(found) / MILLISECOND_NS, max(found) / MILLISECOND_NS) for venue, found in offsets.items()
        },
        clock_drift_ms=of("clock", "drift_ns") / MILLISECOND_NS,
        late=of("late", "count"),
        late_ns=of("caught_up", "age_ns"),
        overruns=of("overrun", "count"),
    )


def _streams(rows: SessionRows, offsets: Mapping[str, Sequence[int]]) -> Iterator[StreamQuality]:
    """Yield the quality of each stream that had a message, in the order of the session's instruments."""
    instruments = rows.instruments()
    offset_ns = {venue: int(np.median(found)) for venue, found in offsets.items()}
    context = rows.context()
    polled = set() if context is None else {key.rpartition("/")[0] for key in context.polled.streams}
    last_trades = np.zeros((len(instruments), 3), np.int64)
    tallies: dict[tuple[int, int], _Tally] = {}
    for block in rows.blocks():
        repeated = np.zeros(len(block), np.int64)
        find_repeats(block, last_trades, repeated)
        kinds = np.where(block[:, r.TYPE] == r.BAD_VALUE, block[:, r.BAD_VALUE_TYPE], block[:, r.TYPE])
        for kind in STREAMS:
            of_kind = np.flatnonzero(kinds == kind)
            for place in np.unique(block[of_kind, r.INSTRUMENT]).tolist():
                at = of_kind[block[of_kind, r.INSTRUMENT] == place]
                is_polled = instruments[place].id in polled
                tallies.setdefault((place, kind), _Tally(kind, is_polled=is_polled)).add(block[at], repeated[at])
        of_books = block[np.isin(block[:, r.TYPE], (r.DIFF, r.NUMBERED))]
        for place in np.unique(of_books[:, r.INSTRUMENT]).tolist():
            if (book := tallies.get((place, r.DIFF))) is not None:
                book.count_book_ids(of_books[of_books[:, r.INSTRUMENT] == place])
    for (place, kind), tally in sorted(tallies.items()):
        is_made = kind == r.QUOTE and instruments[place].half_spread_ppm >= 0  # quotes made of bars or trades
        if not is_made:
            of = instruments[place]
            yield tally.quality(of.id, STREAMS[kind], offset_ns.get(of.id.partition(":")[0], 0))


class _Tally:
    """The messages of one stream of one instrument so far."""

    def __init__(self, kind: int, *, is_polled: bool) -> None:
        self._kind, self._is_polled = kind, is_polled
        self._last: Rows | None = None  # the row before; of a polled stream the last that was new
        self._last_ns: int | None = None
        self._last_content: Rows | None = None  # of a polled quote: what the last answer had
        self._last_ids: Rows | None = None  # of a book: the row before that has ids
        self._counts: dict[str, int] = dict.fromkeys(
            ("messages", "silent_ns", "gaps", "missing", "repeated", "backwards", "crossed", "unreadable"), 0
        )
        self._first_ns = 0
        self._silence = (0, 0)  # the longest, and its beginning
        self._lags = Counter[int]()  # whole microseconds -> messages: memory follows the spread, not the length

    def add(self, rows: Rows, repeated: Rows) -> None:
        """Count the next rows, which belong to one stream of one instrument."""
        self._first_ns = self._first_ns or int(rows[0, r.TIME_NS])
        self._count_silence(rows[:, r.TIME_NS])
        if self._is_polled:
            rows, repeated = self._unseen(rows, repeated)
            if not len(rows):
                return
        self._add("unreadable", rows[:, r.TYPE] == r.BAD_VALUE)
        self._counts["messages"] += len(rows)
        whole = rows if self._last is None else np.concatenate([self._last[None], rows])
        self._last = rows[-1]
        stamped = whole[whole[:, r.VENUE_NS] > 0]
        self._add("backwards", np.diff(stamped[:, r.VENUE_NS]) < 0)
        fresh = rows[rows[:, r.VENUE_NS] > 0]
        lags, counts = np.unique((fresh[:, r.TIME_NS] - fresh[:, r.VENUE_NS]) // MICROSECOND_NS, return_counts=True)
        self._lags.update(dict(zip(lags.tolist(), counts.tolist(), strict=True)))
        good = whole[whole[:, r.TYPE] == self._kind]
        if self._kind == r.TRADE:
            self._counts["repeated"] += int(repeated.sum())
            self._count_missing(good[:, r.TRADE_ID], good[1:, r.TRADE_OFF_BOOK])
        elif self._kind == r.QUOTE:
            self._count_quotes(good, rows)

    def count_book_ids(self, rows: Rows) -> None:
        """Count the gaps in the ids of a book. Frames of its link without a change of it may continue them."""
        whole = rows if self._last_ids is None else np.concatenate([self._last_ids[None], rows])
        self._last_ids = rows[-1]
        firsts, previous = whole[1:, r.DIFF_FIRST_ID], whole[1:, r.DIFF_PREVIOUS_ID]
        is_number = whole[1:, r.TYPE] == r.NUMBERED
        known = np.where(previous > 0, previous, np.where(is_number, whole[1:, r.NUMBERED_ID], firsts) - 1)
        self._add("gaps", known > whole[:-1, r.DIFF_LAST_ID])

    def quality(self, instrument: str, stream: str, offset_ns: int) -> StreamQuality:
        """Return the result. The clock offset that the session measured is taken off the lags."""
        assert self._last_ns is not None, "a stream is listed with its first message"
        lags = sorted(self._lags.items())
        found = tuple(round(_share(lags, share) / 1e3 + offset_ns / MILLISECOND_NS, 3) for share in LAG_SHARES)
        return StreamQuality(
            instrument=instrument,
            stream=stream,
            first_ns=self._first_ns,
            last_ns=self._last_ns,
            silence_max_ns=self._silence[0],
            silence_from_ns=self._silence[1],
            lag_ms=found if lags else None,
            **self._counts,
        )

    def _add(self, name: str, marks: Any) -> None:
        self._counts[name] += int(np.count_nonzero(marks))

    def _unseen(self, rows: Rows, repeated: Rows) -> tuple[Rows, Rows]:
        """Leave out what an earlier answer to a poll had: a trade, or the quote just before."""
        seen = repeated > 0
        if self._kind == r.QUOTE:
            content = np.column_stack([rows[:, r.TYPE], rows[:, r.VENUE_NS], rows[:, r.FIELDS :]])
            before = content[0] - 1 if self._last_content is None else self._last_content
            seen |= (content == np.concatenate([before[None], content[:-1]])).all(axis=1)
            self._last_content = content[-1]
        return rows[~seen], repeated[~seen]

    def _count_silence(self, times: Rows) -> None:
        times = times if self._last_ns is None else np.insert(times, 0, self._last_ns)
        self._last_ns = int(times[-1])
        between = np.diff(times)
        if len(between):
            longest = int(np.argmax(between))
            self._silence = max(self._silence, (int(between[longest]), int(times[longest])))
            self._counts["silent_ns"] += int(between[between > SILENCE_NS].sum())

    def _count_missing(self, ids: Rows, marks: Rows) -> None:
        """Count the ids between consecutive trades. Ids that fall are repeats or a new numbering, and no gap."""
        steps = np.diff(ids)
        self._add("gaps", (steps > 1) & (marks != r.TRADE_FOLLOWS))
        counted = steps[(steps > 1) & (marks < r.TRADE_OF_PAGE)]  # ids of pages rise with holes
        self._counts["missing"] += int((counted - 1).sum())

    def _count_quotes(self, good: Rows, rows: Rows) -> None:
        ids = good[:, r.QUOTE_ID]
        self._add("repeated", (np.diff(ids) <= 0) & (ids[1:] > 0))
        quotes = rows[rows[:, r.TYPE] == r.QUOTE]
        has_both = (quotes[:, r.QUOTE_BID] > 0) & (quotes[:, r.QUOTE_ASK] > 0)
        self._add("crossed", has_both & (quotes[:, r.QUOTE_BID] >= quotes[:, r.QUOTE_ASK]))


def _share(counted: Sequence[tuple[int, int]], percent: int) -> int:
    """Return the value below or at which this percentage of the counted values lie; 0 of none."""
    left = -(-percent * sum(count for _, count in counted) // 100)
    for value, count in counted:
        left -= count
        if left <= 0:
            return value
    return 0
