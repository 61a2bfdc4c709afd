"""Adapters from the journal's disk to Arrow's files. Both stream, so memory does not grow with a segment."""

import hashlib
import io
from typing import Any

from journal.disk import Disk, ReadableFile


class ArrowSink(io.RawIOBase):
    """A file that Arrow writes sequentially, with its sha256."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name, self._size = disk, name, 0
        self._digest = hashlib.sha256()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes to the file and to its hash."""
        view = memoryview(data)
        self._disk.write(self._name, view)
        self._digest.update(view)
        self._size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._size

    @property
    def checksum(self) -> str:
        """The sha256 of all bytes written so far, in hexadecimal."""
        return self._digest.hexdigest()


class ArrowSource(io.RawIOBase):
    """A file that Arrow reads at any position."""

    def __init__(self, reader: ReadableFile) -> None:
        self._reader, self._at = reader, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset and return the new position."""
        self._at = offset + (0, self._at, self._reader.size)[whence]
        return self._at

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or all remaining bytes if `size` is negative."""
        data = self._reader.read_at(self._at, self._reader.size - self._at if size < 0 else size)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close the file. A second call is a no-op."""
        if not self.closed:
            self._reader.close()
        super().close()
