"""Processes of `verbatim`, and of the simulated venue, that begin with their modules imported and compiled code loaded.

Of the CPU time of a short command, the start of its process is most, and tests start hundreds. A server that has
imported everything forks each process: it has its own pid, environment, files and signals, and this process is its
parent, as of any other. A command that is not ours, or that sees a terminal, begins as usual.
"""

import atexit
import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

PROGRAM = "from verbatim.cli import main; main(prog_name='verbatim')"
VERBATIM = [sys.executable, "-P", "-c", PROGRAM]
VENUE = [sys.executable, "-P", "-m", "engine.live.venue_main"]
CALM_EVENT_MS = (
    100  # between two events of a symbol; the venue's own 16 cost most of its CPU time, and half of a session's
)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: orphans below this process become its children
MESSAGE_MAX = 200_000
IMPORTED_LATER = (  # by a command's body, by a session's start or by its first request
    "anyio",
    "encodings.idna",
    "httpcore",
    "pyarrow.compute",
    "trio_websocket",
    "engine.live.transport.standard_http",
    "engine.live.transport.standard_websocket",
    "engine.live.venue_main",
    "engine.venues.binance_coinm",
    "engine.venues.binance_usdm",
    "engine.venues.paper",
    "verbatim.config",
    "verbatim.folder_status",
    "verbatim.guarding",
    "verbatim.kill_session",
    "verbatim.run_mark",
    "verbatim.runner",
    "verbatim.start_report",
    "verbatim.status_text",
    "verbatim.warm_up_source",
)
READ_AT_START = ("HOME", "PYTHONHASHSEED", "PYTHONPATH", "VERBATIM_JIT", "XDG_CACHE_HOME")


class WarmProcess(subprocess.Popen[Any]):
    """A `subprocess.Popen` whose process of VERBATIM or VENUE is forked from the server of this process."""

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, *more: Any) -> None:
        """Fork instead of `fork_exec`; the parameters are those of Python 3.11 to 3.14."""
        pass_fds, cwd, env, _startupinfo, _flags, shell, *fds = more[:12]
        in_read, in_write, out_read, out_write, err_read, err_write = fds
        chosen = [
            0 if in_read == -1 else in_read,
            1 if out_write == -1 else out_write,
            2 if err_write == -1 else err_write,
        ]
        environment = dict(os.environ if env is None else env)
        is_as_here = all(environment.get(name, "") == os.environ.get(name, "") for name in READ_AT_START)
        program = next((each for each in (VERBATIM, VENUE) if args[: len(each)] == each), None)
        if program is None or not is_as_here or preexec_fn or pass_fds or shell or any(map(os.isatty, chosen)):
            super()._execute_child(args, executable, preexec_fn, close_fds, *more)  # type: ignore[misc]  # no stub has it
            return
        wanted = {
            "is_venue": program is VENUE,
            "arguments": list(map(str, args[len(program) :])),
            "environment": environment,
            "folder": str(cwd or Path.cwd()),
            "own_session": bool(more[17]),
        }
        self.pid = fork_warm(wanted, chosen)
        self._child_created = True
        self._close_pipe_fds(in_read, in_write, out_read, out_write, err_read, err_write)  # type: ignore[attr-defined]


def run(command: list[str], *, timeout: float, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: `subprocess.run` with both outputs captured as text."""
    with WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def fork_warm(wanted: dict[str, Any], fds: list[int]) -> int:
    """Return the pid of a new process, whose parent is this one."""
    link, libc = server(), ctypes.CDLL(None)
    libc.prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(link, [json.dumps(wanted).encode()], fds)
        return int(link.recv(100))
    finally:
        libc.prctl(SUBREAPER, 0, 0, 0, 0)


class Inherited:
    """The server that a warm process got when it began."""

    link: socket.socket | None = None


@cache
def server() -> socket.socket:
    """Start the server of this process, or return the one that it has. It ends when this process does."""
    if Inherited.link is not None:
        return Inherited.link
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MESSAGE_MAX)
    command = [sys.executable, "-P", __file__, str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(60)

    atexit.register(end)
    assert ours.recv(100) == b"ready"
    return ours


# ---- the server


def serve(link: socket.socket) -> tuple[bool, list[str]]:
    """Answer requests until their sender ends. Return in each forked process: is it a venue, and its arguments."""
    link.send(b"ready")
    while True:
        message, fds, _, _ = socket.recv_fds(link, MESSAGE_MAX, 3)
        if not message:
            os._exit(0)
        reader, writer = os.pipe()
        if between := os.fork():
            os.waitpid(between, 0)  # from here on its child is the sender's
            link.send(os.read(reader, 100))
            for fd in (reader, writer, *fds):
                os.close(fd)
            continue
        if child := os.fork():
            os.write(writer, str(child).encode())
            os._exit(0)
        for place, fd in enumerate(fds):
            os.dup2(fd, place)
        for fd in (reader, writer, *fds):
            os.close(fd)
        link.close()
        return begin(json.loads(message))


def begin(wanted: dict[str, Any]) -> tuple[bool, list[str]]:
    """Make this process what was ordered. Return whether it is a venue, and the arguments of its command."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup, which our commands respect
    if wanted["own_session"]:
        os.setsid()
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    return wanted["is_venue"], wanted["arguments"]


def serve_its_children() -> tuple[bool, list[str]] | None:
    """Fork a server for the processes that this one starts. Return None here, and in each of those what `serve` does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):  # else a reader of this process waits for it too
            os.dup2(nowhere, fd)
        return serve(theirs)
    theirs.close()
    assert ours.recv(100) == b"ready"
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MESSAGE_MAX)
    Inherited.link = ours
    subprocess.Popen = WarmProcess  # type: ignore[misc]
    return None


def load() -> None:
    """Import what the commands use, and load what they call compiled."""
    import importlib
    import pkgutil

    import verbatim.commands
    from engine.live.machine import software_versions
    from engine.sim.exchange.venue_books import VenueBooks
    from verbatim.warmup import warm

    for module in pkgutil.iter_modules(verbatim.commands.__path__, "verbatim.commands."):
        importlib.import_module(module.name)
    for name in IMPORTED_LATER:
        importlib.import_module(name)
    warm()
    software_versions()
    VenueBooks(1)
    gc.collect()
    gc.freeze()  # else each process copies and walks all of it when it ends


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, and meant for the tests
    load()
    is_venue, arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments[:1] == ["demo"]:  # it starts a venue
        is_venue, arguments = serve_its_children() or (is_venue, arguments)
    from engine.live.venue_main import run_from_command_line
    from verbatim.cli import main

    if is_venue:
        raise SystemExit(run_from_command_line(arguments))
    sys.argv = ["verbatim", *arguments]
    main(prog_name="verbatim")
