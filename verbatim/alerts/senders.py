"""Senders: one for each channel. A sender delivers a message or raises a DeliveryError whose text holds no secret.

No text of a library or of a receiver is passed on: it may quote an address with its token.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import Any, Protocol

import msgspec

from verbatim.alerts.alert_events import AlertMessage

OUTPUT_FOLDER = "/"  # where a command runs: it depends on no folder of ours
KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY")


class DeliveryError(Exception):
    """A channel did not accept a message; the text states why, without a secret."""

    def __init__(self, reason: str, *, wait_s: float = 0, is_final: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s  # the least time before the next attempt, as the receiver stated it
        self.is_final = is_final  # another attempt would fail as well


class Sender(Protocol):
    """Delivers messages of one channel. Called in a thread of the channel."""

    def send(self, message: AlertMessage) -> str:
        """Deliver a message. Return a remark, or "".

        Raises:
            DeliveryError: It was not accepted.
        """


class HasSocket(Protocol):
    """A connection of the standard library."""

    sock: Any


class TimeLimit:
    """Ends a connection after a time in all, however slowly the other side answers."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.is_over = False

    @contextmanager
    def applied_to(self, connection: HasSocket) -> Iterator[None]:
        """Limit the time from here on."""
        timer = Timer(self._seconds, self._cut, [connection])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self, connection: HasSocket) -> None:
        self.is_over = True
        if isinstance(connection.sock, socket.socket):
            with suppress(OSError):  # it ended already
                connection.sock.shutdown(socket.SHUT_RDWR)


class CommandSender:
    """Starts a program for each message, without a shell. The message is JSON on its standard input.

    It gets none of our environment except KEPT_VARIABLES, because ours may hold secrets.
    """

    def __init__(
        self, program: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> None:
        self._program, self._timeout_s = tuple(program), timeout_s
        given = os.environ if environment is None else environment
        self._environment = {name: given[name] for name in KEPT_VARIABLES if name in given}

    def send(self, message: AlertMessage) -> str:
        """Run the program to its end; its status must be 0. Its output is ignored."""
        try:
            process = subprocess.Popen(
                [self._program[0], *(filled(argument, message) for argument in self._program[1:])],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                cwd=OUTPUT_FOLDER,
                start_new_session=True,
            )
        except OSError as error:
            raise DeliveryError(f"the program cannot be started: {error.strerror}") from None
        try:
            process.communicate(msgspec.json.encode(message) + b"\n", timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            raise DeliveryError(f"the program did not end within {self._timeout_s:g} s") from None
        finally:
            _end_group(process)
        if process.returncode:
            raise DeliveryError(f"the program ended with status {process.returncode}")
        return ""


def filled(argument: str, message: AlertMessage) -> str:
    """Return an argument with the message in place of {title}, {text} and {severity}: it remains one argument."""
    for name, value in (("title", message.title), ("severity", message.severity.value), ("text", message.text)):
        before, found, after = argument.partition(f"{{{name}}}")
        if found:  # one name an argument: a value is never read for further names
            return f"{before}{value}{after}"
    return argument


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program with everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def absolute(path: Path | None, base: Path) -> Path | None:
    """Return a path from the configuration's folder."""
    return None if path is None else base / path.expanduser()
