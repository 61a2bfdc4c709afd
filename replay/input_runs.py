"""The records of a journal as a replay steps them: inputs that led to nothing as columns, all others alone."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from engine.market.rows import COLUMNS, Rows
from engine.recorded_inputs import InputColumns, RecordedInputs
from engine.session_context import SessionContext
from engine.state.session_state import hashed_bytes
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.record_columns import NO_CAUSE, RecordColumns

COLUMN_RECORDS = 2_048  # records whose rows are in memory together
DECODED_BYTES = 1 << 22  # of frames that are decoded at once, about
InputRun = list[Record] | RecordedInputs


def input_runs(
    journal: Journal, session: SessionContext, from_seq: int, to_seq: int, *, with_timers: bool
) -> Iterator[InputRun]:
    """Yield the records of a journal in order: one, or several inputs that led to nothing.

    Args:
        journal: The session.
        session: Its code, which decodes the frames.
        from_seq: The first record.
        to_seq: The last one.
        with_timers: TIMERs may be among several inputs.
    """
    before: RecordColumns | None = None
    for columns in chain(journal.columns(from_seq, to_seq, count_max=COLUMN_RECORDS), [None]):
        if before is not None:
            is_input_next = columns is not None and bool(columns.have_kinds(INPUTS)[0])
            yield from _Decoded(before, session, with_timers=with_timers, is_input_next=is_input_next).runs()
        before = columns


class _Decoded:
    """Records with the rows of the frames among them that led to nothing."""

    def __init__(
        self, columns: RecordColumns, session: SessionContext, *, with_timers: bool, is_input_next: bool
    ) -> None:
        self._columns = columns
        self._dialects = session.market_dialects
        leads_to_nothing = np.full(len(columns), is_input_next)
        leads_to_nothing[:-1] = columns.have_kinds(INPUTS)[1:]
        has_payload = columns.have("payload")
        # the hash covers the other fields of a TIMER as text
        is_plain = ~(has_payload | columns.have("key") | columns.have("recv_ns")) & (columns.causes == NO_CAUSE)
        is_timer = columns.have_kinds({Kind.TIMER}) & leads_to_nothing & is_plain
        self._is_timer = is_timer if with_timers else np.zeros(len(columns), np.bool_)
        is_frame = columns.have_kinds({Kind.FEED}) & leads_to_nothing & has_payload & ~columns.have("meta")
        self._is_frame = np.zeros(len(columns), np.bool_)  # once it is decoded
        self._ends = np.zeros(len(columns), np.int64)
        self._tables: list[Rows] = [_NO_ROWS]
        self._decode(np.flatnonzero(is_frame))

    def _decode(self, frames: NDArray[np.int64]) -> None:
        """Decode frames, as many as possible at once. One that is no market message has no rows."""
        columns = self._columns
        payloads = [payload or b"" for payload in map(columns.payloads.__getitem__, frames.tolist())]
        sizes = np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)))
        links = [*self._changes(frames), len(frames)]
        first, count_max = 0, len(frames)
        while first < len(frames):
            while links[0] <= first:
                del links[0]
            large = int(np.searchsorted(sizes, sizes[first] + DECODED_BYTES))
            places = frames[first : min(first + count_max, links[0], max(large, first + 1))]
            part, found = payloads[first : first + len(places)], None
            with suppress(Exception):  # an unknown venue, or its code: the step of each record reports it
                dialect = self._dialects[columns.source(places[0])]
                found = dialect.decode_many(part, columns.seqs[places], columns.times_ns[places])
            count = 0 if found is None else self._enter(places, *found)
            first += count or 1
            count_max = len(frames) if count == len(places) else 2 * count + 1  # the next may be as unusual

    def _changes(self, frames: NDArray[np.int64]) -> list[int]:
        """Return the numbers of the frames that have another source or cause than the one before."""
        sources, causes = self._columns.source_codes[frames], self._columns.causes[frames]
        changes = (sources[1:] != sources[:-1]) | (causes[1:] != causes[:-1])
        return [int(number) + 1 for number in np.flatnonzero(changes)]

    def _enter(self, places: NDArray[np.int64], rows: Rows, ends: list[int]) -> int:
        """Keep the rows of the leading frames. Return how many frames these are."""
        decoded, before = places[: len(ends)], int(self._ends.max())
        self._is_frame[decoded] = np.diff(ends, prepend=0) > 0
        self._ends[decoded] = np.array(ends) + before
        self._tables.append(rows)
        return len(ends)

    def runs(self) -> Iterator[InputRun]:
        """Yield the records in order."""
        others = np.flatnonzero(~self._is_frame)  # few: their records are made at once
        records = dict(zip(others.tolist(), self._columns.records(others), strict=True))
        inputs, at = self._input_columns(records), 0
        for begin, end, source, cause in self._ranges():
            yield from ([inputs.record(place)] for place in range(at, begin))
            yield RecordedInputs(inputs, begin, end, source=source, cause=cause)
            at = end
        yield from ([inputs.record(place)] for place in range(at, len(self._columns)))

    def _ranges(self) -> Iterator[tuple[int, int, str, int | None]]:
        """Yield (begin, end, source, cause) of each range of frames of one link, and TIMERs."""
        columns = self._columns
        frames = np.flatnonzero(self._is_frame)
        is_begin = np.diff(self._is_frame | self._is_timer, prepend=False, append=False)
        is_begin[frames[self._changes(frames)]] = True
        edges = np.flatnonzero(is_begin).tolist()
        for begin, end in pairwise(edges):
            first = int(np.searchsorted(frames, begin))
            if end - begin > 1 and first < len(frames) and frames[first] < end:
                cause = columns.causes.item(frames[first])
                yield begin, end, columns.source(frames[first]), None if cause == NO_CAUSE else cause

    def _input_columns(self, others: Mapping[int, Record]) -> InputColumns:
        """Return the frames and TIMERs as columns. `others` are all records but the frames."""
        columns, timers = self._columns, np.flatnonzero(self._is_timer).tolist()
        heads: list[bytes] = columns.times_ns.astype("<i8").view("V8").tolist()
        bodies = [payload or b"" for payload in columns.payloads]
        for at in others:
            heads[at] = bodies[at] = b""
        for at in timers:
            bodies[at] = hashed_bytes(others[at])
        texts = [b""] * (2 * len(columns))
        texts[::2], texts[1::2] = heads, bodies
        sizes = np.fromiter(map(len, bodies), np.int64, len(bodies)) + 8 * self._is_frame
        return InputColumns(
            rows=self._tables[1] if len(self._tables) == 2 else np.concatenate(self._tables),
            ends=np.maximum.accumulate(self._ends).tolist(),
            timers=timers,
            times_ns=columns.times_ns.tolist(),
            texts=b"".join(texts),
            offsets=[0, *np.cumsum(sizes).tolist()],
            record=lambda at: others[at] if at in others else next(columns.records(np.array([at]))),
        )


_NO_ROWS = np.empty((0, COLUMNS), np.int64)
