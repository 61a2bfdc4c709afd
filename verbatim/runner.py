"""Run a session for a command: progress on the terminal, then a summary or one line of error.

Knows the terminal and the entry points of engine.live; knows nothing of trading.
"""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Self

import trio

from engine.bodies import CommandName
from engine.live.account_lock import AccountBusyError
from engine.live.control_socket import ControlError
from engine.live.logs import STDERR, LogSettings
from engine.live.previous_session import PreviousJournal
from engine.live.session import LiveSession, run_session
from engine.live.session_config import SessionConfig, StartError, StartPlan
from engine.live.session_end import EndedBy
from engine.live.session_status import SessionStatus, Summary
from engine.live.startup import open_session
from engine.live.venue_access import VenueAccess
from engine.live.venue_main import VenueStartError
from engine.strategy.source_guard import StrategyError
from journal.errors import JournalError, JournalLockedError
from journal.printable import in_one_line, printable
from journal.private_files import make_folder
from journal.record import plain
from verbatim.config_sections import ConfigError
from verbatim.exit_codes import BAD_INPUT, FAILED, HALTED, LOCKED, OK, stop
from verbatim.session_log import SessionLog

BAD = (ConfigError, StrategyError, VenueStartError)
LOCKS = (AccountBusyError, JournalLockedError)
FAILURES = (StartError, JournalError, ControlError, OSError)
DRAW_SECONDS = 0.25  # between two drawings of the status line
DRAW_SECONDS_MAX = 1.0  # for the last one
POSITIONS_NAMED_MAX = 3


class SessionWatch:
    """Progress callback that notices a refused key or a wrong address before the session ever ran."""

    def __init__(self, venues: Sequence[VenueAccess], on_status: Callable[[SessionStatus], None] | None = None) -> None:
        self._venues = venues
        self._on_status = on_status
        self._ran = False
        self.refusal = ""  # why the session cannot run, and what to do
        self.refused = trio.Event()

    def __call__(self, status: SessionStatus) -> None:
        """Note the mode, a refused key and a wrong address, then report the status."""
        self._ran |= status.mode == "running"
        if not self._ran and not self.refusal and (status.key_refused or status.address_refused):
            of = [each for each in self._venues if status.key_refused.startswith(f"{each.name} ")]
            key = f"{status.key_refused.rstrip('.')}; check {(of or self._venues)[0].key_source}"
            self.refusal = key if status.key_refused else status.address_refused
            self.refused.set()
        if self._on_status is not None:
            self._on_status(status)


async def run_session_config(
    config: SessionConfig,
    *,
    on_status: Callable[[SessionStatus], None] | None = None,
    drive: Callable[[LiveSession], Awaitable[None]] | None = None,
    before: PreviousJournal | None = None,
    on_open: Callable[[StartPlan], None] = lambda _plan: None,
    log: LogSettings | None = None,
    stops_if_refused: bool = True,
) -> Summary:
    """Open and run a session until it ends.

    Args:
        config: the session to open.
        on_status: called with each progress report.
        on_open: called when the venues described the instruments, before anything is connected.
        drive: an async function that controls the running session; the session's end cancels it.
        before: the state to continue from; None: that of the newest session.
        log: what the session logs of its outputs; None: nothing.
        stops_if_refused: end the session if the venue refuses the key or an address before it ran.

    Raises:
        StartError: the session cannot begin, or the venue refused the key or an address before it ran.
    """
    make_journals_folder(config.journals)
    plan = await open_session(config, before)
    on_open(plan)
    watch = SessionWatch(config.venues, on_status)
    make_lines = None if log is None else partial(SessionLog, settings=log)
    ended: list[Summary] = []
    async with trio.open_nursery() as nursery:

        async def run(task_status: "trio.TaskStatus[LiveSession]") -> None:
            ended.append(await run_session(plan, progress=watch, make_lines=make_lines, task_status=task_status))
            nursery.cancel_scope.cancel()

        session = await nursery.start(run)
        if stops_if_refused:
            nursery.start_soon(_stop_if_refused, session, watch)
        if drive is not None:
            nursery.start_soon(drive, session)
    if watch.refusal and stops_if_refused:
        raise StartError(watch.refusal)
    return ended[0]


async def _stop_if_refused(session: LiveSession, watch: SessionWatch) -> None:
    """Stop a session whose key or address was refused: waiting cannot help until a person changes it."""
    await watch.refused.wait()
    await session.command(CommandName.STOP, by="shell", reason=watch.refusal)


def run_or_stop(main: Callable[[], Awaitable[Summary]]) -> Summary:
    """Run `main` with trio; end with one line and an exit code if the venue, disk or input failed."""
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        exit_for(error)
        raise
    except (Exception, KeyboardInterrupt) as error:
        exit_for(error)
        raise


def make_journals_folder(journals: Path) -> None:
    """Make the journals' folder.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        make_folder(journals)
        journals.mkdir(exist_ok=True)  # raises if it is a file
        with tempfile.TemporaryFile(dir=journals):
            pass
    except OSError as error:
        what = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise ConfigError(f"cannot write journals in {journals}: {what}; choose a folder with --journals") from None


def exit_for(error: BaseException) -> None:
    """Exit with one line for a failure outside our code; return for a fault of ours, which needs its traceback."""
    if isinstance(error, KeyboardInterrupt):  # a running session takes the signal itself
        stop("interrupted before the session began: nothing was traded", FAILED)
    if isinstance(error, BAD):
        stop(str(error), BAD_INPUT)
    if isinstance(error, LOCKS):
        stop(str(error), LOCKED)
    if isinstance(error, FAILURES):
        stop(str(error), FAILED)


class StatusLine:
    """A status line below the log on a terminal, and nothing elsewhere.

    A thread draws it: a terminal that is stopped, as Ctrl-S does, delays no order.
    """

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_shown = is_wanted and sys.stderr.isatty()
        self._text = "connecting..."
        self._over = Event()
        self._thread = Thread(target=self._draw, name="status line", daemon=True)

    def __enter__(self) -> Self:
        if self._is_shown:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            self._over.set()
            self._thread.join(DRAW_SECONDS_MAX)

    def __call__(self, status: SessionStatus) -> None:
        """Set the text that is drawn next."""
        if self._is_shown:
            self._text = printable(status_line(status))

    def _draw(self) -> None:
        while not self._over.wait(DRAW_SECONDS):
            STDERR.set_status(self._text)
        STDERR.set_status("")


def status_line(status: SessionStatus) -> str:
    """Return mode, counts, positions, P&L and lag in one line."""
    pnl = sum((held.pnl for held in status.positions), start=0) if status.pnl is None else status.pnl.total
    currency = "" if status.pnl is None else f" {status.pnl.currency}"
    lacking = f" without {', '.join(status.pnl.missing)}" if status.pnl is not None and status.pnl.missing else ""
    return (
        f"{status.mode:8}  orders {status.orders:,}  fills {status.fills:,}  {positions_text(status)}  "
        f"P&L {pnl:+.2f}{currency}{lacking}  lag {status.lag_ns / 1e6:.1f} ms  records {status.records:,}"
        f"{protected_text(status)}{ages_text(status)}"
    )


def positions_text(status: SessionStatus) -> str:
    """Return the positions by instrument, of all strategies together; the first few by name, with venues if several."""
    sums: dict[str, Decimal] = {}
    for held in status.positions:
        sums[held.instrument] = sums.get(held.instrument, Decimal(0)) + held.quantity
    several = len(status.venues) > 1
    shown = {name: name if several else name.partition(":")[2] for name in sums}
    found = [f"{plain(quantity)} {shown[name]}" for name, quantity in sums.items() if quantity]
    more = f" and {len(found) - POSITIONS_NAMED_MAX} more" if len(found) > POSITIONS_NAMED_MAX else ""
    return f"position {', '.join(found[:POSITIONS_NAMED_MAX]) or 'none'}{more}"


def protected_text(status: SessionStatus) -> str:
    """Return who protects how many positions of execution plans; "" without such plans."""
    counts = ", ".join(f"{guard} {count}" for guard, count in status.protected.items())
    return f"  protected by: {counts}" if counts else ""


def pnl_text(status: SessionStatus) -> str:
    """Return the P&L of all strategies and the equity in one line; "" if the session keeps no P&L."""
    if status.pnl is None or status.equity is None:
        return ""
    pnl = status.pnl
    lacking = sorted({*pnl.missing, *pnl.unrated, *status.equity.missing})
    return (
        f"{pnl.total:+.4f} {pnl.currency}: realised {pnl.realised:+.4f}, open {pnl.unrealised:+.4f}, "
        f"fees {pnl.fees:.4f}, funding {pnl.funding:+.4f}; equity {status.equity.amount:.4f}"
        + (f"; no rate or mark: {', '.join(lacking)}" if lacking else "")
    )


def pnl_json(status: SessionStatus) -> dict[str, object] | None:
    """Return the P&L of all strategies and the equity as JSON values, or None if the session keeps no P&L."""
    if status.pnl is None or status.equity is None:
        return None
    pnl = status.pnl
    amounts = {name: plain(getattr(pnl, name)) for name in ("realised", "unrealised", "fees", "funding", "total")}
    return {
        "currency": pnl.currency,
        "mark": pnl.mark,
        **amounts,
        "equity": plain(status.equity.amount),
        "missing": sorted({*pnl.missing, *status.equity.missing}),
        "unrated": {asset: plain(amount) for asset, amount in sorted(pnl.unrated.items())},
    }


def ages_text(status: SessionStatus) -> str:
    """Return the age of the oldest quote and of the private link's last message, with the streams that are stale."""
    found = [("oldest quote", "quote"), ("private", "private")]
    oldest = {
        name: max((age.age_ns for age in status.ages if age.stream == stream), default=-1) for name, stream in found
    }
    shown = "".join(f"  {name} {age_ns / 1e9:.1f} s" for name, age_ns in oldest.items() if age_ns >= 0)
    stale = [f"{age.about} {age.stream}" for age in status.ages if age.is_stale]
    return shown + (f"  stale: {', '.join(stale)}" if stale else "")


def summary_json(summary: Summary) -> dict[str, object]:
    """Return a summary as JSON values; money as strings."""
    last = summary.last
    return {
        "session": last.session,
        "folder": str(summary.folder),
        "ended": summary.ended,
        "reason": summary.reason,
        "mode": last.mode,
        "mode_reasons": list(last.reasons),
        "records": last.records,
        "messages": last.messages,
        "orders": last.orders,
        "fills": last.fills,
        "gaps": last.gaps,
        "waiting_peak": last.waiting_peak,
        "ages": [
            {"about": age.about, "stream": age.stream, "age_ns": age.age_ns, "stale": age.is_stale} for age in last.ages
        ],
        "stopped": dict(last.stopped),
        "refused": last.refused,
        "objection": last.first_objection,
        "time": summary.shares.as_json(),
        "pnl": pnl_json(last),
        "positions": [
            {
                "strategy": held.strategy,
                "instrument": held.instrument,
                "quantity": plain(held.quantity),
                "realised_pnl": plain(held.realised_pnl),
                "unrealised_pnl": plain(held.unrealised_pnl),
                "fees": plain(held.fees_quote),
                "fees_unvalued": {asset: plain(fee) for asset, fee in sorted(held.fees_unvalued.items())},
                "pnl": plain(held.pnl),
            }
            for held in last.positions
        ],
    }


def exit_code(summary: Summary) -> int:
    """Return the exit code of a session: a failure first, then a halt."""
    if summary.is_halted and summary.ended in (EndedBy.CLOSED, EndedBy.DEADLINE):
        return HALTED
    return OK if summary.clean else FAILED


def headline(summary: Summary) -> str:
    """Return the line that says why trading is halted, or "" if it is not."""
    if not summary.is_halted:
        return ""
    reasons = in_one_line("; ".join(summary.last.reasons))
    return f"HALTED: {reasons}. What to do: check it, start again, then `control SESSION resume`"


def problems(summary: Summary) -> list[str]:
    """Return the lines that a person must read at the end.

    The headline of a session that did not trade at its end, a line for each stopped strategy and each whose WarmUp is
    not over, and one if every intent was refused.
    """
    last = summary.last
    lines = [summary.shares.headline] if summary.shares.headline and not summary.is_halted else []
    lines += [f"strategy {name}  stopped: {in_one_line(why)}" for name, why in last.stopped]
    lines += [f"strategy {name}  waits: its WarmUp lacks {missing}" for name, missing in last.warming]
    if last.refused and not last.orders:
        intents = "intent" if last.refused == 1 else "intents"
        lines.append(f"refused  {last.refused:,} {intents}, and no order was placed; the first: {last.first_objection}")
    return lines


def typed_command() -> str:
    """Return the command as a user would type it: a path if PATH does not find this one."""
    path = sys.argv[0]
    if os.sep not in path or not os.access(path, os.X_OK):
        return "verbatim"
    on_path = shutil.which("verbatim")
    if on_path is not None and Path(on_path).samefile(path):
        return "verbatim"
    return shlex.quote(path)


def short_path(path: Path) -> str:
    """Return the path relative to the working directory if it is inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
