"""One frame of an open segment: a 40-byte header and one Arrow record batch, under one checksum.

A frame is whole or it is nothing: the checksum covers the header (but for the magic, which is compared, and the
checksum itself) and the body. Each frame also says up to which seq everything was on stable storage when it was
written: that is how damage to acknowledged records is told from a torn tail.

Knows nothing of files but `Reading`, of columns (batches) and of segments.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import pyarrow as pa

from journal.arrow_codec import from_message, to_message
from journal.disk import ReadableFile
from journal.record import Record

MAGIC = b"VJ1\n"
_HEADER = Struct("<4sIQQqq")  # magic, crc, body length, rows, first seq, durable seq
HEADER_BYTES = _HEADER.size
assert HEADER_BYTES == 40
_CHECKED_FROM = 8  # the checksum covers the header from here on


class Frame(NamedTuple):
    first_seq: int
    durable_seq: int
    rows: int
    end: int  # offset of the byte after it
    body: bytes

    def batch(self) -> pa.RecordBatch:
        return from_message(self.body)


def encode(records: Sequence[Record], durable_seq: int) -> bytes:
    body = to_message(records)
    checked = _HEADER.pack(MAGIC, 0, len(body), len(records), records[0].seq, durable_seq)[_CHECKED_FROM:]
    crc = crc32(body, crc32(checked))
    return b"".join((MAGIC, crc.to_bytes(4, "little"), checked, body))


def frame_at(reading: ReadableFile, offset: int, size: int) -> Frame | None:
    """The whole and valid frame at `offset` of the file's first `size` bytes, else None."""
    if offset + HEADER_BYTES > size:
        return None
    header = reading.at(offset, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    magic, crc, length, rows, first_seq, durable_seq = _HEADER.unpack(header)
    end = offset + HEADER_BYTES + length
    if magic != MAGIC or end > size:
        return None
    body = reading.at(offset + HEADER_BYTES, length)
    if len(body) < length or crc32(body, crc32(header[_CHECKED_FROM:])) != crc:
        return None
    return Frame(first_seq, durable_seq, rows, end, body)


class Walk:
    """The whole frames of an open segment, from `offset` up to the first that is not whole or does not follow.

    Iterating moves `offset`, `next_seq` and `durable_seq` (the furthest that any frame seen calls durable).
    """

    def __init__(self, reading: ReadableFile, next_seq: int, *, offset: int = 0) -> None:
        self._reading = reading
        self.size = reading.size
        self.offset = offset
        self.next_seq = next_seq
        self.durable_seq = -1

    def __iter__(self) -> Iterator[Frame]:
        while (frame := frame_at(self._reading, self.offset, self.size)) and frame.first_seq == self.next_seq:
            self.offset = frame.end
            self.next_seq = frame.first_seq + frame.rows
            self.durable_seq = max(self.durable_seq, frame.durable_seq)
            yield frame

    def finish(self) -> "Tail":
        """Walk to the end, then look behind it: what lies there, and what it knew to be durable."""
        for _ in self:
            pass
        return self.tail()

    def tail(self) -> "Tail":
        """What lies after the place the walk has come to. Frames that are whole there are searched by their magic."""
        rest = _Held(self._reading.at(self.offset, self.size - self.offset))
        durable_seq, rows, offset = self.durable_seq, 0, 0
        while (offset := rest.data.find(MAGIC, offset)) != -1:
            frame = frame_at(rest, offset, rest.size)
            if frame and frame.durable_seq < frame.first_seq and frame.first_seq >= self.next_seq:
                durable_seq = max(durable_seq, frame.durable_seq)
                rows += frame.rows
                offset = frame.end
            else:
                offset += 1
        return Tail(self.next_seq, self.offset, self.size - self.offset, rows, durable_seq)


class Tail(NamedTuple):
    """What was found after the last whole frame."""

    next_seq: int  # the first record that is not there
    offset: int
    torn_bytes: int
    torn_rows: int  # records in frames that are whole, but lie behind one that is not
    durable_seq: int  # the furthest that any frame of the file, before or behind the tear, calls durable


class _Held:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def close(self) -> None: ...
