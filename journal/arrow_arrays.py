"""Arrow columns from Python values, and back, by their buffers.

`pa.array` and `to_numpy` import pandas where it is installed, to ask whether they handle values of it: a third of a
second at the first call, which is more than most commands take.
"""

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def texts(values: Sequence[str]) -> pa.StringArray:
    """Return texts as an Arrow column."""
    encoded = [value.encode() for value in values]
    offsets = array("i", accumulate(map(len, encoded), initial=0))
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def integers(values: NDArray[np.int64]) -> pa.Int64Array:
    """Return numbers as an Arrow column."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def numbers(column: pa.Array) -> Any:
    """Return the integers of a column without nulls as a numpy array that shares its memory."""
    return np.from_dlpack(column)


def flags(column: pa.BooleanArray) -> NDArray[np.bool_]:
    """Return the booleans of a column without nulls as a numpy array."""
    return _unpacked(column, column.buffers()[1])


def are_valid(column: pa.Array) -> NDArray[np.bool_]:
    """Return False for each null of a column."""
    bits = column.buffers()[0]
    return np.ones(len(column), np.bool_) if bits is None else _unpacked(column, bits)


def numbers_or(column: pa.Int64Array, missing: int) -> NDArray[np.int64]:
    """Return the integers of a column, and another number in place of each null."""
    values = np.frombuffer(column.buffers()[1], np.int64, len(column), 8 * column.offset)
    return np.where(are_valid(column), values, missing)


def word_codes(column: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Return a number for each text of a column without nulls, and the text of each number."""
    if isinstance(column, pa.DictionaryArray):
        return numbers(column.indices), column.dictionary.to_pylist()
    words: dict[str, int] = {}
    codes = [words.setdefault(word, len(words)) for word in column.to_pylist()]
    return np.array(codes, np.int64), list(words)


def binary_places(column: pa.BinaryArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of a column and the place in them where each value begins, and where the last one ends."""
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, np.int32, len(column) + 1, 4 * column.offset).astype(np.int64)
    text = np.frombuffer(data or b"", np.uint8)
    text.flags.writeable = False  # the buffer of a Parquet column may be writable
    return text, places


def _unpacked(column: pa.Array, bits: pa.Buffer) -> NDArray[np.bool_]:
    if not len(column):
        return np.empty(0, np.bool_)
    end = column.offset + len(column)
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=end, bitorder="little")[column.offset :].view(np.bool_)
