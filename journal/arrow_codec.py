"""Records as the Arrow record-batch message of one frame, and back.

A frame holds some 14 records, and at that size Arrow's own way of making a batch costs more than everything else the
writer does. So the message is put together here from its parts: its head is taken once from Arrow, for this schema, and
what differs from batch to batch (rows, nulls, offsets and lengths of the buffers) is written into its places.
What comes out is read by Arrow; a property test holds it equal to what Arrow would have made.

Knows the columns of a record and the layout of an Arrow message (https://arrow.apache.org/docs/format/Columnar.html);
nothing of frames and files.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, repeat
from struct import Struct, unpack_from
from struct import error as StructError  # noqa: N812 - the module names it as no class is named
from typing import Any, NamedTuple

import pyarrow as pa
from msgspec.structs import astuple

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
_KINDS = {kind.value: kind for kind in Kind}
_PADDING = [bytes(-size % 8) for size in range(8)]  # buffers begin at multiples of 8
_BUFFERS = sum(2 if pa.types.is_integer(field.type) else 3 for field in SCHEMA)
_pack_number = Struct("<q").pack_into
_pack_nodes = Struct(f"<{2 * len(SCHEMA)}q").pack_into  # each is two numbers: rows, nulls
_pack_buffers = Struct(f"<{2 * _BUFFERS}q").pack_into  # each is two numbers: offset, length


class _Head(NamedTuple):
    """The message's head for this schema, and the places in it that differ from batch to batch."""

    data: bytes
    rows_at: int
    nodes_at: int
    buffers_at: int
    body_bytes_at: int


def _field(data: bytes, table: int, number: int) -> int:
    """Where a flatbuffer's table holds its field of that number."""
    vtable = table - unpack_from("<i", data, table)[0]
    return table + int(unpack_from("<H", data, vtable + 4 + 2 * number)[0])


def _followed(data: bytes, at: int) -> int:
    return at + int(unpack_from("<I", data, at)[0])


def _head() -> _Head:
    """From a batch that has rows and nulls everywhere, so that no field of the head is left out as a default."""
    row = ([1], [1], [None], ["a"], ["a"], [None], [None], [None], [None], [None])
    columns = [pa.array(values, field.type) for values, field in zip(row, SCHEMA, strict=True)]
    batch = pa.record_batch(columns, schema=SCHEMA)
    message = batch.serialize().to_pybytes()
    prefix = 8  # the continuation mark and the length of what follows
    data = message[: prefix + unpack_from("<I", message, 4)[0]]
    root = _followed(data, prefix)
    header = _followed(data, _field(data, root, 2))
    return _Head(
        data=data,
        rows_at=_field(data, header, 0),
        nodes_at=_followed(data, _field(data, header, 1)) + 4,
        buffers_at=_followed(data, _field(data, header, 2)) + 4,
        body_bytes_at=_field(data, root, 3),
    )


_HEAD = _head()


class _Column(NamedTuple):
    nulls: int
    sizes: tuple[int, ...]  # of its buffers, without what fills them up to multiples of 8
    data: bytes  # the buffers, filled up, one behind the other


def _bits(values: Sequence[object]) -> bytes:
    """Arrow's bitmap of validity: one bit a row, the first the lowest."""
    bits = sum(1 << at for at, value in enumerate(values) if value is not None)
    size = (len(values) + 7) // 8
    return bits.to_bytes(size + -size % 8, "little")


@lru_cache(1024)
def _packer(rows: int, letter: str) -> Callable[..., bytes]:
    return Struct(f"<{rows}{letter}").pack


def _numbers(values: Sequence[int | None]) -> _Column:
    rows = len(values)
    if values[0] is None and values.count(None) == rows:
        return _no_numbers(rows)
    pack = _packer(rows, "q")
    try:
        return _Column(0, (0, 8 * rows), pack(*values))
    except StructError:  # some are null; asked for here, since looking at each costs more than all the rest
        given = pack(*[0 if value is None else value for value in values])
    return _Column(values.count(None), ((rows + 7) // 8, 8 * rows), _bits(values) + given)


@lru_cache(256)
def _no_numbers(rows: int) -> _Column:
    bits = _bits([None] * rows)
    return _Column(rows, ((rows + 7) // 8, 8 * rows), bits + bytes(8 * rows))


def _bytes(values: Sequence[bytes | None]) -> _Column:
    if values[0] is None and values.count(None) == len(values):
        return _one_word(None, len(values))
    try:
        return _filled(values, 0, b"")  # type: ignore[arg-type] # where some are null it says so
    except TypeError:
        return _filled([value or b"" for value in values], values.count(None), _bits(values))


def _filled(values: Sequence[bytes], nulls: int, bits: bytes) -> _Column:
    rows = len(values)
    offsets = _packer(rows + 1, "i")(0, *accumulate(map(len, values)))
    data = b"".join(values)
    sizes = ((rows + 7) // 8 if nulls else 0, len(offsets), len(data))
    return _Column(nulls, sizes, b"".join((bits, offsets, _PADDING[len(offsets) & 7], data, _PADDING[len(data) & 7])))


def _texts(values: Sequence[str | None]) -> _Column:
    word = values[0]
    if values.count(word) == len(values):
        return _one_word(word, len(values))
    return _bytes([value if value is None else value.encode() for value in values])


@lru_cache(512)
def _one_word(word: str | None, rows: int) -> _Column:
    """One word for all rows, as kind and source often are, or none at all."""
    if word is None:
        return _filled([b""] * rows, rows, _bits([None] * rows))
    return _filled([word.encode()] * rows, 0, b"")


def to_message(records: Sequence[Record]) -> bytes:
    """Records that follow each other as one Arrow record-batch message, which `pa.ipc.read_record_batch` reads."""
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
    return pa.ipc.read_record_batch(pa.py_buffer(message), SCHEMA)


def to_records(batch: pa.RecordBatch) -> Iterator[Record]:
    """The rows as records; `kind` and `source` may come dictionary-encoded. ValueError on an unknown kind."""
    column = dict(zip(batch.schema.names, batch.columns, strict=True))
    return map(
        Record,
        _values(column["seq"]),
        _values(column["time_ns"]),
        _kinds(column["kind"]),
        _values(column["source"]),
        _values(column["cause"]),
        _values(column["key"]),
        _values(column["recv_ns"]),
        _values(column["meta"]),
        _values(column["payload"]),
        _values(column["body"]),
    )


def _kinds(column: pa.Array) -> Iterable[Kind]:
    try:
        if isinstance(column, pa.DictionaryArray):  # one look-up for each word, not for each row
            return _worded(column, [_KINDS[text] for text in column.dictionary.to_pylist()])
        return [_KINDS[text] for text in column.to_pylist()]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no kind of record that this version knows") from None


def _values(column: pa.Array) -> Any:
    if column.null_count == len(column):
        return repeat(None, len(column))
    if isinstance(column, pa.DictionaryArray):
        return _worded(column, column.dictionary.to_pylist())
    if column.null_count:
        return column.to_pylist()
    return column.to_numpy(zero_copy_only=False).tolist()  # sooner than Arrow makes objects


def _worded(column: pa.DictionaryArray, words: list[Any]) -> Iterable[Any]:
    """The rows' words, by their dictionary. Most groups of a market's records know one alone."""
    if len(words) == 1 and not column.null_count:
        return repeat(words[0], len(column))
    return map(words.__getitem__, column.indices.to_pylist())
