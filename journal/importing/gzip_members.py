"""Reads a gzip file of several members past a broken one, as a collector leaves it that was killed and started again.

Each member is checked before its text is passed on, which decompresses it twice. One that is cut ends where the next
one begins: its lines up to there are kept. One that is damaged is left out, since any line of it may be altered. The
line BROKEN replaces what is left out. A last member that is cut or damaged is an error, as in a file of one.
"""

import io
import os
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import IO, Final

MAGIC: Final = b"\x1f\x8b\x08"
RESERVED_FLAGS: Final = 0xE0  # of the header: 0 in every file
HEADER_BYTES: Final = 10
CHUNK: Final = 1 << 17
BROKEN: Final = b"\0a broken member of a gzip file\0"
TRIAL_BYTES: Final = 1 << 15  # that decompress without an error only if a member begins there
WITH_HEADER: Final = 16 + zlib.MAX_WBITS


class _State(Enum):
    WHOLE = 1
    CUT = 2  # another member begins before its end
    DAMAGED = 3  # and another member follows
    LAST = 4  # cut or damaged, and nothing follows


class GzipMembers(io.RawIOBase):
    """The decompressed bytes of all members."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._texts = self._all_texts()
        self._text = b""  # decompressed and not passed on yet

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed allows any buffer
        """Read decompressed bytes. Raises zlib.error or EOFError at a broken last member."""
        while not self._text:
            text = next(self._texts, None)
            if text is None:
                return 0
            self._text = text
        count = min(len(buffer), len(self._text))
        buffer[:count] = self._text[:count]
        self._text = self._text[count:]
        return count

    def _all_texts(self) -> Iterator[bytes]:
        size = self._file.seek(0, os.SEEK_END)
        begin, line = 0, b""  # the text behind the last newline may be the cut end of a member
        while (begin := self._skip_padding(begin)) < size:
            state, end = self._check(begin, size)
            if state is _State.DAMAGED:
                yield line + b"\n" if line else b""
                line = b""
                yield BROKEN + b"\n"
            else:
                for text in self._decompressed(begin, end, must_end=state in (_State.WHOLE, _State.LAST)):
                    whole, newline, rest = (line + text).rpartition(b"\n")
                    yield whole + newline
                    line = rest
            if state is _State.CUT:
                line = b""
                yield BROKEN + b"\n"
            begin = end
        yield line

    def _skip_padding(self, begin: int) -> int:
        """Return where the bytes end that are NUL from here on."""
        for at, chunk in self._chunks(begin):
            if found := chunk.lstrip(b"\0"):
                return at + len(chunk) - len(found)
            begin = at + len(chunk)
        return begin

    def _check(self, begin: int, size: int) -> tuple[_State, int]:
        """Return the state of a member, and where it ends."""
        end = self._end_of(begin, size)
        if end is not None:
            return _State.WHOLE, end
        following = self._next_member(begin)
        if following is None:
            return _State.LAST, size
        try:
            for _ in self._decompressed(begin, following, must_end=False):
                pass
        except zlib.error:
            return _State.DAMAGED, following
        return _State.CUT, following

    def _end_of(self, begin: int, size: int) -> int | None:
        """Return where a whole member ends, or None if it is cut or damaged."""
        member = zlib.decompressobj(WITH_HEADER)
        for at, chunk in self._chunks(begin, size):
            try:
                member.decompress(chunk)
            except zlib.error:
                return None
            if member.eof:
                return at + len(chunk) - len(member.unused_data)
        return None

    def _decompressed(self, begin: int, end: int, *, must_end: bool) -> Iterator[bytes]:
        """Yield the text of a member. `must_end`: raise EOFError if it does not end there."""
        member = zlib.decompressobj(WITH_HEADER)
        for _, chunk in self._chunks(begin, end):
            before = member.copy()
            try:
                yield member.decompress(chunk)
            except zlib.error as error:
                yield from _before_damage(before, chunk)
                if "incorrect" in str(error):
                    raise zlib.error("CRC check failed: a line of the file is altered") from error
                raise
            if member.eof:
                return
        if must_end:
            raise EOFError

    def _next_member(self, begin: int) -> int | None:
        """Return where the next member begins, or None."""
        tail, first = b"", begin + HEADER_BYTES
        for at, chunk in self._chunks(first):
            text, offset = tail + chunk, at - len(tail)
            found = text.find(MAGIC)
            while found >= 0:
                if self._begins_member(offset + found):
                    return offset + found
                found = text.find(MAGIC, found + 1)
            tail = text[-len(MAGIC) + 1 :]
        return None

    def _begins_member(self, at: int) -> bool:
        self._file.seek(at)
        trial = self._file.read(TRIAL_BYTES)
        if len(trial) < HEADER_BYTES or trial[len(MAGIC)] & RESERVED_FLAGS:
            return False
        try:
            return bool(zlib.decompressobj(WITH_HEADER).decompress(trial))
        except zlib.error:
            return False

    def _chunks(self, begin: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each chunk of a part of the file, whose position others may move meanwhile."""
        at = begin
        while end is None or at < end:
            self._file.seek(at)
            chunk = self._file.read(CHUNK if end is None else min(CHUNK, end - at))
            if not chunk:
                return
            yield at, chunk
            at += len(chunk)


def _before_damage(member: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """Yield the text of a chunk up to its damage."""
    for at in range(len(chunk)):
        try:
            yield member.decompress(chunk[at : at + 1])
        except zlib.error:
            return
