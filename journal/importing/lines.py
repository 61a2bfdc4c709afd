"""Lines of another tool's file, plain, gzip, xz, zstd or zip, and the rows made from them.

Dirt costs only itself: a byte order mark, an empty line, a block of NUL bytes and a broken member of a gzip file that
goes on behind it are left out and counted. Any other damage to the file's bytes raises a DamagedLineError that names
file and line. Knows nothing of formats.
"""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

from journal.errors import CaptureRefusedError, DamagedLineError
from journal.importing.gzip_members import BROKEN, GzipMembers
from journal.record import Kind

LINE_BYTES_MAX = 64 * 1024 * 1024  # the longest message seen, an exchangeInfo of 2021, is 1.9 MB
HEAD_BYTES = 4_096  # enough to guess a format
GZIP, ZIP, XZ, ZSTD = b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
MAGIC_BYTES = 6
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# zlib and zipfile raise these on damaged bytes; RuntimeError: the zip needs a password
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


class CapturedRow(NamedTuple):
    """The content of a line's record: `payload` if it came over the wire, otherwise `body`."""

    stamp_ns: int | None  # None if the line states no time
    payload: bytes | None
    kind: Kind = Kind.FEED
    body: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None
    link: str = ""  # the connection, in a file of several


class CaptureReader(NamedTuple):
    """A reader of a file in a known format. `about` goes into the SESSION record.

    `stamp` names the clock of the rows' times: "receive", "venue" (the tool kept no receive time) or "none".
    """

    stamp: str
    about: dict[str, Any]
    rows: Iterator[CapturedRow]


class CaptureLines:
    """Iterator over the lines of a file without their newlines. Memory does not grow with the file.

    `number` counts the lines so far. `cut` is True once a line had no newline at its end. `dirt` has what was left out
    since the caller last took it. `symbol` is the caller's name of the instrument, or "".
    """

    def __init__(self, path: Path, symbol: str = "") -> None:
        self.path = path
        self.symbol = symbol
        self.dirt: list[tuple[int, str]] = []  # number of the line, what it was
        self.name = path.name  # for a zip, the name of the file inside
        self.head_bytes = b""  # of the file as it is on the disk
        self.number = 0
        self.cut = False
        try:
            self._file = path.open("rb")
            try:
                self._stream = self._open_stream(self._file)
            except BaseException:
                self._file.close()
                raise
        except UNREADABLE as error:
            raise self.damaged(_reason(error), line=1) from error

    def _open_stream(self, file: IO[bytes]) -> IO[bytes]:
        magic = self.head_bytes = file.read(MAGIC_BYTES)
        file.seek(0)
        if magic.startswith(GZIP):
            return cast("IO[bytes]", io.BufferedReader(GzipMembers(file)))
        if magic == XZ:
            return cast("IO[bytes]", lzma.open(file))
        if magic.startswith(ZSTD):
            return _open_zstd(file)
        if not magic.startswith(ZIP):
            return file
        archive = zipfile.ZipFile(file)
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) != 1:
            raise CaptureRefusedError(
                f"{self.path} contains {len(entries)} files, not one. What to do: unpack it, and import those files."
            )
        self.name = entries[0].filename.rpartition("/")[2]
        return io.BufferedReader(archive.open(entries[0]))  # type: ignore[type-var]  # it reads as a raw file does

    def head(self) -> bytes:
        """Return the first bytes, as far as they are readable. Do not iterate afterwards."""
        head = b""
        try:
            while more := self._stream.readline(HEAD_BYTES - len(head)):
                head += more
        except UNREADABLE as error:
            if not head:
                raise self.damaged(_reason(error), line=1) from error
        return head.removeprefix(BYTE_ORDER_MARK).lstrip(b"\0")

    def __iter__(self) -> Self:
        return self

    def note_dirt(self, what: str) -> None:
        """Note that the current line is left out, since it is no row of the file's format."""
        self.dirt.append((self.number, what))

    def __next__(self) -> bytes:
        while True:
            line = self._read_line()
            if self.number == 1 and line.startswith(BYTE_ORDER_MARK):
                line = line[len(BYTE_ORDER_MARK) :]
                self.note_dirt("a byte order mark")
            if line == BROKEN:
                self.note_dirt("a broken member of a gzip file")
                continue
            if b"\0" in line:
                line = line.strip(b"\0")
                self.note_dirt("a block of NUL bytes")
                if not line:
                    continue
            return line

    def _read_line(self) -> bytes:
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

    def read_bytes(self, count: int) -> bytes:
        """Return up to so many bytes of a file that has no lines; b"" at its end."""
        try:
            return self._stream.read(count)
        except UNREADABLE as error:
            raise self.damaged(_reason(error), line=self.number + 1) from error

    def damaged(self, problem: str, *, line: int | None = None) -> DamagedLineError:
        """Return the error for the current line, or for `line`."""
        return DamagedLineError(self.path, self.number if line is None else line, problem)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa  # it takes a fifth of a second to import

    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the compressed file is truncated"
    return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"
