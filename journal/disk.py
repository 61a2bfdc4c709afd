"""The disk as the journal needs it: a dozen verbs on the files of one folder, and the lock of its one writer.

`Disk` is a protocol so that a disk which fails or forgets on purpose can be laid beneath writer and recovery.
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

LOCK_TRIES = 5
LOCK_PAUSE_S = 0.01


class ReadableFile(Protocol):
    """A file that is read by offset. It may grow meanwhile, and outlives its own unlinking."""

    @property
    def size(self) -> int: ...
    def at(self, offset: int, length: int) -> bytes: ...
    def close(self) -> None: ...


class Disk(Protocol):
    """One folder, whose lock is held. Every verb raises OSError when the disk refuses."""

    @property
    def folder(self) -> Path: ...
    def names(self) -> list[str]: ...
    def create(self, name: str) -> None: ...
    def write(self, name: str, data: bytes | memoryview) -> None: ...
    def sync(self, name: str) -> None: ...
    def close(self, name: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def unlink(self, name: str) -> None: ...
    def sync_folder(self) -> None: ...
    def free_bytes(self) -> int: ...
    def reading(self, name: str) -> ReadableFile: ...
    def release(self) -> None: ...


class FileReading:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in a file's place is not waited for
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError(errno.EINVAL, "it is no file", str(path))

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def at(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def whole(reading: ReadableFile) -> bytes:
    """All bytes of a small file; it is closed."""
    try:
        return reading.at(0, reading.size)
    finally:
        reading.close()


class RealDisk:
    """A folder of the file system. The lock is a flock on the folder itself, so it leaves no file and dies with us."""

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

    def _lock(self) -> None:
        """Tried again for a moment: `is_locked` of another process holds it for microseconds."""
        for tried in range(1, LOCK_TRIES + 1):
            try:
                return fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if tried == LOCK_TRIES:
                    raise
            time.sleep(LOCK_PAUSE_S)
        return None

    @classmethod
    def make(cls, folder: Path) -> Self:
        """A new folder, whose name is on stable storage before anything is written into it."""
        try:
            for missing in reversed([each for each in folder.parents if not each.exists()]):
                missing.mkdir(exist_ok=True)
                sync_folder(missing.parent)
            folder.mkdir()
            sync_folder(folder.parent)
            return cls(folder)
        except FileExistsError as error:
            raise JournalFailedError(
                f"{folder} exists already, and a journal is never written twice. What to do: name another folder."
            ) from error
        except OSError as error:
            raise JournalFailedError(f"{folder} cannot be made: {error.strerror}.") from error

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def create(self, name: str) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        self._fds[name] = os.open(self.folder / name, flags, 0o644)

    def write(self, name: str, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:  # a short write is how a full disk announces itself; the next call then says so
            rest = rest[os.write(self._fds[name], rest) :]

    def sync(self, name: str) -> None:
        os.fdatasync(self._fds[name])

    def close(self, name: str) -> None:
        os.close(self._fds.pop(name))

    def rename(self, old: str, new: str) -> None:
        (self.folder / old).rename(self.folder / new)

    def unlink(self, name: str) -> None:
        (self.folder / name).unlink()

    def sync_folder(self) -> None:
        os.fsync(self._folder_fd)

    def free_bytes(self) -> int:
        """What is left for us, without what the system keeps for itself."""
        found = os.statvfs(self._folder_fd)
        return found.f_bavail * found.f_frsize

    def reading(self, name: str) -> ReadableFile:
        return FileReading(self.folder / name)

    def release(self) -> None:
        """Close whatever is open, and with the folder its lock."""
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
    """Whether some process writes this journal now."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(folder_fd)
    return False
