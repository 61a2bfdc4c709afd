"""The control socket: one JSON line in is a COMMAND, one JSON line back says its seq and the mode that followed.

A unix socket that only its owner can open, and its owner may command. The meaning of commands is unknown here.
"""

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import trio

from engine.bodies import CommandName
from engine.live.ingress import Command, Ingress

COMMANDS = (
    CommandName.PAUSE,
    CommandName.RESUME,
    CommandName.HALT,
    CommandName.CANCEL_ALL,
    CommandName.FLATTEN,
    CommandName.RECONCILE,
    CommandName.STOP,
    CommandName.RESUME_INSTRUMENT,
    CommandName.RESUME_STRATEGY,
)
PATH_BYTES_MAX = 107  # sockaddr_un.sun_path less its closing zero
LINE_BYTES_MAX = 4096
CLIENTS_MAX = 16
ABOUT_CHARS_MAX = 100
ANSWER_SECONDS = 10.0


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


async def serve_control(
    path: Path, ingress: Ingress, *, task_status: trio.TaskStatus[Path] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve commands until cancelled, then remove the socket's file."""
    listening = trio.socket.from_stdlib_socket(_listen(path))
    try:
        limit = trio.CapacityLimiter(CLIENTS_MAX)
        task_status.started(path)
        async with trio.open_nursery() as nursery:
            while True:
                client, _ = await listening.accept()
                nursery.start_soon(_serve_client, trio.SocketStream(client), ingress, limit)
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


async def _serve_client(stream: trio.SocketStream, ingress: Ingress, limit: trio.CapacityLimiter) -> None:
    async with limit, stream:
        try:
            line = b""
            while b"\n" not in line and len(line) <= LINE_BYTES_MAX:
                received = await stream.receive_some(LINE_BYTES_MAX)
                if not received:
                    return
                line += received
            with trio.move_on_after(
                ANSWER_SECONDS, shield=True
            ):  # a stop ends this task's session, yet wants its answer
                answer = await _answer(line.partition(b"\n")[0], ingress)
                await stream.send_all(json.dumps(answer).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client closed its end; its command stays in force


async def _answer(line: bytes, ingress: Ingress) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        name, by, reason = asked["command"], str(asked.get("by", "operator")), str(asked.get("reason", ""))
        about = str(asked.get("about", ""))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return {"error": f"not a command: {error}"}
    if name not in COMMANDS:
        return {"error": f"no command {name!r}; there are {', '.join(COMMANDS)}"}
    command = Command(CommandName(name), by[:64], reason[:200], trio.Event(), about=about[:ABOUT_CHARS_MAX])
    if not ingress.put_command(command):
        return {"error": "the session is ending, or too many commands wait"}
    await command.done.wait()
    if command.seq < 0:
        return {"error": "the session ended before it took the command"}
    return {"seq": command.seq, "mode": command.mode, "reasons": list(command.reasons)}


def send_command(path: Path, *, command: str, by: str, reason: str = "", about: str = "") -> dict[str, Any]:
    """Send a command to a running session and return the answer, without trio. Raises ControlError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS + 1)
        try:
            client.connect(os.fspath(path))
            client.sendall(
                json.dumps({"command": command, "by": by, "reason": reason, "about": about}).encode() + b"\n"
            )
            with client.makefile("rb") as answers:
                line = answers.readline(LINE_BYTES_MAX * 4)
        except OSError as error:
            raise ControlError(f"no session listens at {path} ({error.strerror or error}); is it running?") from error
    if not line:
        raise ControlError("the session ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer
