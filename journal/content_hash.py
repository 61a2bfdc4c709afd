"""The hash of a segment's rows, and of the chain over segments.

It is over the rows and not over the file, so it survives another codec, another size of row groups, and merging.
Knows the columns of a record; nothing of files.
"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from journal.arrow_codec import SCHEMA

BLOCK_ROWS = 16_384  # the unit of the hash: a segment's rows are fed to it in blocks of so many
CHAIN_START = "0" * 64
_COLUMNS_VERSION = b"1"  # of what is hashed: another set of columns would be another


class ContentHash:
    """sha256 over rows, fed in blocks of BLOCK_ROWS (the last may be shorter)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(_COLUMNS_VERSION)

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


def content_of(batches: Iterable[pa.RecordBatch]) -> str:
    digest = ContentHash()
    for block in blocks(batches):
        digest.add(block)
    return digest.hexdigest()


def link(prev_chain: str, content: str) -> str:
    """The chain value after a segment: it vouches for that segment and for all before it."""
    return hashlib.sha256((prev_chain + content).encode()).hexdigest()
