"""The log of the watcher: events as JSON lines in one file, synced to stable storage before they are performed.

The watcher holds the lock of its folder. Other processes may append lines (`verbatim alerts ack`), each under a
short lock of the file; the watcher reads them. A line that a crash cut off is completed by a newline and ignored.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from journal.disk import sync_folder
from journal.private_files import FILE_MODE
from verbatim.alerts.alert_events import AlertEvent
from verbatim.alerts.alert_state import AlertState

_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(AlertEvent)

FIRST_BYTES = 65_536  # of a file, in which a log has an event


class AlertLogError(Exception):
    """The log cannot be used; the text states why."""


class AlertLog:
    """A log that is open. `read` first: it returns all events so far."""

    def __init__(self, path: Path, *, is_watcher: bool = False) -> None:
        """Open a log, and create it if it is missing.

        Args:
            path: The file.
            is_watcher: Hold the lock that only one watcher can have.

        Raises:
            AlertLogError: The file cannot be used, or another watcher uses it.
        """
        self.path = path
        self.unreadable = 0  # lines that are no event
        self._offset = 0  # up to which lines were read
        self._lock_fd = -1
        try:
            is_new = not path.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, FILE_MODE)
            if is_new:
                sync_folder(path.parent)
            if is_watcher:
                self._lock_fd = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, FILE_MODE)
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlertLogError(
                f"another watcher writes {path}. What to do: end it, or choose another file with --log"
            ) from None
        except OSError as error:
            raise AlertLogError(f"the log {path} cannot be used: {error.strerror or error}") from None
        self._refuse_foreign()

    def _refuse_foreign(self) -> None:
        """Refuse a file that begins with other lines than events: a configuration would be appended to."""
        head = os.pread(self._fd, FIRST_BYTES, 0)
        lines = [line for line in head.split(b"\n")[:-1] if line]
        if lines and not any(map(_is_event, lines)):
            self.close()
            raise AlertLogError(f"{self.path} is no log of verbatim alerts. What to do: choose another file with --log")

    def read(self) -> list[AlertEvent]:
        """Return the events that were appended since the last call, by any process but through this object."""
        with self._locked():
            return self._read()

    def append(self, events: Sequence[AlertEvent]) -> list[AlertEvent]:
        """Append events and sync them. Return those that other processes appended before them.

        Raises:
            AlertLogError: The disk refuses.
        """
        with self._locked():
            before = self._offset
            others = self._read()
            if not events:
                return others
            data = b"".join(_ENCODER.encode(event) + b"\n" for event in events)
            if self._offset < os.fstat(self._fd).st_size:  # a line without its end
                data = b"\n" + data
            try:
                self._write(data)
            except AlertLogError:
                self._offset = before  # the others' events are read again: they may be acknowledgements
                raise
        return others

    def _write(self, data: bytes) -> None:
        """Write and sync all bytes, or leave the file as it was."""
        size, reason = os.fstat(self._fd).st_size, ""
        try:
            written = os.write(self._fd, data)
            os.fsync(self._fd)
            reason = "" if written == len(data) else "the disk is full"
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            with suppress(OSError):
                os.ftruncate(self._fd, size)  # the file is locked, so these bytes are ours
            raise AlertLogError(f"the log {self.path} cannot be written: {reason}")
        self._offset = size + len(data)

    def close(self) -> None:
        """Close the file and release the lock."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _read(self) -> list[AlertEvent]:
        size = os.fstat(self._fd).st_size
        data = os.pread(self._fd, size - self._offset, self._offset) if size > self._offset else b""
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in filter(None, whole.split(b"\n")):
            try:
                found.append(_DECODER.decode(line))
            except (msgspec.MsgspecError, ValueError):
                self.unreadable += 1
        return found


def _is_event(line: bytes) -> bool:
    try:
        _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True


def unreadable_text(path: Path, count: int) -> str:
    """Return a line for people about lines of a log that are no event."""
    lines = "1 line of" if count == 1 else f"{count} lines of"
    return (
        f"{lines} {path} cannot be read, so an alert may be missing or open by mistake. "
        "What to do: look whether another program or a later version writes the file"
    )


class LoggedState(NamedTuple):
    """The state that a log leads to, and how many of its lines are no event."""

    state: AlertState
    unreadable: int


def read_state(path: Path) -> LoggedState:
    """Return the state that a log leads to.

    Raises:
        AlertLogError: It cannot be read.
    """
    if not path.exists():
        raise AlertLogError(
            f"there is no log {path}. What to do: name it with --log, or its configuration with --config"
        )
    log, state = AlertLog(path), AlertState()
    try:
        for event in log.read():
            state.fold(event)
    finally:
        log.close()
    return LoggedState(state, log.unreadable)
