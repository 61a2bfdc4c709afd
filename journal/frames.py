"""One frame of an open segment: a 40-byte header and one Arrow record batch, under one checksum.

The checksum covers the body and the header except the magic, which is compared, and the checksum itself. A frame that
fails it counts as missing. Each frame also states up to which seq everything was on stable storage when it was written,
which distinguishes damage to acknowledged records from a torn tail.

Reads through `ReadableFile`; knows nothing of columns and segments.
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
    """A decoded frame header and its undecoded body."""

    first_seq: int
    durable_seq: int
    rows: int
    end: int  # offset of the byte after it
    body: bytes

    def batch(self) -> pa.RecordBatch:
        """Decode the body."""
        return from_message(self.body)


def encode_frame(records: Sequence[Record], durable_seq: int) -> bytes:
    """Return the bytes of a frame with these records."""
    body = to_message(records)
    checked = _HEADER.pack(MAGIC, 0, len(body), len(records), records[0].seq, durable_seq)[_CHECKED_FROM:]
    crc = crc32(body, crc32(checked))
    return b"".join((MAGIC, crc.to_bytes(4, "little"), checked, body))


def read_frame(reader: ReadableFile, offset: int, size: int) -> Frame | None:
    """Return the intact frame at `offset` within the file's first `size` bytes, or None."""
    if offset + HEADER_BYTES > size:
        return None
    header = reader.read_at(offset, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    magic, crc, length, rows, first_seq, durable_seq = _HEADER.unpack(header)
    end = offset + HEADER_BYTES + length
    if magic != MAGIC or end > size:
        return None
    body = reader.read_at(offset + HEADER_BYTES, length)
    if len(body) < length or crc32(body, crc32(header[_CHECKED_FROM:])) != crc:
        return None
    return Frame(first_seq, durable_seq, rows, end, body)


class FrameWalk:
    """Iterator over the frames of an open segment, up to the first that is not whole or out of sequence.

    Iterating advances `offset`, `next_seq` and `durable_seq` (the highest durable seq that any frame so far states).
    """

    def __init__(self, reader: ReadableFile, next_seq: int, *, offset: int = 0) -> None:
        self._reader = reader
        self.size = reader.size
        self.offset = offset
        self.next_seq = next_seq
        self.durable_seq = -1

    def __iter__(self) -> Iterator[Frame]:
        while (frame := read_frame(self._reader, self.offset, self.size)) and frame.first_seq == self.next_seq:
            self.offset = frame.end
            self.next_seq = frame.first_seq + frame.rows
            self.durable_seq = max(self.durable_seq, frame.durable_seq)
            yield frame

    def finish(self) -> "TornTail":
        """Consume all frames, then return the tail behind them."""
        for _ in self:
            pass
        return self.tail()

    def tail(self) -> "TornTail":
        """Return a description of the bytes behind the last frame.

        Intact frames among them are found by their magic.
        """
        rest = _MemoryFile(self._reader.read_at(self.offset, self.size - self.offset))
        durable_seq, rows, offset = self.durable_seq, 0, 0
        while (offset := rest.data.find(MAGIC, offset)) != -1:
            frame = read_frame(rest, offset, rest.size)
            if frame and frame.durable_seq < frame.first_seq and frame.first_seq >= self.next_seq:
                durable_seq = max(durable_seq, frame.durable_seq)
                rows += frame.rows
                offset = frame.end
            else:
                offset += 1
        return TornTail(self.next_seq, self.offset, self.size - self.offset, rows, durable_seq)


class TornTail(NamedTuple):
    """The bytes after the last whole frame that follows the others."""

    next_seq: int  # the first missing record
    offset: int
    torn_bytes: int
    torn_rows: int  # records in whole frames behind the tear
    durable_seq: int  # the highest that any frame of the file states, before or behind the tear


class _MemoryFile:
    """Bytes in memory as a ReadableFile."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def close(self) -> None: ...
