"""From a wanted session to its end, for the commands: what people see while it runs, and how it ends in one line.

Knows the terminal and the shell's entry points; nothing of trading.
"""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine.bodies import CommandName
from engine.live.control_socket import ControlError
from engine.live.session import Session, run_session
from engine.live.session_status import SessionStatus, Summary
from engine.live.startup import SessionConfig, StartError, open_session
from engine.live.venue_main import VenueStartError
from engine.strategy.loading import StrategyError
from journal.errors import JournalError
from journal.record import plain
from verbatim.config import ConfigError
from verbatim.exit_codes import BAD_INPUT, FAILED, stop

BAD = (ConfigError, StrategyError, VenueStartError)
FAILURES = (StartError, JournalError, ControlError, OSError)


class SessionWatch:
    """What the progress callback learned: whether it ever ran, and whether the venue refused the key before that."""

    def __init__(self, show: Callable[[SessionStatus], None] | None = None) -> None:
        self._show = show
        self._ran = False
        self.key_refused = ""
        self.refused = trio.Event()

    def __call__(self, glimpse: SessionStatus) -> None:
        self._ran |= glimpse.mode == "running"
        if glimpse.key_refused and not self._ran and not self.key_refused:
            self.key_refused = glimpse.key_refused
            self.refused.set()
        if self._show is not None:
            self._show(glimpse)


async def run_wanted(
    wanted: SessionConfig,
    *,
    show: Callable[[SessionStatus], None] | None = None,
    drive: Callable[[Session], Awaitable[None]] | None = None,
) -> Summary:
    """Opens and runs a session. `drive` is an async function that gets it; the session's end cancels it."""
    make_folder(wanted.journals)
    plan = await open_session(wanted)
    watching = SessionWatch(show)
    ended: list[Summary] = []
    async with trio.open_nursery() as nursery:

        async def run(task_status: "trio.TaskStatus[Session]") -> None:
            ended.append(await run_session(plan, progress=watching, task_status=task_status))
            nursery.cancel_scope.cancel()

        session = await nursery.start(run)
        nursery.start_soon(_stop_where_refused, session, watching)
        if drive is not None:
            nursery.start_soon(drive, session)
    if watching.key_refused:
        raise StartError(f"{watching.key_refused.rstrip('.')}; check VERBATIM_API_KEY and VERBATIM_API_SECRET")
    return ended[0]


async def _stop_where_refused(session: Session, watching: SessionWatch) -> None:
    """A session that was never let in has nothing to wait for: a person would have to change the key anyway."""
    await watching.refused.wait()
    await session.command(CommandName.STOP, by="shell", reason=watching.key_refused)


def run_or_stop(main: Callable[[], Awaitable[Summary]]) -> Summary:
    """trio.run, with every failure of the world as one clear line and an exit code."""
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        end_by(error)
        raise
    except (Exception, KeyboardInterrupt) as error:
        end_by(error)
        raise


def make_folder(journals: Path) -> None:
    """The journals' folder. Raises ConfigError where it cannot be made or written."""
    try:
        journals.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=journals):
            pass
    except OSError as error:
        what = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise ConfigError(f"cannot write journals in {journals}: {what}; choose a folder with --journals") from None


def end_by(error: BaseException) -> None:
    """Stops with one line where the fault is the world's; returns where it is ours, which deserves its traceback."""
    if isinstance(error, KeyboardInterrupt):  # a running session takes the signal itself
        stop("interrupted before the session began: nothing was traded", FAILED)
    if isinstance(error, BAD):
        stop(str(error), BAD_INPUT)
    if isinstance(error, FAILURES):
        stop(str(error), FAILED)


class Progress:
    """One line that is drawn again and again, where there is a terminal."""

    def __init__(self, console: Console) -> None:
        self._live = Live(Text("connecting..."), console=console, transient=True, auto_refresh=False)
        self._shown = console.is_terminal

    def __enter__(self) -> Self:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._live.stop()

    def __call__(self, glimpse: SessionStatus) -> None:
        if self._shown:
            self._live.update(Text(line(glimpse)), refresh=True)


def line(glimpse: SessionStatus) -> str:
    pnl = sum((held.pnl for held in glimpse.held), start=0)
    return (
        f"{glimpse.mode:8}  records {glimpse.records:,}  orders {glimpse.orders:,}  fills {glimpse.fills:,}  "
        f"P&L {pnl:+.2f}  lag {glimpse.lag_ns / 1e6:.1f} ms"
    )


def told(summary: Summary) -> dict[str, object]:
    """A summary as JSON values."""
    last = summary.last
    return {
        "session": last.session,
        "folder": str(summary.folder),
        "ended": summary.ended,
        "reason": summary.reason,
        "records": last.records,
        "messages": last.messages,
        "orders": last.orders,
        "fills": last.fills,
        "gaps": last.gaps,
        "waiting_peak": last.waiting_peak,
        "stopped": dict(last.stopped),
        "refused": last.refused,
        "objection": last.objection,
        "positions": [
            {
                "strategy": held.strategy,
                "instrument": held.instrument,
                "quantity": plain(held.quantity),
                "realised_pnl": plain(held.realised_pnl),
                "unrealised_pnl": plain(held.unrealised_pnl),
                "fees": plain(held.fees_quote),
                "pnl": plain(held.pnl),
            }
            for held in last.held
        ],
    }


def troubles(summary: Summary) -> list[str]:
    """What a person who sees few orders, or none, must be told: strategies that were stopped, wishes that came to nothing."""
    last = summary.last
    lines = [f"strategy {name}  stopped: {' '.join(why.split())}" for name, why in last.stopped]
    if last.refused and not last.orders:
        wishes = "wish" if last.refused == 1 else "wishes"
        lines.append(f"refused  {last.refused:,} {wishes}, and no order was placed; the first: {last.objection}")
    return lines


def invoked() -> str:
    """The command as it can be typed again: its path where it was started by one and is not what PATH finds."""
    path = sys.argv[0]
    if os.sep not in path or not os.access(path, os.X_OK):
        return "verbatim"
    found = shutil.which("verbatim")
    if found is not None and Path(found).samefile(path):
        return "verbatim"
    return shlex.quote(path)


def shown_path(path: Path) -> str:
    """Relative where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
