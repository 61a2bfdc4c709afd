"""The control socket: one JSON line in is a COMMAND, one JSON line back says its seq and the mode that followed.

A unix socket that only its owner can open, and its owner may command. The meaning of commands is unknown here. A client
that is silent, slow or sends nonsense gets one line of error and never ends or blocks the session.
"""

import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from engine.bodies import CommandName
from engine.live.control_lines import COMMANDS, LINE_BYTES_MAX, BadLineError, answer_line, answer_of, parse_line
from engine.live.ingress import Command, Ingress
from engine.live.waiting_commands import WaitingCommands

PATH_BYTES_MAX = 107  # sockaddr_un.sun_path less its closing zero
CLIENTS_MAX = 16  # connected; one more drops the client that has been silent for longest
LINE_SECONDS = 5.0  # for a client to send its line
ANSWER_SECONDS = 10.0
ACCEPT_RETRY_SECONDS = 0.1
ANSWER_BYTES_MAX = 2**20  # the status of a session with many blocked instruments is long


class ControlError(Exception):
    """The session did not accept a command; the text states why."""


def socket_path(journals: Path, session: str) -> Path:
    """Return the socket's path: below the journals if it is short enough, else in the user's folder under /tmp."""
    near = journals.resolve() / ".control" / f"{session}.sock"
    if len(os.fsencode(near)) <= PATH_BYTES_MAX:
        return near
    return Path(f"/tmp/verbatim-{os.getuid()}") / f"{session}.sock"  # noqa: S108 - see private_folder


def private_folder(path: Path) -> None:
    """Make a folder that only this user can read. Raise ControlError if another user has one, or it is a link."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ControlError(f"{path} is not a folder of ours; remove it")
    path.chmod(0o700)


STATUS = "status"  # a question: it is no command and leaves no record


ReloadKeys = Callable[[str], Awaitable[str]]  # the venue, "" for all


async def serve_control(
    path: Path,
    ingress: Ingress,
    status: Callable[[], dict[str, Any]] | None = None,
    *,
    waiting: WaitingCommands | None = None,
    reload_keys: ReloadKeys | None = None,
    task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve commands until cancelled, then remove the socket's file.

    `status` answers the question of that name. `reload_keys` runs before the command of that name becomes a record, and
    returns why it is refused, or "".
    """
    listening_socket = _listen(path)
    listening = trio.socket.from_stdlib_socket(listening_socket)
    waiting = waiting or WaitingCommands(ingress)
    clients = _Clients(ingress, status, waiting.reading, reload_keys)
    token = trio.lowlevel.current_trio_token()
    try:
        async with trio.open_nursery() as nursery:

            def take_over() -> None:
                for accepted in waiting.accepted():
                    nursery.start_soon(clients.serve, trio.SocketStream(trio.socket.from_stdlib_socket(accepted)))

            waiting.listen(listening_socket, lambda: token.run_sync_soon(take_over))
            task_status.started(path)
            while True:
                try:
                    client, _ = await listening.accept()
                except OSError:  # the client left, or this process has no descriptor left
                    await trio.sleep(ACCEPT_RETRY_SECONDS)
                    continue
                nursery.start_soon(clients.serve, trio.SocketStream(client))
    finally:
        listening.close()
        _remove(path)


def _listen(path: Path) -> socket.socket:
    private_folder(path.parent)
    _remove(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(path))
        path.chmod(0o600)
        listening.listen(CLIENTS_MAX)
    except BaseException:
        listening.close()
        raise
    return listening


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


class _Clients:
    """The clients of a session's socket."""

    def __init__(
        self,
        ingress: Ingress,
        status: Callable[[], dict[str, Any]] | None,
        reading: set[int],
        reload_keys: ReloadKeys | None,
    ) -> None:
        self._ingress = ingress
        self._reload_keys = reload_keys
        self._reading = reading  # descriptors of clients without a whole line yet
        self._status = status
        self._count = 0
        self._silent: dict[trio.CancelScope, None] = {}  # clients without a whole line yet, the oldest first

    async def serve(self, stream: trio.SocketStream) -> None:
        """Read one line, answer one line and close."""
        self._count += 1
        try:
            async with stream:
                if self._count > CLIENTS_MAX:
                    self._drop_oldest()
                line = await self._read_line(stream)
                if line:
                    await self._answer_line(stream, line)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client closed its end; its command stays in force
        finally:
            self._count -= 1

    def _drop_oldest(self) -> None:
        """Disconnect the client that has been silent for longest, if one is."""
        for scope in self._silent:
            del self._silent[scope]
            scope.cancel()
            return

    async def _read_line(self, stream: trio.SocketStream) -> bytes:
        """Return the client's line: its first bytes if it is too long, nothing if none came in time."""
        line = b""
        with trio.move_on_after(LINE_SECONDS) as scope:
            self._silent[scope] = None
            descriptor = stream.socket.fileno()
            self._reading.add(descriptor)
            try:
                while b"\n" not in line and len(line) <= LINE_BYTES_MAX:
                    received = await stream.receive_some(LINE_BYTES_MAX)
                    if not received:
                        return b""
                    line += received
            finally:
                self._silent.pop(scope, None)
                self._reading.discard(descriptor)
        if scope.cancelled_caught:
            with trio.move_on_after(0.1):
                await stream.send_all(answer_line({"error": "no whole line came in time"}))
            return b""
        return line

    async def _answer_line(self, stream: trio.SocketStream, line: bytes) -> None:
        # a stop ends this task's session, yet wants its answer
        with trio.move_on_after(ANSWER_SECONDS, shield=True) as scope:
            answer = await self._answer(line.partition(b"\n")[0])
            await stream.send_all(answer_line(answer))
        if scope.cancelled_caught:
            with trio.move_on_after(0.1, shield=True):
                late = f"no answer within {ANSWER_SECONDS:.0f} s; the command still waits for the session"
                await stream.send_all(answer_line({"error": late}))

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = parse_line(line, COMMANDS if self._status is None else (*COMMANDS, STATUS))
        except BadLineError as error:
            return {"error": str(error)}
        if request.command == STATUS and self._status is not None:
            return self._status()
        if request.command == CommandName.RELOAD_KEYS and self._reload_keys is not None:
            refusal = await self._reload_keys(request.about)
            if refusal:
                return {"error": refusal}
        command = Command(CommandName(request.command), request.by, request.reason, trio.Event(), about=request.about)
        if not self._ingress.put_command(command):
            return {"error": "the session is ending, or too many commands wait"}
        await command.done.wait()
        return answer_of(command)


def send_command(
    path: Path, *, command: str, by: str, reason: str = "", about: str = "", seconds: float = ANSWER_SECONDS + 1
) -> dict[str, Any]:
    """Send a command to a running session and return the answer, without trio. Raises ControlError."""
    by, reason, about = (
        text.encode("utf-8", "replace").decode() for text in (by, reason, about)
    )  # arguments may hold any bytes
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        try:
            client.connect(os.fspath(path))
            asked = {"command": command, "by": by, "reason": reason, **({"about": about} if about else {})}
            client.sendall(json.dumps(asked).encode() + b"\n")
            with client.makefile("rb") as answers:
                line = answers.readline(ANSWER_BYTES_MAX)
        except OSError as error:
            raise ControlError(f"no session listens at {path} ({error.strerror or error}); is it running?") from error
    if not line:
        raise ControlError("the session ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer
