"""No socket while a session is repeated: any attempt to open one raises, and names the line of code that tried.

An audit hook sees every way to a socket, also that of compiled code. Hooks cannot be taken away again, so ours is
switched by a list that is empty outside of `no_sockets`.
"""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_LIBRARY = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
_active: list[None] = []
_installed: list[None] = []


class SocketOpenedError(BaseException):
    """Code that is being repeated reached for the network. Not an Exception: a `try` of that code must not hide it."""

    def __init__(self, event: str, where: str) -> None:
        super().__init__(f"{where} opened a socket during a replay ({event}): what it would hear is in no record")
        self.event = event
        self.where = where


@contextmanager
def no_sockets() -> Iterator[None]:
    """SocketOpenedError for whoever opens a socket, resolves a name or connects, until the block ends."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(None)
    _active.append(None)
    try:
        yield
    finally:
        _active.pop()


def _hook(event: str, _arguments: tuple[Any, ...]) -> None:
    if _active and event.startswith("socket."):
        raise SocketOpenedError(event, _line_that_tried(sys._getframe()))  # noqa: SLF001 - the only way to the caller's line


def _line_that_tried(frame: FrameType | None) -> str:
    """The nearest caller that is neither this file nor the standard library, where there is one."""
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
