"""A small process that ends a session whose code is stuck where no other thread can run.

A strategy may call C code that holds Python's lock for ever. Then neither signals nor threads reach it. The guard is
forked at the session's start, waits on a pipe for signs of life, and holds nothing else. Without one for long it ends
the session's process, cancels its open orders, and reports it on stderr. The key is inherited, never written.
"""

import faulthandler
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

from engine.kernel import rebuilder_of
from engine.live.clock import wall_ns
from engine.live.emergency import EmergencyCancel
from engine.live.session_config import KeyReadError, SessionConfig, StartPlan
from engine.live.transport.http_result import HttpResult
from engine.live.venue_access import make_venue_sender
from engine.requests import AnswerStatus, Unsigned
from engine.state.session_state import Account
from journal.record import Kind, Record, canonical

SILENT_SECONDS_MAX = 15.0  # without a sign of life, beyond the longest decision
UNBUDGETED_SECONDS_MAX = 60.0  # without a sign of life, where decisions have no time budget
DUMP_SIGNAL = signal.SIGUSR2
DUMP_SECONDS = 0.5  # for the traceback
FIRST_FREE_FD = 3
OVER = b"q"


class StuckGuard:
    """The session's end of the pipe."""

    def __init__(self, write_fd: int) -> None:
        self._write_fd = write_fd

    def beat(self) -> None:
        """Give a sign of life. Never waits."""
        with suppress(OSError):
            os.write(self._write_fd, b".")


@contextmanager
def stuck_guard(plan: StartPlan) -> Iterator[StuckGuard | None]:
    """Run a guard for a session that can trade and cancels its orders after a failure."""
    config, settings = plan.wanted, plan.body.engine
    is_wanted = (
        any(each.key is not None for each in config.venues)
        and plan.body.strategies
        and config.safety.cancels_on_failure
    )
    is_main = threading.current_thread() is threading.main_thread()
    if not (is_wanted and is_main and plan.body.account):
        yield None
        return
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    budget_s = config.clock.seconds(settings.decision_stop_ns)
    silent_s = budget_s + SILENT_SECONDS_MAX if budget_s else UNBUDGETED_SECONDS_MAX
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no lock that a thread here may hold
        child = os.fork()
    if not child:
        try:
            _guard(plan, parent, read_fd, silent_s)
        finally:
            os._exit(0)
    os.close(read_fd)
    has_dump = signal.getsignal(DUMP_SIGNAL) is signal.SIG_DFL
    if has_dump:
        faulthandler.register(DUMP_SIGNAL, all_threads=False, file=sys.__stderr__ or 2)
    try:
        yield StuckGuard(write_fd)
    finally:
        with suppress(OSError):
            os.write(write_fd, OVER)
        os.close(write_fd)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)
        if has_dump:
            faulthandler.unregister(DUMP_SIGNAL)


# ---- in the guard's process


def _guard(plan: StartPlan, parent: int, read_fd: int, silent_s: float) -> None:
    """Wait until the session is over, or act if it gives no sign of life."""
    os.setsid()  # a signal from the terminal is for the session
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    os.closerange(FIRST_FREE_FD, read_fd)
    os.closerange(read_fd + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") > 0 else 65536)
    heard_at = time.monotonic()
    while True:
        if select.select([read_fd], [], [], 1.0)[0]:
            received = os.read(read_fd, 4096)
            if not received or OVER in received:
                return
            heard_at = time.monotonic()
        elif _is_stopped(parent):  # by a person, who continues it
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > silent_s:
            thread = threading.Thread(target=_end_session, args=(plan, parent, silent_s))  # trio runs in a new thread
            thread.start()
            thread.join()
            return


def _is_stopped(pid: int) -> bool:
    """Return True if a process is stopped by job control or a debugger."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("T", "t")


def _end_session(plan: StartPlan, parent: int, silent_s: float) -> None:
    session = plan.body.session
    _write(f"verbatim: session {session} gave no sign of life for {silent_s:.0f} s: it is ended, its orders cancelled")
    with suppress(ProcessLookupError):
        os.kill(parent, DUMP_SIGNAL)
        time.sleep(DUMP_SECONDS)
        os.kill(parent, signal.SIGKILL)
    outcome = "the cancel failed: its orders may still be open"
    try:
        left = trio.run(_cancel, plan)
        outcome = left or "the venue shows no open order of ours"
    finally:
        _write(f"verbatim: session {session}: {outcome}; its journal ends before the decision that did not return")


def _write(line: str) -> None:
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())


async def _cancel(plan: StartPlan) -> str:
    """Cancel the open orders that bear the session's mark. Return what may still be open, or ""."""
    config: SessionConfig = plan.wanted
    first = Record(0, plan.body.started_ns, Kind.SESSION, "shell", body=canonical(plan.body))
    context = rebuilder_of(first).session  # it runs no strategy's code
    wanted = config.by_name
    senders = {name: make_venue_sender(each) for name, each in wanted.items()}

    keys = {name: each.key for name, each in wanted.items()}
    if config.read_keys is not None:
        with suppress(KeyReadError):  # they may have been replaced since
            keys |= config.read_keys()

    async def send(venue: str, unsigned: Unsigned, clock_offset_ns: int) -> HttpResult:
        now_ns = config.clock.now_ns()
        try:
            message = context.venues[venue].signer.sign_http(unsigned, keys[venue], now_ns + clock_offset_ns)
        except ValueError as error:
            return HttpResult(AnswerStatus.NOT_SENT, now_ns, wall_ns(), error=str(error))
        return await senders[venue].send(message, timeout_s=5.0, clock=config.clock)

    emergency = EmergencyCancel(context, Account(), send, config.clock.seconds)
    await emergency.run()
    return emergency.left()
