"""A write to an idle connection's socket that waits for nothing."""

import os
import select

import trio


class SocketWriter:
    """The socket below an idle connection."""

    def __init__(self, socket: trio.socket.SocketType, *, is_plain: bool) -> None:
        """Watch a socket. `is_plain` is False if its bytes are encrypted: then nothing is written here."""
        self._fd = socket.fileno()
        self._is_plain = is_plain
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    @property
    def is_alive(self) -> bool:
        """Return False if the idle socket is readable: the other side closed it."""
        return not self._poll.poll(0)

    @property
    def is_writable(self) -> bool:
        """Return True if `write` may be called: there is no TLS, and the other side did not close it."""
        return self._is_plain and not self._poll.poll(0)

    def write(self, data: bytes) -> bytes:
        """Write what the socket takes now, and return the rest. Raises trio.BrokenResourceError."""
        try:
            return data[os.write(self._fd, data) :]
        except BlockingIOError:
            return data
        except OSError as error:
            raise trio.BrokenResourceError(f"socket connection broken: {error}") from error
