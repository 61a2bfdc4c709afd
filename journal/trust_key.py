"""The key of a user, which decides whose recorded code may run without a question.

A SESSION record holds strategy code. Its field `host` is a mark: an HMAC with this key over the whole record. Only a
process of the same user can make one, and the mark discloses nothing. The key is a file that only its owner reads.
"""

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from journal.record import canonical

S = TypeVar("S", bound=msgspec.Struct)  # the body of a SESSION record, which has a field `host`

KEY_BYTES = 32
CONTEXT = b"verbatim session code v1\0"  # a mark made for another purpose is not valid here
FILE_MODE, FOLDER_MODE, OTHERS = 0o600, 0o700, 0o077


def key_path() -> Path:
    """Return the path of the key: below XDG_CONFIG_HOME, by default ~/.config."""
    root = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - Path.expanduser raises without a home
    return Path(root).absolute() / "verbatim" / "trust.key"


def trust_key(*, create: bool = False) -> bytes:
    """Return the user's key; b"" if the file is missing, or if others can read or write it.

    Args:
        create: Draw a key if the file is missing.
    """
    path = key_path()
    if create and not os.path.lexists(path):
        with suppress(OSError):  # an unwritable folder: sessions then bear no mark
            _draw(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & OTHERS:
            return b""
        key = file.read(KEY_BYTES + 1)
    return key if len(key) == KEY_BYTES else b""


def _draw(path: Path) -> None:
    """Write a new key under its name at once, so that two processes agree on one."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    drawn = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(drawn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        os.link(drawn, path)  # fails if another process was first
    finally:
        drawn.unlink()


def mark(session: msgspec.Struct, key: bytes) -> str:
    """Return the mark of a session; "" without a key."""
    if not key:
        return ""
    text = canonical(replace(session, host="")).encode()
    return hmac.new(key, CONTEXT + text, hashlib.sha256).hexdigest()


def marked(session: S) -> S:
    """Return a session that this user makes, with the user's mark."""
    return replace(session, host=mark(session, trust_key(create=True)))


def is_trusted(session: Any, key: bytes) -> bool:
    """Return True if the session bears the mark of this key."""
    return bool(key) and hmac.compare_digest(session.host.encode(), mark(session, key).encode())
