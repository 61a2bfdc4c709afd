"""Codec between records and the Arrow record-batch message of one frame.

A frame holds some 14 records. At that size building a batch with Arrow costs more than everything else that the writer
does, so this module assembles the message itself. Arrow makes the head once for this schema, and each message patches
the values that vary (rows, nulls, offsets and lengths of the buffers). A message of a few records, as those of an order
have, is patched into the form of an earlier one. A property test compares the result with Arrow's own.

Knows the columns of a record and the layout of an Arrow message (https://arrow.apache.org/docs/format/Columnar.html),
but not frames and files.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, repeat
from operator import is_not, itemgetter
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


# a column of a message: its nulls, the sizes of its buffers without padding, and the buffers in order, each padded
_Column = tuple[int, tuple[int, ...], bytes]
_FEW = 16  # rows up to which kinds, sources and nulls often are those of an earlier frame


@lru_cache(1024)
def _packer(rows: int, letter: str) -> Callable[..., bytes]:
    return struct.Struct(f"<{rows}{letter}").pack


@lru_cache(1024)
def _validity(flags: bytes) -> bytes:
    """Return Arrow's validity bitmap, one bit a row, with its padding. `flags` has a byte a row: 0 is null."""
    bits = np.packbits(np.frombuffer(flags, np.uint8), bitorder="little").tobytes()
    return bits + _PADDING[len(bits) & 7]


def _numbers(values: Sequence[int | None]) -> _Column:
    rows = len(values)
    if values[0] is not None is not values[-1]:
        try:
            return 0, (0, 8 * rows), _packer(rows, "q")(*values)
        except struct.error:  # some values are null; checking each value in advance would cost more than the packing
            pass
    nulls = values.count(None)
    if nulls == rows:
        return _null_numbers(rows)
    numbers = _packer(rows, "q")(*[value or 0 for value in values])
    return nulls, (rows + 7 >> 3, 8 * rows), _validity(bytes(map(is_not, values, repeat(None)))) + numbers


@lru_cache(256)
def _null_numbers(rows: int) -> _Column:
    return rows, (rows + 7 >> 3, 8 * rows), _validity(bytes(rows)) + bytes(8 * rows)


def _bytes(values: Sequence[bytes | None]) -> _Column:
    rows = len(values)
    if values[0] is not None is not values[-1]:
        try:
            return _variable_column(rows, 0, b"", map(len, values), b"".join(values))  # type: ignore[arg-type]
        except TypeError:  # some values are null
            pass
    nulls = values.count(None)
    if nulls == rows:
        return _constant_texts(None, rows)
    bits = _validity(bytes(map(is_not, values, repeat(None))))
    known = [value or b"" for value in values]
    return _variable_column(rows, nulls, bits, map(len, known), b"".join(known))


def _texts(values: Sequence[str | None]) -> _Column:
    word = values[0]
    if values.count(word) == len(values):
        return _constant_texts(word, len(values))
    return _bytes([value if value is None else value.encode() for value in values])


def _variable_column(rows: int, nulls: int, bits: bytes, lengths: Iterable[int], data: bytes) -> _Column:
    offsets = _packer(rows + 1, "i")(0, *accumulate(lengths))
    sizes = (rows + 7 >> 3 if nulls else 0, len(offsets), len(data))
    return nulls, sizes, b"".join((bits, offsets, _PADDING[len(offsets) & 7], data, _PADDING[len(data) & 7]))


@lru_cache(512)
def _constant_texts(word: str | None, rows: int) -> _Column:
    """Return a column with the same text, or null, in every row. Columns such as kind and source often are constant."""
    if word is None:
        return _variable_column(rows, rows, _validity(bytes(rows)), repeat(0, rows), b"")
    return _variable_column(rows, 0, b"", repeat(len(word.encode()), rows), word.encode() * rows)


class _FewTexts(NamedTuple):
    """A column of texts or bytes in messages of a few records, whose nulls are known."""

    bits: bytes  # its validity
    nothing: bytes  # its other buffers if all rows are null
    known: Callable[[Any], Any] | None  # of its values, those that are not null; None: all are null
    ends: Callable[[Any], Any]  # of the places where known values end, those where the rows end
    pack: Callable[..., bytes]  # the latter, with padding
    sizes: tuple[int, int]  # of the validity and of the places, without padding
    data_at: int  # behind its begin


class _FewRows(NamedTuple):
    """The shared part of messages of a few records whose kinds, sources and nulls are the same."""

    start: bytes  # head and columns before `key`, with zeros as numbers
    pack: Callable[..., None]  # seq and time_ns of all rows, at `numbers_at`
    numbers_at: int
    # recv_ns and cause: the values that are not null, and their place
    nullable: tuple[tuple[Callable[[Any], Any], Callable[..., None], int], ...]
    buffers: tuple[int, ...]  # offset and length of those before `key`
    texts_at: int  # in the body
    texts: tuple[_FewTexts, ...]  # of the other columns


@lru_cache(128)  # patterns of one session: those in use are few, and each takes 3 kB
def _few_rows(kind: Sequence[str], source: Sequence[str], known: bytes) -> _FewRows:
    """Return the shared part. `known` has a byte a row of each column that may be null, in order: 0 is null."""
    rows = len(kind)
    recv_ns, cause, *texts = (known[start : start + rows] for start in range(0, len(known), rows))
    zeros = _numbers((0,) * rows)
    of_nullable = [_numbers([0 if flag else None for flag in flags]) for flags in (recv_ns, cause)]
    columns = (zeros, zeros, of_nullable[0], _texts(kind), _texts(source), of_nullable[1])
    nulls = [*(column[0] for column in columns), *(flags.count(0) for flags in texts)]
    head = bytearray(_HEAD.data)
    _pack_number(head, _HEAD.rows_at, rows)
    _pack_nodes(head, _HEAD.nodes_at, *chain.from_iterable(zip(repeat(rows), nulls, strict=False)))
    ends = list(accumulate([len(column[2]) for column in columns], initial=len(head)))
    sizes = list(chain.from_iterable(column[1] for column in columns))
    offsets = accumulate([size + 7 & -8 for size in sizes], initial=0)
    numbers = ((recv_ns, ends[3] - 8 * rows), (cause, ends[6] - 8 * rows))
    return _FewRows(
        start=b"".join((head, *(column[2] for column in columns))),
        pack=struct.Struct(f"<{2 * rows}q").pack_into,
        numbers_at=ends[0],
        nullable=tuple((_known(flags), _packer_between(flags), at) for flags, at in numbers),
        buffers=tuple(chain.from_iterable(zip(offsets, sizes, strict=False))),
        texts_at=ends[6] - len(head),
        texts=tuple(map(_few_texts, texts)),
    )


def _known(flags: bytes) -> Callable[[Any], Any]:
    """Return a function that picks the values of the rows with a flag."""
    places = [place for place, flag in enumerate(flags) if flag]
    if len(places) > 1 and places[-1] - places[0] >= len(places):
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[-1] + 1) if places else slice(0))


def _packer_between(flags: bytes) -> Callable[..., None]:
    """Return a function that packs the numbers of the rows with a flag, and zeros in the others."""
    return struct.Struct("<" + "".join("q" if flag else "8x" for flag in flags)).pack_into


def _few_texts(flags: bytes) -> _FewTexts:
    rows, bits = len(flags), _validity(flags) if 0 in flags else b""
    pack = struct.Struct(f"<{rows + 1}i{-4 * (rows + 1) % 8}x").pack
    nothing = pack(*[0] * (rows + 1))
    return _FewTexts(
        bits=bits,
        nothing=nothing,
        known=_known(flags) if any(flags) else None,
        ends=itemgetter(*accumulate(flags, initial=0)),
        pack=pack,
        sizes=(rows + 7 >> 3 if bits else 0, 4 * (rows + 1)),
        data_at=len(bits) + len(nothing),
    )


def _message_of_few(columns: Sequence[Sequence[Any]]) -> bytes:
    """Return the message of a few records, as those of an order. Most of it is shared with earlier ones."""
    seq, time_ns, kind, source, cause, key, recv_ns, meta, payload, body = columns
    shared = _few_rows(kind, source, bytes(map(is_not, chain(recv_ns, cause, key, meta, payload, body), repeat(None))))
    start, buffers, at = bytearray(shared.start), list(shared.buffers), shared.texts_at
    shared.pack(start, shared.numbers_at, *seq, *time_ns)
    for values, (known, pack, place) in zip((recv_ns, cause), shared.nullable, strict=False):
        pack(start, place, *known(values))
    data: list[bytes | bytearray] = [start]
    for values, (bits, nothing, known_of, ends, pack_ends, sizes, data_at) in zip(
        (key, meta, payload, body), shared.texts, strict=False
    ):
        size = 0
        if known_of is None:
            data += bits, nothing
        else:
            found = known_of(values)
            if type(found[0]) is bytes:
                joined = b"".join(found)
            elif (text := "".join(found)).isascii():
                joined = text.encode()
            else:
                found = [value.encode() for value in found]
                joined = b"".join(found)
            size = len(joined)
            data += bits, pack_ends(*ends((0, *accumulate(map(len, found))))), joined, _PADDING[size & 7]
        buffers += at, sizes[0], at + len(bits), sizes[1], at + data_at, size
        at += data_at + (size + 7 & -8)
    _pack_number(start, _HEAD.body_bytes_at, at)
    _pack_buffers(start, _HEAD.buffers_at, *buffers)
    return b"".join(data)


def to_message(records: Sequence[Record]) -> bytes:
    """Return consecutive records as one Arrow record-batch message, which `pa.ipc.read_record_batch` reads."""
    rows = len(records)
    columns = tuple(zip(*map(astuple, records), strict=True))
    if rows <= _FEW:
        return _message_of_few(columns)
    seq, time_ns, kind, source, cause, key, recv_ns, meta, payload, body = columns
    nulls, sizes, data = zip(
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
        strict=True,
    )
    flat = tuple(chain.from_iterable(sizes))
    offsets = tuple(accumulate([size + 7 & -8 for size in flat], initial=0))  # the last one is the end
    head = bytearray(_HEAD.data)
    _pack_number(head, _HEAD.rows_at, rows)
    _pack_number(head, _HEAD.body_bytes_at, offsets[-1])
    _pack_nodes(head, _HEAD.nodes_at, *chain.from_iterable(zip(repeat(rows), nulls, strict=False)))
    _pack_buffers(head, _HEAD.buffers_at, *chain.from_iterable(zip(offsets, flat, strict=False)))
    return b"".join((head, *data))


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
