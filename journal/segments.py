"""A sealed segment: its name, how its Parquet file is written and read, what its footer says, the hash of its rows.

The hash is over the rows and not over the file, so it survives another codec or another size of row groups.
Knows nothing of who writes when (writer, seal) nor of other segments but the chain value before this one.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from journal.batches import SCHEMA, SCHEMA_VERSION
from journal.errors import DamagedJournal

BLOCK_ROWS = 16_384  # rows of a row group, and the unit of the content hash
CHAIN_START = "0" * 64
CHECKSUMS = "SHA256SUMS"
_NAME = re.compile(r"(\d{12,})\.(open|parquet)")
_FOOTER_KEY = "journal."  # all our footer keys begin so
# what pyarrow raises on damaged bytes, found by flipping every bit of a file (LookupError: a column's name)
UNREADABLE = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError)


_TIME_COLUMN = SCHEMA.names.index("time_ns")
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
    return sorted(int(match[1]) for match in matches if match and match[2] == suffix)


class Footer(msgspec.Struct, frozen=True):
    """What a sealed segment says of itself."""

    first_seq: int
    last_seq: int  # first_seq - 1 where it has no rows
    content: str
    prev_chain: str
    chain: str
    final: bool  # it closes the session
    dropped_bytes: int = 0  # of a torn tail, when recovery sealed it
    dropped_rows: int = 0
    schema_version: int = SCHEMA_VERSION

    def to_metadata(self) -> dict[str, str]:
        return {_FOOTER_KEY + name: str(int(v) if isinstance(v, bool) else v) for name, v in _fields(self).items()}

    @classmethod
    def of(cls, path: Path, metadata: Any) -> "Footer":
        """From a Parquet file's metadata."""
        texts = {key.decode("latin-1"): value for key, value in (metadata.metadata or {}).items()}
        try:
            given = {name: texts[_FOOTER_KEY + name].decode() for name in cls.__struct_fields__}
            footer = msgspec.convert(given | {"final": given["final"] == "1"}, cls, strict=False)
        except (KeyError, ValueError) as error:  # msgspec.ValidationError is a ValueError
            raise DamagedJournal(path, f"the footer is not a journal segment's ({error})") from error
        if footer.schema_version != SCHEMA_VERSION:
            raise DamagedJournal(
                path, f"written with schema version {footer.schema_version}", "read it with a newer version"
            )
        return footer


def _fields(footer: Footer) -> dict[str, Any]:
    return {name: getattr(footer, name) for name in footer.__struct_fields__}


def link(prev_chain: str, content: str) -> str:
    return hashlib.sha256((prev_chain + content).encode()).hexdigest()


class ContentHash:
    """sha256 over rows, fed in blocks of BLOCK_ROWS (the last may be shorter)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(f"{SCHEMA_VERSION}".encode())

    def add(self, block: pa.RecordBatch) -> None:
        for name, column in zip(SCHEMA.names, block.columns, strict=True):
            nulls = column.null_count
            self._hash.update(f"{name}:{len(column)}:{nulls};".encode())
            if 0 < nulls < len(column):
                self._hash.update(np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes())
            values = column.drop_null() if nulls else column
            if pa.types.is_integer(column.type):
                self._hash.update(values.to_numpy().astype("<i8", copy=False).tobytes())
            elif len(values):
                self._add_texts(values)

    def _add_texts(self, values: pa.Array) -> None:
        lengths = pc.binary_length(values).to_numpy().astype("<i8")
        self._hash.update(lengths.tobytes())
        _, offsets, data = values.buffers()
        ends = np.frombuffer(offsets, "<i4")[values.offset : values.offset + len(values) + 1]
        if data is not None:
            self._hash.update(memoryview(data)[int(ends[0]) : int(ends[-1])])

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, cut anew into blocks of BLOCK_ROWS."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= BLOCK_ROWS:
            joined = pa.concat_batches(held)
            yield joined.slice(0, BLOCK_ROWS)
            held = [joined.slice(BLOCK_ROWS)]
            rows -= BLOCK_ROWS
    if rows:
        yield pa.concat_batches(held)


def parquet_writer(sink: Any) -> Any:
    """As measured: delta packing for what counts up, a dictionary only where few words repeat."""
    return pq.ParquetWriter(
        sink,
        SCHEMA,
        compression="zstd",
        compression_level=8,  # a whole session 13 % smaller than at 1, 4.5 us of a background thread a record (docs/performance.md)
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
    """A sealed segment, open for reading. Whatever is wrong with its bytes is a DamagedJournal, never another error."""

    def __init__(self, path: Path, source: Any = None) -> None:
        """`source`, its bytes or an Arrow file to read them from, is read in place of the path."""
        self.path = path
        try:
            self._file = pq.ParquetFile(
                path if source is None else pa.BufferReader(source) if isinstance(source, bytes) else source,
                page_checksum_verification=True,  # DuckDB does not look at these, so we must
                read_dictionary=list(_DICTIONARIES),
            )
            self.footer = Footer.of(path, self._file.metadata)
            rows = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        except FileNotFoundError:
            raise
        except UNREADABLE as error:
            raise DamagedJournal(path, f"the footer cannot be read ({first_line(error)})") from error
        if path.name.split(".")[0] != f"{self.footer.first_seq:012d}":
            raise DamagedJournal(path, f"the footer says that it begins at record {self.footer.first_seq}")
        if sum(rows) != self.footer.last_seq - self.footer.first_seq + 1:
            raise DamagedJournal(path, "the footer contradicts itself")
        if not self._file.schema_arrow.equals(_READ_SCHEMA):
            raise DamagedJournal(path, "the footer states other columns than a journal segment has")
        self._rows = rows

    @property
    def last_seq(self) -> int:
        return self.footer.last_seq

    @property
    def begins_ns(self) -> int | None:
        """Session time of its first record."""
        return self._time_ns(0) if self._rows else None

    def _time_ns(self, group: int) -> int:
        found: int = self._file.metadata.row_group(group).column(_TIME_COLUMN).statistics.min
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
            raise DamagedJournal(self.path, f"row group {group} cannot be read ({first_line(error)})") from error
        if sum(batch.num_rows for batch in found) != self._rows[group]:
            raise DamagedJournal(self.path, f"row group {group} has not the rows that the footer states")
        if len(found) == 1:
            return found[0]
        return pa.concat_batches(found) if found else pa.RecordBatch.from_pylist([], schema=table.schema)

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


def content_of(sealed: Sealed) -> str:
    digest = ContentHash()
    for block in blocks(map(plain_batch, sealed.batches())):
        digest.add(block)
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
