"""The hash of a segment's rows, and the chain over segments.

The hash covers the rows and not the file, so it survives another codec, another size of row groups, and merging.
Knows the columns of a record, but not files.
"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from journal.arrow_arrays import flags, numbers
from journal.arrow_codec import SCHEMA

BLOCK_ROWS = 16_384  # a segment's rows are hashed in blocks of this size
CHAIN_START = "0" * 64
_COLUMNS_VERSION = b"1"  # another set of columns would get another version


class ContentHash:
    """sha256 over rows, fed in blocks of BLOCK_ROWS (the last may be shorter)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(_COLUMNS_VERSION)

    def add(self, block: pa.RecordBatch) -> None:
        """Hash the next block."""
        for name, column in zip(SCHEMA.names, block.columns, strict=True):
            nulls = column.null_count
            self._hash.update(f"{name}:{len(column)}:{nulls};".encode())
            if 0 < nulls < len(column):
                self._hash.update(np.packbits(flags(column.is_valid())).tobytes())
            values = column.drop_null() if nulls else column
            if pa.types.is_integer(column.type):
                self._hash.update(numbers(values).astype("<i8", copy=False).tobytes())
            elif len(values):
                self._add_texts(values)

    def _add_texts(self, values: pa.Array) -> None:
        _, offsets, data = values.buffers()
        ends = np.frombuffer(offsets, "<i4")[values.offset : values.offset + len(values) + 1]
        self._hash.update(np.diff(ends).astype("<i8").tobytes())
        if data is not None:
            self._hash.update(memoryview(data)[int(ends[0]) : int(ends[-1])])

    def hexdigest(self) -> str:
        """Return the hash of all blocks so far."""
        return self._hash.hexdigest()


def blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Split the rows of all batches into blocks of BLOCK_ROWS."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= BLOCK_ROWS:
            joined = pa.concat_batches(waiting)
            yield joined.slice(0, BLOCK_ROWS)
            waiting = [joined.slice(BLOCK_ROWS)]
            rows -= BLOCK_ROWS
    if rows:
        yield pa.concat_batches(waiting)


def hash_rows(batches: Iterable[pa.RecordBatch]) -> str:
    """Return the hash of all rows of the batches."""
    digest = ContentHash()
    for block in blocks(batches):
        digest.add(block)
    return digest.hexdigest()


def next_chain(prev_chain: str, content: str) -> str:
    """Return the chain value after a segment. It covers that segment and all segments before it."""
    return hashlib.sha256((prev_chain + content).encode()).hexdigest()
