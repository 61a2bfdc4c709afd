"""The mark of a guard: a file beside the account's lock that is locked while a guard watches the account.

Several guards may watch one account, so each takes a shared lock. The file's time is that of the newest check.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.live.account_lock import FOLDER, lock_name

PREFIX = "guard-"


class GuardStatus(msgspec.Struct, frozen=True):
    """A guard of an account, as seen from another process."""

    is_alive: bool  # a process holds the mark
    checked_s: float | None  # since its last check; None if there never was one


class GuardMark:
    """The mark of this process's guard. It ends with `release` or with the process."""

    def __init__(self, journals: Path, venue: str, account: str) -> None:
        """Make the file and lock it.

        Raises:
            OSError: The folder cannot be written.
        """
        path = guard_mark_path(journals, venue, account)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_SH)  # `guard_status` holds the other lock for microseconds
        text = json.dumps({"pid": os.getpid(), "account": account, "venue": venue})
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def refresh(self) -> None:
        """Note that the guard checked the account now."""
        os.utime(self._fd)

    def release(self) -> None:
        """Release the lock. The file stays, and means nothing by itself."""
        os.close(self._fd)


def guard_mark_path(journals: Path, venue: str, account: str) -> Path:
    """Return the path of the mark of an account's guards."""
    return journals / FOLDER / f"{PREFIX}{lock_name(venue, account)}"


def guard_status(journals: Path, venue: str, account: str) -> GuardStatus:
    """Return whether a guard watches an account, and when it last checked."""
    try:
        fd = os.open(guard_mark_path(journals, venue, account), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return GuardStatus(is_alive=False, checked_s=None)
    try:
        checked_s = round(max(time.time() - os.fstat(fd).st_mtime, 0.0), 3)
        is_alive = _is_held(fd)
    finally:
        os.close(fd)
    return GuardStatus(is_alive=is_alive, checked_s=checked_s)


def joined_guards(found: Iterable[GuardStatus]) -> GuardStatus | None:
    """Return the guards of several accounts as one: alive if each is, with the oldest check; None without accounts."""
    each = list(found)
    if not each:
        return None
    checked = [status.checked_s for status in each if status.checked_s is not None]
    return GuardStatus(
        is_alive=all(status.is_alive for status in each),
        checked_s=max(checked) if len(checked) == len(each) else None,
    )


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
