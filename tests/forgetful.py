"""A disk that loses data that was not synced, as real disks may, and logs every operation, so tests can cut it
anywhere.

After a power cut all synced data is there. Each other 512-byte sector is kept, zeroed or garbled, and the file ends
anywhere. Of the folder's changes since its last sync a prefix is kept, or any subset, so a rename may be lost or be the
only change kept. Knows the `Disk` protocol, and nothing of journals.
"""

import random
import threading
from pathlib import Path
from typing import Any, NamedTuple

from journal.disk import ReadableFile

SECTOR = 512
FOLDER = Path("/forgetful")


class Operation(NamedTuple):
    thread: int
    verb: str  # a method of the Disk protocol, or `promise`: something was reported as durable at this moment
    args: tuple[Any, ...]


class File:
    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = len(data)  # files are only appended to, so a length says what is safe

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def close(self) -> None: ...


class ForgetfulDisk:
    """A disk that begins with `files`, all of them synced. `done` lists every operation that changed something."""

    folder = FOLDER

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = {name: File(data) for name, data in (files or {}).items()}
        self.done: list[Operation] = []
        self._safe = dict(self.files)
        self._since: list[dict[str, File | None]] = []  # changes of the folder: which name then was which file
        self._lock = threading.Lock()  # writer and sealer

    def _note(self, verb: str, *args: Any) -> None:
        self.done.append(Operation(threading.get_ident(), verb, args))

    def promise(self, what: str, value: Any = None) -> None:
        self._note("promise", what, value)

    def names(self) -> list[str]:
        with self._lock:
            return sorted(self.files)

    def create(self, name: str) -> None:
        with self._lock:
            if name in self.files:
                raise FileExistsError(name)
            self._note("create", name)
            self.files[name] = File()
            self._since.append({name: self.files[name]})

    def write(self, name: str, data: bytes | memoryview) -> None:
        self._note("write", name, bytes(data))
        self.files[name].data += data

    def sync(self, name: str) -> None:
        self._note("sync", name)
        self.files[name].synced = self.files[name].size

    def close(self, name: str) -> None:
        self._note("close", name)

    def rename(self, old: str, new: str) -> None:
        with self._lock:
            self._note("rename", old, new)
            self.files[new] = self.files.pop(old)
            self._since.append({old: None, new: self.files[new]})

    def unlink(self, name: str) -> None:
        with self._lock:
            self._note("unlink", name)
            del self.files[name]
            self._since.append({name: None})

    def sync_folder(self) -> None:
        with self._lock:
            self._note("sync_folder")
            self._safe, self._since = dict(self.files), []

    def free_bytes(self) -> int:
        return 1 << 40

    def open_reader(self, name: str) -> ReadableFile:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]

    def release(self) -> None: ...

    def repeat(self, operation: Operation) -> None:
        getattr(self, operation.verb)(*operation.args)

    def copy(self) -> "ForgetfulDisk":
        """Return a copy of the current state, unsynced data included."""
        known: dict[int, File] = {}

        def twin(file: File) -> File:
            if id(file) not in known:
                known[id(file)] = File(bytes(file.data))
                known[id(file)].synced = file.synced
            return known[id(file)]

        disk = ForgetfulDisk()
        disk.files = {name: twin(file) for name, file in self.files.items()}
        disk._safe = {name: twin(file) for name, file in self._safe.items()}
        disk._since = [{name: file and twin(file) for name, file in change.items()} for change in self._since]
        return disk

    def state(self) -> str:
        """Return how much of the contents is synced."""
        lengths = [(name, file.size, file.synced) for name, file in sorted(self.files.items())]
        return repr((lengths, [sorted(change) for change in self._since]))

    def contents(self) -> dict[str, bytes]:
        return {name: bytes(file.data) for name, file in sorted(self.files.items())}

    def after_a_kill(self, chance: random.Random) -> "ForgetfulDisk":
        """Return the disk after the process was killed, perhaps during a write. Unsynced data is still there."""
        disk = self.copy()
        if self.done and self.done[-1].verb == "write" and chance.random() < 0.5:
            name, data = self.done[-1].args
            file = disk.files[name]
            del file.data[file.size - chance.randint(0, len(data)) :]
        return disk

    def after_a_cut(self, chance: random.Random) -> "ForgetfulDisk":
        """Return one possible state of the disk after a power cut at this moment."""
        named: dict[str, File | None] = dict(self._safe)
        in_order, kept = chance.random() < 0.5, chance.randint(0, len(self._since))
        for at, change in enumerate(self._since):
            if at < kept if in_order else chance.random() < 0.5:
                named |= change
        left = {name: _left_of(file, chance) for name, file in sorted(named.items()) if file is not None}
        return ForgetfulDisk(left)


def _left_of(file: File, chance: random.Random) -> bytes:
    size = chance.choice([file.synced, file.size, file.size, chance.randint(file.synced, file.size)])
    data = bytearray(file.data[:size])
    kept = chance.choice([0.5, 0.85, 1])  # of the sectors
    at = file.synced
    while at < size:
        end = min(size, at - at % SECTOR + SECTOR)
        if chance.random() > kept:
            data[at:end] = bytes(end - at) if chance.random() < 0.5 else chance.randbytes(end - at)
        at = end
    return bytes(data)
