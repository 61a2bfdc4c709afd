"""Files of the disk as Arrow writes and reads them: piece by piece, so that no segment stands in memory whole."""

import hashlib
import io
from typing import Any

from journal.disk import Disk, ReadableFile


class Sink(io.RawIOBase):
    """A file that is written byte after byte, and its sha256."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name, self._size = disk, name, 0
        self._digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._disk.write(self._name, view)
        self._digest.update(view)
        self._size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._size

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


class Source(io.RawIOBase):
    """A file that is read as Arrow asks for it."""

    def __init__(self, reading: ReadableFile) -> None:
        self._reading, self._at = reading, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._reading.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._reading.at(self._at, self._reading.size - self._at if size < 0 else size)
        self._at += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            self._reading.close()
        super().close()
