"""A guard against sockets while a session is repeated: an attempt to open one raises and names the line of code.

An audit hook sees every way to a socket, including that of compiled code. Hooks cannot be removed, so ours is switched
by a list of threads that is empty outside of `no_sockets`. Strategies cannot start threads, and those of a notebook's
kernel or of a server may use sockets meanwhile.
"""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from types import FrameType
from typing import Any

_LIBRARY = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
# the import of urllib3 opens a socket to find whether the machine has IPv6; it reads nothing
_PROBE_FILE, _PROBE = str(Path("urllib3", "util", "connection.py")), "_has_ipv6"
_active: list[int] = []  # identifiers of the threads that repeat a session
_installed: list[None] = []


class SocketOpenedError(BaseException):
    """Replayed code opened a socket. Not an Exception: a `try` in that code must not catch it."""

    def __init__(self, event: str, where: str) -> None:
        super().__init__(f"{where} opened a socket during a replay ({event}): no record holds what it would receive")
        self.event = event
        self.where = where


@contextmanager
def no_sockets() -> Iterator[None]:
    """Prohibit sockets to this thread until the block ends.

    Raises:
        SocketOpenedError: Code in the block opens a socket, resolves a name or connects.
    """
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(None)
    _active.append(get_ident())
    try:
        yield
    finally:
        _active.remove(get_ident())


def _hook(event: str, _arguments: tuple[Any, ...]) -> None:
    if _active and event.startswith("socket.") and get_ident() in _active:
        frame = sys._getframe()  # noqa: SLF001 - the only way to the caller's line
        if not _is_probe(frame):
            raise SocketOpenedError(event, _calling_line(frame))


def _is_probe(frame: FrameType | None) -> bool:
    """Return True inside the probe of an import, which is no code of a strategy."""
    while frame is not None:
        if frame.f_code.co_name == _PROBE and frame.f_code.co_filename.endswith(_PROBE_FILE):
            return True
        frame = frame.f_back
    return False


def _calling_line(frame: FrameType | None) -> str:
    """Return the nearest caller outside this file and the standard library, or else the nearest caller."""
    nearest = ""
    while frame is not None:
        path = frame.f_code.co_filename
        if path != __file__:
            here = f"{path}:{frame.f_lineno} ({frame.f_code.co_name})"
            nearest = nearest or here
            if not path.startswith(_LIBRARY) or "site-packages" in Path(path).parts:
                return here
        frame = frame.f_back
    return nearest
