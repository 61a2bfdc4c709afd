"""The lines of a file of another tool, plain, gzip or zip, and what each of them becomes.

Whatever is wrong with the file's bytes is a DamagedCaptureError that names file and line. Knows nothing of formats.
"""

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

from journal.errors import CaptureRefusedError, DamagedCaptureError
from journal.record import Kind

LINE_BYTES_MAX = 64 * 1024 * 1024  # the longest message seen, an exchangeInfo of 2021, is 1.9 MB
HEAD_BYTES = 4_096  # what a guess is made from
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
# gzip and zipfile raise all of these on bytes that are not what was written; RuntimeError: a password is wanted
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


class CapturedRow(NamedTuple):
    """A line as a record: `payload` if it came over the wire, else `body`."""

    stamp_ns: int | None  # None where the line states no time
    payload: bytes | None
    kind: Kind = Kind.FEED
    body: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None


class LineReader(NamedTuple):
    """A file whose format is known, up to its first line. `about` goes into the SESSION record.

    `stamp` is whose clock the rows' stamps are of: "receive", "venue" (the tool kept no receive time) or "none".
    """

    stamp: str
    about: dict[str, Any]
    rows: Iterator[CapturedRow]


class Lines:
    """An iterator of lines without their newline, one at a time: memory does not grow with the file.

    `number` is that of the last line given, from 1; `cut` is true once a line came that no newline ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name  # of the file within, where it is a zip
        self.number = 0
        self.cut = False
        try:
            self._file = path.open("rb")
            try:
                self._stream = self._opened(self._file)
            except BaseException:
                self._file.close()
                raise
        except UNREADABLE as error:
            raise self.damaged(_reason(error), line=1) from error

    def _opened(self, file: IO[bytes]) -> IO[bytes]:
        magic = file.read(len(ZIP))
        file.seek(0)
        if magic.startswith(GZIP):
            return cast("IO[bytes]", gzip.open(file))
        if magic != ZIP:
            return file
        archive = zipfile.ZipFile(file)
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) != 1:
            raise CaptureRefusedError(
                f"{self.path} holds {len(entries)} files, not one. What to do: unpack it, and import those files."
            )
        self.name = entries[0].filename.rpartition("/")[2]
        return io.BufferedReader(archive.open(entries[0]))  # type: ignore[type-var]  # it reads as a raw file does

    def head(self) -> bytes:
        """The first bytes, as far as they can be read. Whoever asks for them asks for no line."""
        head = b""
        try:
            while more := self._stream.readline(HEAD_BYTES - len(head)):
                head += more
        except UNREADABLE as error:
            if not head:
                raise self.damaged(_reason(error), line=1) from error
        return head

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            line = self._stream.readline(LINE_BYTES_MAX + 1)
        except UNREADABLE as error:
            raise self.damaged(_reason(error), line=self.number + 1) from error
        if not line:
            raise StopIteration
        self.number += 1
        if line.endswith(b"\n"):
            line = line[:-1]
        elif len(line) > LINE_BYTES_MAX:
            raise self.damaged(f"longer than {LINE_BYTES_MAX} bytes")
        else:
            self.cut = True
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise self.damaged(f"not UTF-8 at its byte {error.start}") from error
        return line

    def damaged(self, what: str, *, line: int | None = None) -> DamagedCaptureError:
        return DamagedCaptureError(self.path, self.number if line is None else line, what)

    def close(self) -> None:
        self._stream.close()
        self._file.close()


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the compressed file ends in its middle"
    return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"
