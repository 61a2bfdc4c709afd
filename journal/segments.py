"""A sealed segment: its name, how its Parquet file is written, and how selected rows are read.

Knows nothing of other segments or of when a segment is written (writer, seal, merge).
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from journal.arrow_arrays import numbers, texts
from journal.arrow_codec import SCHEMA
from journal.content_hash import hash_rows
from journal.errors import DamagedJournalError
from journal.footer import Footer, SegmentPart

GROUP_ROWS = 8_192  # rows decoded to find one record; twice as many save only half a percent of the bytes
LEVEL = 8  # of zstd: a session is 13 % smaller than at level 1, and smaller than with gzip -6 (docs/performance.md)
RECOVERY_LEVEL = 1  # faster, because a start waits for recovery
_NAME = re.compile(r"(\d{12,})\.(open|parquet)")
# pyarrow raises these on damaged bytes, as flipping every bit of a file showed (LookupError: a column's name)
UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError)
_DICTIONARIES = ("kind", "source")  # few words, often repeated
_WORDS = pa.dictionary(pa.int32(), pa.string())
_READ_SCHEMA = pa.schema([field.with_type(_WORDS) if field.name in _DICTIONARIES else field for field in SCHEMA])


def open_name(first_seq: int) -> str:
    """Return the file name of an open segment."""
    return f"{first_seq:012d}.open"


def sealed_name(first_seq: int) -> str:
    """Return the file name of a sealed segment."""
    return f"{first_seq:012d}.parquet"


def first_seqs(names: Iterable[str], suffix: str) -> list[int]:
    """Return the first seqs of all segments with a suffix, sorted."""
    matches = (_NAME.fullmatch(name) for name in names)
    seqs = (int(match[1]) for match in matches if match and match[2] == suffix and match[1] == f"{int(match[1]):012d}")
    return sorted(seqs)


def parquet_writer(sink: Any, level: int = LEVEL) -> Any:
    """Return a writer with measured settings: delta packing for growing numbers, dictionaries for repeated texts."""
    return pq.ParquetWriter(
        sink,
        SCHEMA,
        compression="zstd",
        compression_level=level,
        use_dictionary=list(_DICTIONARIES),
        column_encoding=dict.fromkeys(("seq", "time_ns", "recv_ns", "cause"), "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
        write_page_index=True,
        sorting_columns=[pq.SortingColumn(0)],
    )


class RowFilter(NamedTuple):
    """The records that a reader selects."""

    from_seq: int = 0
    to_seq: int = 2**63 - 1  # inclusive
    kinds: Collection[str] | None = None  # None: all
    sources: Collection[str] | None = None

    @property
    def is_filtered(self) -> bool:
        """True if kinds or sources are restricted."""
        return self.kinds is not None or self.sources is not None

    def slice_of(self, first_seq: int, count: int) -> tuple[int, int] | None:
        """Return offset and length of the selected rows among `count` records from `first_seq`, or None."""
        begin = max(self.from_seq - first_seq, 0)
        end = min(self.to_seq + 1 - first_seq, count)
        return (begin, end - begin) if begin < end else None

    def mask(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Return the mask of the rows with selected kinds and sources."""
        import pyarrow.compute as pc  # compute takes 50 ms to import

        masks = [
            pc.is_in(batch.column(name), value_set=texts(sorted(values)))
            for name, values in (("kind", self.kinds), ("source", self.sources))
            if values is not None
        ]
        return masks[0] if len(masks) == 1 else pc.and_(*masks)

    def select_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of selected kinds and sources."""
        return batch.filter(self.mask(batch)) if self.is_filtered else batch


ALL_ROWS = RowFilter()


class SealedSegment:
    """A sealed segment, open for reading. Any damage to its bytes raises DamagedJournalError and no other error."""

    def __init__(self, path: Path, source: Any = None) -> None:
        """Open the file, or `source` in its place: its bytes, or an Arrow file."""
        self.path = path
        try:
            self._file = pq.ParquetFile(
                path if source is None else pa.BufferReader(source) if isinstance(source, bytes) else source,
                page_checksum_verification=True,  # DuckDB does not verify these, so we must
                read_dictionary=list(_DICTIONARIES),
            )
            self.footer = Footer.from_metadata(path, self._file.metadata.metadata or {})
            rows = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            raise DamagedJournalError(path, f"the footer cannot be read ({first_line(error)})") from error
        if path.name.split(".")[0] != f"{self.footer.first_seq:012d}":
            raise DamagedJournalError(path, f"the footer states that it begins at record {self.footer.first_seq}")
        if sum(rows) != self.footer.last_seq - self.footer.first_seq + 1 or not self._parts_fit():
            raise DamagedJournalError(path, "the footer contradicts itself")
        if not self._file.schema_arrow.equals(_READ_SCHEMA):
            raise DamagedJournalError(path, "the footer states other columns than a journal segment has")
        self._rows = rows

    @property
    def last_seq(self) -> int:
        """The last record."""
        return self.footer.last_seq

    @property
    def begins_ns(self) -> int | None:
        """Session time of the first record, or None without records."""
        return self._time_ns(0) if self._rows else None

    def _time_ns(self, group: int) -> int:
        """Return the session time at which a row group begins.

        It is read from the rows, because pyarrow ends the process on statistics in a damaged footer.
        """
        time_ns: int = self._group(group, ("time_ns",)).column(0)[0].as_py()
        return time_ns

    def batches(self, rows: RowFilter = ALL_ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the selected rows of each row group that has some."""
        group_seq = self.footer.first_seq
        for group, count in enumerate(self._rows):
            if bounds := rows.slice_of(group_seq, count):
                yield from self._chosen(group, rows, bounds, columns)
            group_seq += count

    def _chosen(
        self, group: int, rows: RowFilter, bounds: tuple[int, int], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the selected rows of a row group.

        Kinds and sources are read first, and payloads only if some row matches.
        """
        if not rows.is_filtered:
            yield self._first_row(group, columns) if bounds == (0, 1) else self._group(group, columns).slice(*bounds)
            return
        mask = rows.mask(self._group(group, ("kind", "source")).slice(*bounds))
        if mask.true_count:
            yield self._group(group, columns).slice(*bounds).filter(mask)

    def seq_at(self, time_ns: int) -> int:
        """Return the last record at or before this session time, or first_seq - 1."""
        group_count = bisect_right(range(len(self._rows)), time_ns, key=self._time_ns)
        if not group_count:
            return self.footer.first_seq - 1
        times = numbers(self._group(group_count - 1, ("time_ns",)).column(0))
        before: int = self.footer.first_seq - 1 + sum(self._rows[: group_count - 1])
        return before + int(np.searchsorted(times, time_ns, side="right"))

    def _group(self, group: int, columns: Sequence[str] | None) -> pa.RecordBatch:
        try:
            table = self._file.read_row_group(group, columns=columns, use_threads=False)
            table = table.select(list(columns)) if columns is not None else table
            batches = table.combine_chunks().to_batches()
            _check_words(table)
        except UNREADABLE as error:
            raise DamagedJournalError(
                self.path, f"row group {group} cannot be read: {self._bad_column(group)}"
            ) from error
        if sum(batch.num_rows for batch in batches) != self._rows[group]:
            raise DamagedJournalError(self.path, f"row group {group} does not have the rows that the footer states")
        if len(batches) == 1:
            return batches[0]
        return pa.concat_batches(batches) if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    def _first_row(self, group: int, columns: Sequence[str] | None) -> pa.RecordBatch:
        """Return the first row of a row group. The other rows are not decoded, so damage in them is not found here."""
        names = SCHEMA.names if columns is None else list(columns)
        try:
            batch = next(self._file.iter_batches(1, row_groups=[group], columns=names, use_threads=False), None)
            if batch is not None:
                _check_words(pa.Table.from_batches([batch]))
        except UNREADABLE as error:
            raise DamagedJournalError(
                self.path, f"row group {group} cannot be read: {self._bad_column(group)}"
            ) from error
        if batch is None:
            raise DamagedJournalError(self.path, f"row group {group} does not have the rows that the footer states")
        return batch.select(names)

    def _bad_column(self, group: int) -> str:
        """Return the first damaged column of a row group, for a message.

        Not its offset: pyarrow 26 ends the process on the offset of a column whose metadata in the footer is damaged,
        because its C++ code throws an exception that it does not catch.
        """
        for name in SCHEMA.names:
            try:
                self._file.read_row_group(group, columns=[name], use_threads=False).validate(full=True)
            except UNREADABLE as error:
                return f"column {name} ({first_line(error)})"
        return "its columns do not fit each other"

    def parts_with_rows(self) -> Iterator[tuple[SegmentPart, Iterator[pa.RecordBatch]]]:
        """Yield each part with its rows, without dictionaries."""
        first_seq = self.footer.first_seq
        for part in self.footer.parts:
            yield part, map(plain_batch, self.batches(RowFilter(first_seq, part.last_seq)))
            first_seq = part.last_seq + 1

    def _parts_fit(self) -> bool:
        ends = [part.last_seq for part in self.footer.parts]
        return (
            bool(ends)
            and ends == sorted(ends)
            and ends[-1] == self.footer.last_seq
            and ends[0] >= self.footer.first_seq - 1
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)


def _check_words(table: pa.Table) -> None:
    """Refuse rows that point beyond their dictionary, because Parquet's checksums do not cover its length.

    Raises:
        ValueError: A row points beyond its dictionary.
    """
    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            if len(chunk) and not _is_within(chunk.indices, len(chunk.dictionary)):
                raise ValueError("a row points beyond its dictionary")


def _is_within(places: pa.Array, length: int) -> bool:
    """Return True if all places are below a length. A missing one has some number in the buffer, nearly always 0."""
    numbers = np.frombuffer(places.buffers()[1], places.type.to_pandas_dtype())
    if int(numbers[places.offset : places.offset + len(places)].max()) < length:
        return True
    import pyarrow.compute as pc  # as above

    return int(pc.max(places).as_py()) < length


def plain_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch without dictionaries, as it was in the open segment."""
    return batch.cast(pa.schema([SCHEMA.field(name) for name in batch.schema.names]))


def is_intact(sealed: SealedSegment) -> bool:
    """Return True if the rows have the hashes that the footer states.

    Raises:
        DamagedJournalError: The rows cannot be read.
    """
    return all(hash_rows(rows) == part.content for part, rows in sealed.parts_with_rows())


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
