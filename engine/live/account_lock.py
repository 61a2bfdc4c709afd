"""The lock of an account: one engine per journals folder and account, held before anything is read.

A flock on a file that names its holder. It ends with the process and leaves a file, which means nothing by itself.
"""

import fcntl
import json
import os
import re
import weakref
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from engine.live.session_config import StartError

FOLDER = ".locks"  # of the journals
HOLDER_BYTES_MAX = 400
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class AccountBusyError(StartError):
    """Another engine trades this account; the text names its process and session."""


class AccountLock:
    """A lock that is held until `release`, or until the object or the process ends."""

    def __init__(self, journals: Path, venue: str, account: str) -> None:
        """Take the lock.

        Raises:
            AccountBusyError: Another process or session holds it.
            StartError: The file cannot be made.
        """
        self._what = f"account {account!r} at {venue}"
        self._path = journals / FOLDER / lock_name(venue, account)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StartError(f"cannot make the lock {self._path}: {error.strerror}; choose another folder") from error
        self._close = weakref.finalize(self, os.close, self._fd)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(self._fd)
            self._close()
            raise AccountBusyError(_busy_text(self._what, journals, holder)) from error
        self.name_session("")

    def name_session(self, session: str) -> None:
        """Write the holder: this process, and its session once it has an id."""
        text = json.dumps({"pid": os.getpid(), "session": session, "account": self._what})
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def release(self) -> None:
        """Release the lock. No-op if it is released."""
        self._close()


class AccountLocks:
    """The locks of all accounts of a session, taken in the order of their names, so that no two engines wait."""

    def __init__(self, journals: Path, accounts: Mapping[str, str]) -> None:
        """Take the locks; `accounts` has venue -> alias.

        Raises:
            AccountBusyError: Another process or session holds one. Those that were taken are released.
            StartError: A file cannot be made.
        """
        self._locks: list[AccountLock] = []
        try:
            for venue, account in sorted(accounts.items()):
                self._locks.append(AccountLock(journals, venue, account))
        except BaseException:
            self.release()
            raise

    def name_session(self, session: str) -> None:
        """Write the holder into each."""
        for lock in self._locks:
            lock.name_session(session)

    def release(self) -> None:
        """Release all. No-op if they are released."""
        for lock in self._locks:
            lock.release()


def check_free(journals: Path, accounts: Mapping[str, str]) -> None:
    """Raise AccountBusyError if an engine trades one of these accounts (venue -> alias). Makes no file."""
    for venue, account in sorted(accounts.items()):
        try:
            fd = os.open(journals / FOLDER / lock_name(venue, account), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # no engine ever traded it here
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AccountBusyError(_busy_text(f"account {account!r} at {venue}", journals, _holder(fd))) from None
        finally:
            os.close(fd)


def _busy_text(what: str, journals: Path, holder: str) -> str:
    return (
        f"{what} is already traded from {journals} by {holder}. Nothing was read or sent. "
        "What to do: stop it with verbatim control SESSION stop, or name another folder or account."
    )


def lock_name(venue: str, account: str) -> str:
    """Return the name of the lock's file: readable, and different for each pair."""
    digest = sha256(f"{venue}\0{account}".encode()).hexdigest()[:12]
    return f"{_UNFIT.sub('_', venue)[:40]}-{_UNFIT.sub('_', account)[:40]}-{digest}.lock"


def _holder(fd: int) -> str:
    """Return the process and the session that the file names."""
    try:
        holder = json.loads(os.pread(fd, HOLDER_BYTES_MAX, 0))
        pid, session = int(holder["pid"]), str(holder["session"])
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
    return f"process {pid}, " + (f"session {session}" if re.fullmatch(r"[a-z2-7]{8}", session) else "which is starting")
