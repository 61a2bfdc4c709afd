"""The disk: a dozen operations on the files of one folder, and the lock of its one writer.

`Disk` is a protocol, so tests run the writer and recovery on disks that fail or lose unsynced data on purpose.
Knows nothing of frames, segments or records.
"""

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from journal.errors import JournalFailedError, JournalLockedError
from journal.private_files import FILE_MODE, FOLDER_MODE, restrict

LOCK_TRIES = 5
LOCK_PAUSE_S = 0.01


class ReadableFile(Protocol):
    """A file that is read by offset. It may grow meanwhile, and stays readable after its name is unlinked."""

    @property
    def size(self) -> int:
        """Size in bytes now."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""

    def close(self) -> None:
        """Close the file."""


class Disk(Protocol):
    """The files of one folder whose lock is held. Every method raises OSError if the disk refuses."""

    @property
    def folder(self) -> Path:
        """The folder."""

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""

    def create(self, name: str) -> None:
        """Create a file, which must not exist, and open it for appending."""

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Append all bytes to a file that is open for appending."""

    def sync(self, name: str) -> None:
        """Bring the content of a file to stable storage."""

    def close(self, name: str) -> None:
        """Close a file that is open for appending."""

    def rename(self, old: str, new: str) -> None:
        """Rename a file and replace the target if it exists."""

    def unlink(self, name: str) -> None:
        """Remove a file's name."""

    def sync_folder(self) -> None:
        """Bring the names in the folder to stable storage."""

    def free_bytes(self) -> int:
        """Return the free space that this process may use."""

    def open_reader(self, name: str) -> ReadableFile:
        """Open a file for reading."""

    def release(self) -> None:
        """Close all files and release the lock."""


class FileReader:
    """A regular file, open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe in place of a file must not block
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))

    @property
    def size(self) -> int:
        """Size in bytes now."""
        return os.fstat(self._fd).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        return os.pread(self._fd, length, offset)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_all(reader: ReadableFile) -> bytes:
    """Return all bytes of a small file and close it."""
    try:
        return reader.read_at(0, reader.size)
    finally:
        reader.close()


class RealDisk:
    """A folder of the file system.

    The lock is a flock on the folder itself, so it leaves no file behind and ends with the process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._fds: dict[str, int] = {}
        try:
            self._lock()
        except OSError as error:
            os.close(self._folder_fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise JournalLockedError(
                f"{folder} is being written by another process. What to do: end that process first."
            ) from error
        restrict(folder)  # earlier versions left journals readable for everybody

    def _lock(self) -> None:
        """Take the lock, and retry for a moment, because `is_locked` of another process holds it for microseconds."""
        for attempt in range(1, LOCK_TRIES + 1):
            try:
                return fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt == LOCK_TRIES:
                    raise
            time.sleep(LOCK_PAUSE_S)
        return None

    @classmethod
    def create_folder(cls, folder: Path) -> Self:
        """Create the folder, sync its name to stable storage, and return its disk.

        Raises:
            JournalFailedError: The folder exists or cannot be created.
        """
        try:
            for missing in reversed([parent for parent in folder.parents if not parent.exists()]):
                missing.mkdir(mode=FOLDER_MODE, exist_ok=True)
                sync_folder(missing.parent)
            folder.mkdir(mode=FOLDER_MODE)
            sync_folder(folder.parent)
            return cls(folder)
        except FileExistsError as error:
            raise JournalFailedError(
                f"{folder} exists already, and a journal is never written twice. What to do: name another folder."
            ) from error
        except OSError as error:
            raise JournalFailedError(f"{folder} cannot be created: {error.strerror}.") from error

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(path.name for path in self.folder.iterdir())

    def create(self, name: str) -> None:
        """Create a file, which must not exist, and open it for appending."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        self._fds[name] = os.open(self.folder / name, flags, FILE_MODE)

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Append all bytes to a file that is open for appending."""
        rest = memoryview(data)
        while rest:  # a full disk first causes a short write, and then the next call fails
            rest = rest[os.write(self._fds[name], rest) :]

    def sync(self, name: str) -> None:
        """Bring the content of a file to stable storage."""
        os.fdatasync(self._fds[name])

    def close(self, name: str) -> None:
        """Close a file that is open for appending."""
        os.close(self._fds.pop(name))

    def rename(self, old: str, new: str) -> None:
        """Rename a file and replace the target if it exists."""
        (self.folder / old).rename(self.folder / new)

    def unlink(self, name: str) -> None:
        """Remove a file's name."""
        (self.folder / name).unlink()

    def sync_folder(self) -> None:
        """Bring the names in the folder to stable storage."""
        os.fsync(self._folder_fd)

    def free_bytes(self) -> int:
        """Return the free space without the part that the system reserves."""
        status = os.statvfs(self._folder_fd)
        return status.f_bavail * status.f_frsize

    def open_reader(self, name: str) -> ReadableFile:
        """Open a file for reading."""
        return FileReader(self.folder / name)

    def release(self) -> None:
        """Close all open files and the folder, which releases the lock. A second call is a no-op."""
        for name in list(self._fds):
            self.close(name)
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to stable storage."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


def is_locked(folder: Path) -> bool:
    """Return True if some process is writing this journal now."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(folder_fd)
    return False
