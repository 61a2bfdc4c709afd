"""The newest message of each single stream of an instrument: market messages decoded by a reader, not by the trader.

A connection carries many streams, so its own age does not show that one of them is silent.
"""

from collections.abc import Iterator

import numpy as np

from analysis.market_rows import decoding_context
from engine.errors import CoreError
from engine.market import rows as r
from engine.market.views import Stream
from engine.requests import LinkRole
from engine.session_context import SessionContext
from engine.venues.venue_lookup import UnknownVenueError
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record
from replay.projections import decode_frames, decode_messages

HELD_MAX = 512  # messages that are decoded together
BLOCK_RECORDS = 65_536  # of the journal, read backwards when a reader begins
RECORDS_MAX = 8 * BLOCK_RECORDS  # so many are decoded at most then
COLUMNS = ("seq", "time_ns", "source", "meta", "payload")
ROW_STREAMS = {
    r.QUOTE: Stream.QUOTE,
    r.TRADE: Stream.TRADE,
    r.DIFF: Stream.BOOK,
    r.SNAPSHOT: Stream.BOOK,
    r.MARK: Stream.MARK,
}

Seen = dict[tuple[str, str], int]  # (instrument, stream) -> session time of its last message


class StreamAges:
    """The newest message of each stream. Messages are added in their order."""

    def __init__(self, context: SessionContext) -> None:
        """Begin without messages."""
        self._context = context
        self._ids = tuple(context.instruments)
        self._streams = frozenset(_subscribed(context))
        self._seen: Seen = {}
        self._since_ns = 0  # streams without a message were silent at least since then
        self._held: list[Record] = []

    @classmethod
    def read_journal(cls, journal: Journal) -> "StreamAges | None":
        """Read the newest messages of a journal; None if no installed venue decodes them."""
        try:
            context = decoding_context(journal)
        except (UnknownVenueError, CoreError, JournalError, ValueError, LookupError):
            return None
        if context is None:
            return None
        ages = cls(context)
        ages._catch_up(journal)
        return ages

    def add(self, record: Record) -> None:
        """Add a record. Others than market messages are ignored."""
        if record.kind is not Kind.FEED or record.meta is not None:
            return
        self._held.append(record)
        if len(self._held) >= HELD_MAX:
            self._decode_held()

    def seen(self) -> Seen:
        """Return the time of each stream's newest message; of one without a message, since when it is silent at least.

        A stream of marks is listed once it has a message: only contracts have it.
        """
        self._decode_held()
        mark = _word(Stream.MARK)
        silent = {key: self._since_ns for key in self._streams if key[1] != mark}
        return silent | self._seen

    def _catch_up(self, journal: Journal) -> None:
        """Decode blocks from the newest back, until every stream has a message or the bound is reached."""
        until, oldest_seq = journal.last_seq, max(journal.last_seq - RECORDS_MAX, 0)
        first = next(iter(journal.records(oldest_seq)), None)
        self._since_ns = 0 if first is None else first.time_ns
        while until >= oldest_seq:
            begin = max(until - BLOCK_RECORDS + 1, oldest_seq)
            batches = journal.batches(begin, COLUMNS, to_seq=until, kinds=(Kind.FEED,))
            self._note(decode_frames(batches, self._context))
            missing = {name for name, stream in self._streams - self._seen.keys() if stream != _word(Stream.MARK)}
            if not missing:
                return
            until = begin - 1

    def _decode_held(self) -> None:
        held, self._held = self._held, []
        decoded = decode_messages(
            self._context,
            sources=[record.source for record in held],
            payloads=[record.payload or b"" for record in held],
            seqs=np.array([record.seq for record in held], np.int64),
            times_ns=np.array([record.time_ns for record in held], np.int64),
            are_plain=np.ones(len(held), bool),
        )
        for rows in decoded:
            self._note(rows)

    def _note(self, rows: r.Rows) -> None:
        for row_type, stream in ROW_STREAMS.items():
            of_type = rows[rows[:, r.TYPE] == row_type]
            if not len(of_type):
                continue
            newest = np.zeros(len(self._ids), np.int64)
            np.maximum.at(newest, of_type[:, r.INSTRUMENT], of_type[:, r.TIME_NS])
            for index in np.flatnonzero(newest).tolist():
                key = self._ids[index], _word(stream)
                self._seen[key] = max(self._seen.get(key, 0), int(newest[index]))


def _word(stream: Stream) -> str:
    return stream.name.lower()


def _subscribed(context: SessionContext) -> Iterator[tuple[str, str]]:
    """Yield (instrument, stream) of all streams that the session's market links carry."""
    for venue in context.venues:
        for plan in context.links(venue):
            if plan.role is LinkRole.MARKET:
                for index in context.indexes_of(plan.source):
                    for stream in context.streams_of(plan.source):
                        yield tuple(context.instruments)[index], _word(stream)
