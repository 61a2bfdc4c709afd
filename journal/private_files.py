"""Modes of our files: only their owner reads them. Independent of the umask of the process.

A journal holds balances, orders and the source of strategies.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700
OTHERS = 0o077  # the rights of group and others


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, each for its owner alone. Existing folders keep their modes."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, and replace its content if it exists."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def restrict(path: Path) -> None:
    """Remove the rights of group and others from a file, or from a folder and its content."""
    for each in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())):
        with suppress(OSError):  # of another user, or removed meanwhile
            found = each.lstat()
            if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & OTHERS:
                each.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
