"""A sealed segment: its name, how its Parquet file is written, and how some of its rows are found in it again.

Knows nothing of who writes when (writer, seal, merge), nor of other segments.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from journal.arrow_codec import SCHEMA
from journal.content_hash import content_of
from journal.errors import DamagedJournalError
from journal.footer import Footer, Part

GROUP_ROWS = (
    8_192  # of a row group: one record is found by decoding so many; twice as many save half a percent of the bytes
)
LEVEL = (
    8  # of zstd. A whole session 13 % smaller than at 1, and less than gzip -6 where 1 is more (docs/performance.md)
)
RECOVERY_LEVEL = 1  # a start waits for it
_NAME = re.compile(r"(\d{12,})\.(open|parquet)")
# what pyarrow raises on damaged bytes, found by flipping every bit of a file (LookupError: a column's name)
UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError)
_DICTIONARIES = ("kind", "source")  # few words, often repeated
_WORDS = pa.dictionary(pa.int32(), pa.string())
_READ_SCHEMA = pa.schema([field.with_type(_WORDS) if field.name in _DICTIONARIES else field for field in SCHEMA])


def open_name(first_seq: int) -> str:
    return f"{first_seq:012d}.open"


def sealed_name(first_seq: int) -> str:
    return f"{first_seq:012d}.parquet"


def first_seqs(names: Iterable[str], suffix: str) -> list[int]:
    """Of all segments whose name ends so, in order."""
    matches = (_NAME.fullmatch(name) for name in names)
    found = (int(match[1]) for match in matches if match and match[2] == suffix and match[1] == f"{int(match[1]):012d}")
    return sorted(found)


def parquet_writer(sink: Any, level: int = LEVEL) -> Any:
    """As measured: delta packing for what counts up, a dictionary only where few words repeat."""
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


class Rows(NamedTuple):
    """Which records a reader wants."""

    from_seq: int = 0
    to_seq: int = 2**63 - 1  # with it
    kinds: Collection[str] | None = None  # None: of whatever kind
    sources: Collection[str] | None = None

    @property
    def some_only(self) -> bool:
        return self.kinds is not None or self.sources is not None

    def within(self, first_seq: int, count: int) -> tuple[int, int] | None:
        """Of `count` records from `first_seq` on: where the wanted begin, and how many they are."""
        begin = max(self.from_seq - first_seq, 0)
        end = min(self.to_seq + 1 - first_seq, count)
        return (begin, end - begin) if begin < end else None

    def mask(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        masks = [
            pc.is_in(batch.column(name), value_set=pa.array(sorted(wanted), pa.string()))
            for name, wanted in (("kind", self.kinds), ("source", self.sources))
            if wanted is not None
        ]
        return masks[0] if len(masks) == 1 else pc.and_(*masks)

    def chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(self.mask(batch)) if self.some_only else batch


ALL_ROWS = Rows()


class Sealed:
    """A sealed segment, open for reading. Whatever is wrong with its bytes is a DamagedJournalError, never another error."""

    def __init__(self, path: Path, source: Any = None) -> None:
        """`source`, its bytes or an Arrow file to read them from, is read in place of the path."""
        self.path = path
        try:
            self._file = pq.ParquetFile(
                path if source is None else pa.BufferReader(source) if isinstance(source, bytes) else source,
                page_checksum_verification=True,  # DuckDB does not look at these, so we must
                read_dictionary=list(_DICTIONARIES),
            )
            self.footer = Footer.of(path, self._file.metadata.metadata or {})
            rows = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            raise DamagedJournalError(path, f"the footer cannot be read ({first_line(error)})") from error
        if path.name.split(".")[0] != f"{self.footer.first_seq:012d}":
            raise DamagedJournalError(path, f"the footer says that it begins at record {self.footer.first_seq}")
        if sum(rows) != self.footer.last_seq - self.footer.first_seq + 1 or not self._parts_fit():
            raise DamagedJournalError(path, "the footer contradicts itself")
        if not self._file.schema_arrow.equals(_READ_SCHEMA):
            raise DamagedJournalError(path, "the footer states other columns than a journal segment has")
        self._rows = rows

    @property
    def last_seq(self) -> int:
        return self.footer.last_seq

    @property
    def begins_ns(self) -> int | None:
        """Session time of its first record."""
        return self._time_ns(0) if self._rows else None

    def _time_ns(self, group: int) -> int:
        """From the rows: asked for statistics in a damaged footer, pyarrow ends the process."""
        found: int = self._group(group, ("time_ns",)).column(0)[0].as_py()
        return found

    def batches(self, rows: Rows = ALL_ROWS, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """A batch for each row group that holds some of `rows`, of those alone."""
        group_seq = self.footer.first_seq
        for group, count in enumerate(self._rows):
            if wanted := rows.within(group_seq, count):
                yield from self._chosen(group, rows, wanted, columns)
            group_seq += count

    def _chosen(
        self, group: int, rows: Rows, wanted: tuple[int, int], columns: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        """Kinds and sources are looked at first: where none is wanted, no payload is read."""
        if not rows.some_only:
            yield self._group(group, columns).slice(*wanted)
            return
        mask = rows.mask(self._group(group, ("kind", "source")).slice(*wanted))
        if mask.true_count:
            yield self._group(group, columns).slice(*wanted).filter(mask)

    def seq_at(self, time_ns: int) -> int:
        """The last record at or before this session time; first_seq - 1 where there is none."""
        begun = bisect_right(range(len(self._rows)), time_ns, key=self._time_ns)
        if not begun:
            return self.footer.first_seq - 1
        times = self._group(begun - 1, ("time_ns",)).column(0).to_numpy()
        before: int = self.footer.first_seq - 1 + sum(self._rows[: begun - 1])
        return before + int(np.searchsorted(times, time_ns, side="right"))

    def _group(self, group: int, columns: Sequence[str] | None) -> pa.RecordBatch:
        try:
            table = self._file.read_row_group(group, columns=columns, use_threads=False)
            table = table.select(list(columns)) if columns is not None else table
            found = table.combine_chunks().to_batches()
            _check_words(table)
        except UNREADABLE as error:
            raise DamagedJournalError(
                self.path, f"row group {group} cannot be read: {self._bad_column(group)}"
            ) from error
        if sum(batch.num_rows for batch in found) != self._rows[group]:
            raise DamagedJournalError(self.path, f"row group {group} has not the rows that the footer states")
        if len(found) == 1:
            return found[0]
        return pa.concat_batches(found) if found else pa.RecordBatch.from_pylist([], schema=table.schema)

    def _bad_column(self, group: int) -> str:
        """The first column of a damaged row group that is. Not where it lies: pyarrow 26 ends the process when it is asked for
        the place of a column whose metadata in the footer is damaged (its C++ throws what nobody catches).
        """
        for name in SCHEMA.names:
            try:
                self._file.read_row_group(group, columns=[name], use_threads=False).validate(full=True)
            except UNREADABLE as error:
                return f"column {name} ({first_line(error)})"
        return "its columns do not fit each other"

    def contents(self) -> Iterator[tuple[Part, Iterator[pa.RecordBatch]]]:
        """Each part and its rows, as they were in the open segment."""
        first_seq = self.footer.first_seq
        for part in self.footer.parts:
            yield part, map(plain_batch, self.batches(Rows(first_seq, part.last_seq)))
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
        self._file.close(force=True)


def _check_words(table: pa.Table) -> None:
    """ValueError where a row points beyond its dictionary: no checksum of Parquet's covers how long a dictionary is."""
    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            if len(chunk) and pc.max(chunk.indices).as_py() >= len(chunk.dictionary):
                raise ValueError("a row points beyond its dictionary")


def plain_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without dictionaries: as it was in the open segment."""
    return batch.cast(pa.schema([SCHEMA.field(name) for name in batch.schema.names]))


def is_whole(sealed: Sealed) -> bool:
    """Whether the rows are those that the footer vouches for. DamagedJournalError where they cannot even be read."""
    return all(content_of(rows) == part.content for part, rows in sealed.contents())


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
