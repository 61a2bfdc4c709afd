"""Commands that wait while a decision does not return: seen from another thread, because the session's tasks wait too.

Only commands that limit what the session may do count: they end a decision, as a signal does. Others wait for it.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from engine.bodies import CommandName
from engine.live.control_lines import LINE_BYTES_MAX, BadLineError, parse_line
from engine.live.ingress import Ingress

URGENT = (CommandName.HALT, CommandName.CANCEL_ALL, CommandName.FLATTEN, CommandName.STOP, CommandName.PAUSE)
ACCEPTED_MAX = 16  # clients that this thread accepts; more stay in the socket's own queue


class WaitingCommands:
    """The control socket and the queue of commands, as the thread that watches decisions sees them."""

    def __init__(self, ingress: Ingress) -> None:
        self.reading: set[int] = set()  # descriptors of clients whose line the session did not read yet
        self._ingress = ingress
        self._listening: socket.socket | None = None
        self._accepted: list[socket.socket] = []
        self._hand_over: Callable[[], None] = lambda: None

    def listen(self, listening: socket.socket, hand_over: Callable[[], None]) -> None:
        """Set the listening socket; `hand_over` makes the session take the clients that were accepted meanwhile."""
        self._listening, self._hand_over = listening, hand_over

    def accepted(self) -> list[socket.socket]:
        """Remove and return the clients that were accepted here. Called by the session."""
        taken, self._accepted = self._accepted, []
        return taken

    def is_urgent(self) -> bool:
        """Return True if a command that limits the session waits. Called by the watch's thread; never waits."""
        if self._ingress.has_command(URGENT):
            return True
        if self._listening is not None and len(self._accepted) < ACCEPTED_MAX:
            with suppress(OSError):  # no client waits, or the session ends
                client, _ = self._listening.accept()
                client.setblocking(False)
                self._accepted.append(client)
                self._hand_over()
        return any(map(_is_urgent, [client.fileno() for client in self._accepted] + list(self.reading)))


def _is_urgent(descriptor: int) -> bool:
    """Return True if a client sent a whole line with such a command. The line stays in the socket."""
    try:
        with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as client:
            line, end, _ = client.recv(LINE_BYTES_MAX, socket.MSG_PEEK | socket.MSG_DONTWAIT).partition(b"\n")
            return bool(end) and parse_line(line).command in URGENT
    except (OSError, BadLineError):
        return False
