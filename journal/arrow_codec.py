"""Codec between records and the Arrow record-batch message of one frame.

A frame holds some 14 records. At that size building a batch with Arrow costs more than everything else that the writer
does, so this module assembles the message itself. Arrow makes the head once for this schema, and each message patches
the values that vary (rows, nulls, offsets and lengths of the buffers). A property test compares the result with Arrow's
own.

Knows the columns of a record and the layout of an Arrow message (https://arrow.apache.org/docs/format/Columnar.html),
but not frames and files.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from journal.arrow_arrays import integers, numbers, texts
from journal.record import Kind, Record

SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time_ns", pa.int64(), nullable=False),
        pa.field("recv_ns", pa.int64()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("cause", pa.int64()),
        pa.field("key", pa.string()),
        pa.field("meta", pa.string()),
        pa.field("payload", pa.binary()),
        pa.field("body", pa.string()),
    ]
)
assert set(Record.__struct_fields__) == set(SCHEMA.names)
KINDS = {kind.value: kind for kind in Kind}
_PADDING = [bytes(-size % 8) for size in range(8)]  # buffers begin at multiples of 8
_BUFFERS = sum(2 if pa.types.is_integer(field.type) else 3 for field in SCHEMA)
_pack_number = struct.Struct("<q").pack_into
_pack_nodes = struct.Struct(f"<{2 * len(SCHEMA)}q").pack_into  # two numbers per column: rows, nulls
_pack_buffers = struct.Struct(f"<{2 * _BUFFERS}q").pack_into  # two numbers per buffer: offset, length


class _Head(NamedTuple):
    """The message's head for this schema, and the positions of the values that vary between batches."""

    data: bytes
    rows_at: int
    nodes_at: int
    buffers_at: int
    body_bytes_at: int


def _field_position(data: bytes, table: int, number: int) -> int:
    """Return the position of a field in a flatbuffer's table."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    return table + int(struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0])


def _follow_offset(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _build_head() -> _Head:
    """Return the head of a message that Arrow made.

    Its batch has rows and nulls in every column, because Arrow omits fields that have their default value.
    """
    number, text = integers(np.ones(1, np.int64)), texts(["a"])
    given = {"seq": number, "time_ns": number, "kind": text, "source": text}
    columns = [given.get(field.name) or pa.nulls(1, field.type) for field in SCHEMA]
    batch = pa.record_batch(columns, schema=SCHEMA)
    message = batch.serialize().to_pybytes()
    prefix = 8  # the continuation mark and the length of the flatbuffer
    data = message[: prefix + struct.unpack_from("<I", message, 4)[0]]
    root = _follow_offset(data, prefix)
    header = _follow_offset(data, _field_position(data, root, 2))
    return _Head(
        data=data,
        rows_at=_field_position(data, header, 0),
        nodes_at=_follow_offset(data, _field_position(data, header, 1)) + 4,
        buffers_at=_follow_offset(data, _field_position(data, header, 2)) + 4,
        body_bytes_at=_field_position(data, root, 3),
    )


_HEAD = _build_head()


class _Column(NamedTuple):
    """One column of a message."""

    nulls: int
    sizes: tuple[int, ...]  # of its buffers, without padding
    data: bytes  # the buffers in order, each padded to a multiple of 8


def _bits(values: Sequence[object]) -> bytes:
    """Return Arrow's validity bitmap: one bit per row, the lowest bit first."""
    bits = sum(1 << at for at, value in enumerate(values) if value is not None)
    size = (len(values) + 7) // 8
    return bits.to_bytes(size + -size % 8, "little")


@lru_cache(1024)
def _packer(rows: int, letter: str) -> Callable[..., bytes]:
    return struct.Struct(f"<{rows}{letter}").pack


def _numbers(values: Sequence[int | None]) -> _Column:
    rows = len(values)
    if values[0] is None and values.count(None) == rows:
        return _null_numbers(rows)
    pack = _packer(rows, "q")
    try:
        return _Column(0, (0, 8 * rows), pack(*values))
    except struct.error:  # some values are null; checking each value in advance would cost more than the packing
        numbers = pack(*[0 if value is None else value for value in values])
    return _Column(values.count(None), ((rows + 7) // 8, 8 * rows), _bits(values) + numbers)


@lru_cache(256)
def _null_numbers(rows: int) -> _Column:
    bits = _bits([None] * rows)
    return _Column(rows, ((rows + 7) // 8, 8 * rows), bits + bytes(8 * rows))


def _bytes(values: Sequence[bytes | None]) -> _Column:
    if values[0] is None and values.count(None) == len(values):
        return _constant_texts(None, len(values))
    try:
        return _variable_column(values, 0, b"")  # type: ignore[arg-type] # raises TypeError if some are null
    except TypeError:
        return _variable_column([value or b"" for value in values], values.count(None), _bits(values))


def _variable_column(values: Sequence[bytes], nulls: int, bits: bytes) -> _Column:
    rows = len(values)
    offsets = _packer(rows + 1, "i")(0, *accumulate(map(len, values)))
    data = b"".join(values)
    sizes = ((rows + 7) // 8 if nulls else 0, len(offsets), len(data))
    return _Column(nulls, sizes, b"".join((bits, offsets, _PADDING[len(offsets) & 7], data, _PADDING[len(data) & 7])))


def _texts(values: Sequence[str | None]) -> _Column:
    word = values[0]
    if values.count(word) == len(values):
        return _constant_texts(word, len(values))
    return _bytes([value if value is None else value.encode() for value in values])


@lru_cache(512)
def _constant_texts(word: str | None, rows: int) -> _Column:
    """Return a column with the same text, or null, in every row. Columns such as kind and source often are constant."""
    if word is None:
        return _variable_column([b""] * rows, rows, _bits([None] * rows))
    return _variable_column([word.encode()] * rows, 0, b"")


def to_message(records: Sequence[Record]) -> bytes:
    """Return consecutive records as one Arrow record-batch message, which `pa.ipc.read_record_batch` reads."""
    rows = len(records)
    seq, time_ns, kind, source, cause, key, recv_ns, meta, payload, body = zip(*map(astuple, records), strict=True)
    columns = (
        _numbers(seq),
        _numbers(time_ns),
        _numbers(recv_ns),
        _texts(kind),
        _texts(source),
        _numbers(cause),
        _texts(key),
        _texts(meta),
        _bytes(payload),
        _texts(body),
    )
    nodes: list[int] = []
    buffers: list[int] = []
    offset = 0
    for nulls, sizes, _ in columns:
        nodes += (rows, nulls)
        for size in sizes:
            buffers += (offset, size)
            offset += size + 7 & -8
    head = bytearray(_HEAD.data)
    _pack_number(head, _HEAD.rows_at, rows)
    _pack_number(head, _HEAD.body_bytes_at, offset)
    _pack_nodes(head, _HEAD.nodes_at, *nodes)
    _pack_buffers(head, _HEAD.buffers_at, *buffers)
    return b"".join((head, *[data for _, _, data in columns]))


def from_message(message: bytes) -> pa.RecordBatch:
    """Return the record batch of a message that `to_message` made."""
    return pa.ipc.read_record_batch(pa.py_buffer(message), SCHEMA)


def to_records(batch: pa.RecordBatch) -> Iterator[Record]:
    """Return an iterator of the rows as records. `kind` and `source` may be dictionary-encoded, `payload` left out.

    Raises:
        ValueError: A row has an unknown kind.
    """
    column = dict(zip(batch.schema.names, batch.columns, strict=True))
    return map(
        Record,
        column_values(column["seq"]),
        column_values(column["time_ns"]),
        _kinds(column["kind"]),
        column_values(column["source"]),
        column_values(column["cause"]),
        column_values(column["key"]),
        column_values(column["recv_ns"]),
        column_values(column["meta"]),
        column_values(column["payload"]) if "payload" in column else repeat(None, batch.num_rows),
        column_values(column["body"]),
    )


def _kinds(column: pa.Array) -> Iterable[Kind]:
    try:
        if isinstance(column, pa.DictionaryArray):  # one look-up per distinct text, not per row
            return _decode_words(column, [KINDS[text] for text in column.dictionary.to_pylist()])
        return [KINDS[text] for text in column.to_pylist()]
    except KeyError as error:
        raise unknown_kind(error.args[0]) from None


def unknown_kind(text: str) -> ValueError:
    """Return the error of a record whose kind has another text than the known ones."""
    return ValueError(f"{text!r} is not a kind of record that this version knows")


def column_values(column: pa.Array) -> Any:
    """Return the values of a column as Python objects."""
    if column.null_count == len(column):
        return repeat(None, len(column))
    if isinstance(column, pa.DictionaryArray):
        return _decode_words(column, column.dictionary.to_pylist())
    if column.null_count or not pa.types.is_integer(column.type):
        return column.to_pylist()
    return numbers(column).tolist()  # faster than Arrow's to_pylist


def _decode_words(column: pa.DictionaryArray, words: list[Any]) -> Iterable[Any]:
    """Return the text of each row of a dictionary column. Most groups of market records use a single text."""
    if len(words) == 1 and not column.null_count:
        return repeat(words[0], len(column))
    return map(words.__getitem__, column.indices.to_pylist())
