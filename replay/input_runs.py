"""The records of a journal as a replay steps them: inputs that led to nothing as columns, all others alone."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from engine.market.hashed_frames import TIME_BYTES, write_frames
from engine.market.rows import COLUMNS, Rows
from engine.recorded_inputs import InputColumns, RecordedInputs
from engine.session_context import SessionContext
from engine.state.session_state import hashed_bytes
from engine.venues.packed_payloads import PackedPayloads
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record
from journal.record_columns import NO_CAUSE, RecordColumns

COLUMN_RECORDS = 8_192  # records whose rows are in memory together; a row group of a segment has fewer of long frames
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
        self._row_count = 0
        self._tables: list[Rows] = [_NO_ROWS]
        self._decode(np.flatnonzero(is_frame))

    def _decode(self, frames: NDArray[np.int64]) -> None:
        """Decode frames, as many as possible at once. One that is no market message has no rows."""
        columns = self._columns
        text, places = columns.payloads
        payloads = PackedPayloads(text, places[frames], places[frames + 1])
        sizes = np.cumsum(payloads.ends - payloads.begins)
        links = [*self._changes(frames), len(frames)]
        first, count_max = 0, len(frames)
        while first < len(frames):
            while links[0] <= first:
                del links[0]
            large = int(np.searchsorted(sizes, sizes[first] + DECODED_BYTES))
            part = slice(first, min(first + count_max, links[0], max(large, first + 1)))
            at, found = frames[part], None
            with suppress(Exception):  # an unknown venue, or its code: the step of each record reports it
                dialect = self._dialects[columns.source(at[0])]
                found = dialect.decode_many(payloads[part], columns.seqs[at], columns.times_ns[at])
            count = 0 if found is None else self._enter(at, *found)
            first += count or 1
            count_max = len(frames) if count == len(at) else 2 * count + 1  # the next may be as unusual

    def _changes(self, frames: NDArray[np.int64]) -> list[int]:
        """Return the numbers of the frames that have another source or cause than the one before."""
        sources, causes = self._columns.source_codes[frames], self._columns.causes[frames]
        changes = (sources[1:] != sources[:-1]) | (causes[1:] != causes[:-1])
        return [int(number) + 1 for number in np.flatnonzero(changes)]

    def _enter(self, places: NDArray[np.int64], rows: Rows, ends: list[int]) -> int:
        """Keep the rows of the leading frames. Return how many frames these are."""
        decoded, behind = places[: len(ends)], np.array(ends)
        self._is_frame[decoded] = np.diff(behind, prepend=0) > 0
        self._ends[decoded] = behind + self._row_count
        self._row_count += ends[-1]
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
        texts, offsets = self._hashed_texts({at: hashed_bytes(others[at]) for at in timers})
        return InputColumns(
            rows=self._tables[1] if len(self._tables) == 2 else np.concatenate(self._tables),
            ends=np.maximum.accumulate(self._ends).data,
            timers=timers,
            seqs=np.ascontiguousarray(columns.seqs).data,
            times_ns=np.ascontiguousarray(columns.times_ns).data,
            texts=texts.data,
            offsets=offsets.data,
            record=lambda at: others[at] if at in others else next(columns.records(np.array([at]))),
        )

    def _hashed_texts(self, timers: Mapping[int, bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return what the hash contains of the frames and of these TIMERs, and where the text of each record begins."""
        text, places = self._columns.payloads
        frames = np.flatnonzero(self._is_frame)
        sizes = np.zeros(len(self._columns) + 1, np.int64)
        sizes[frames + 1] = places[frames + 1] - places[frames] + TIME_BYTES
        for at, timer in timers.items():
            sizes[at + 1] = len(timer)
        offsets = np.cumsum(sizes)
        texts = np.empty(offsets[-1], np.uint8)
        times = self._columns.times_ns[frames].astype("<i8").view(np.uint8)
        write_frames(text, places[frames], places[frames + 1], times, offsets[frames], texts)
        for at, timer in timers.items():
            texts[offsets[at] : offsets[at + 1]] = np.frombuffer(timer, np.uint8)
        return texts, offsets


_NO_ROWS = np.empty((0, COLUMNS), np.int64)
