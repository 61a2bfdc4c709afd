"""The status of the sessions of a folder: mode, open orders, positions, P&L, and findings that need a person.

A running session answers over its control socket. If it does not, or has ended, its journal is read.
"""

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from analysis.left_open import LastFacts, last_facts, left_open, pnl_text
from engine.facts import CloseReason
from engine.live.control_socket import STATUS, ControlError, send_command, socket_path
from engine.live.session_config import accounts_of
from engine.mode_reasons import Mode
from engine.session_record import SECOND_NS, SessionBody, read_session
from journal.disk import is_locked
from journal.errors import JournalError, NotBegunError
from journal.printable import in_one_line
from journal.reader import Journal
from journal.sessions import SessionFolder, list_sessions, session_id_of
from replay.imported_sessions import is_import
from replay.moments import utc_time
from verbatim.exit_codes import DIFFERS, FAILED, HALTED, OK
from verbatim.guard_mark import GuardStatus, guard_status, joined_guards
from verbatim.options import AGE_SECONDS_MAX

ANSWER_SECONDS = 3.0  # for a running session's answer
FREE_MIB_MIN = 1024  # as session.free_mib_min
READ_MAX = 50  # the newest sessions; an older one is read only if it runs
SHOWN_MAX = 5  # ended sessions that a later one continues


class Problem(StrEnum):
    """Findings about a folder's sessions, each with its exit code in `EXIT_CODES`."""

    NO_PROCESS = "no_process"  # the process ended without closing the session
    NOT_SETTLED = "not_settled"  # it ended in order, but its last requests were not answered
    NO_ANSWER = "no_answer"  # the process lives, and its control socket does not answer
    NO_RECORDS = "no_records"  # the process lives, and its newest record is old
    NOT_STARTED = "not_started"  # no session runs, and one was expected
    HALTED = "halted"
    NOT_RUNNING = "not_running"  # it lives, and places no new orders
    STRATEGY_STOPPED = "strategy_stopped"  # it lives, and one of its strategies was stopped by an error
    UNREADABLE = "unreadable"
    NO_GUARD = "no_guard"
    DISK = "disk"


EXIT_CODES = {
    Problem.NO_PROCESS: FAILED,
    Problem.NOT_SETTLED: FAILED,
    Problem.NO_ANSWER: FAILED,
    Problem.NO_RECORDS: FAILED,
    Problem.NOT_STARTED: FAILED,
    Problem.HALTED: HALTED,
    Problem.NOT_RUNNING: DIFFERS,
    Problem.STRATEGY_STOPPED: DIFFERS,
    Problem.UNREADABLE: DIFFERS,
    Problem.NO_GUARD: DIFFERS,
    Problem.DISK: DIFFERS,
}
UNREADABLE = (JournalError, pa.ArrowException, OSError, ValueError)
URGENCY = (FAILED, HALTED, DIFFERS)  # the first of these that a finding has is the exit code


class StatusFinding(msgspec.Struct, frozen=True):
    """One thing that needs a person."""

    problem: Problem
    session: str  # "" for the folder
    text: str


class SessionNow(msgspec.Struct, frozen=True, kw_only=True):
    """One session as of now. Fields that could not be read are None or empty."""

    session: str
    path: str
    is_live: bool  # a process writes it
    is_current: bool  # no later session continues its account or recording
    ended: str = ""  # "" while it runs; closed, stopped (its process ended), begun (no record), unreadable
    account: str = ""  # its accounts, with a comma between several
    venue: str = ""  # its venues, likewise
    accounts: dict[str, str] = {}  # venue -> account, without venues that have none
    read_only: bool = False
    strategies: list[str] = []
    idle: dict[str, str] = {}  # strategies that are stopped or paused, and why
    started: str = ""
    mode: str = ""
    reasons: list[str] = []
    records: int | None = None
    bytes: int = 0
    age_s: float | None = None  # since its newest record, by the wall clock
    is_answered: bool | None = None  # its process answered; None: it was not queried
    orders: list[str] | None = None  # own open orders
    other_orders: list[str] | None = None  # open orders of other programs
    positions: list[dict[str, Any]] | None = None
    pnl: str = ""
    guard: GuardStatus | None = None  # of several accounts: alive if each has one, and the oldest check
    unguarded: list[str] = []  # venues whose account no guard watches
    problem: str = ""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller expects of a folder's sessions."""

    is_running: bool = False  # a session of each account runs
    is_guarded: bool = False  # a guard watches each account
    age_s_max: float = AGE_SECONDS_MAX
    free_mib_min: int = FREE_MIB_MIN


class FolderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a folder of sessions."""

    journals: str
    free_bytes: int | None
    sessions: list[SessionNow]
    left_out: int  # older sessions that are not in `sessions`
    findings: list[StatusFinding]

    @property
    def exit_code(self) -> int:
        """The exit code of the most urgent finding."""
        found = {EXIT_CODES[finding.problem] for finding in self.findings}
        return next((code for code in URGENCY if code in found), OK)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields | {"exit_code": self.exit_code}


class _Opened(msgspec.Struct):
    """A session whose first record was read."""

    folder: Path
    is_live: bool
    is_current: bool = True
    ended: str = ""  # where it cannot be read further: begun, unreadable, or closed for an import
    problem: str = ""
    journal: Journal | None = None
    body: SessionBody | None = None


def folder_status(journals: Path, expected: Expected, *, only: Path | None = None) -> FolderStatus:
    """Read the status of a folder of sessions.

    Args:
        journals: The folder.
        expected: Conditions of the caller, each a finding if it is not met.
        only: Read this session alone. It counts as current.
    """
    sessions = list_sessions(journals)
    opened = _open_newest(sessions) if only is None else [_open(only)]
    shown = [_read(each, journals) for each in _choose(opened)]
    free = _free_bytes(journals)
    findings = [finding for row in shown for finding in _findings(row, expected)]
    findings += _folder_findings(shown, free, expected)
    left_out = len(sessions) - len(shown) if only is None else 0
    return FolderStatus(journals=str(journals), free_bytes=free, sessions=shown, left_out=left_out, findings=findings)


def _open_newest(sessions: Sequence[SessionFolder]) -> list[_Opened]:
    """Open the newest sessions and those that run. The newest of each account or recording is current."""
    followed: set[tuple[Any, ...]] = set()  # by later sessions
    found: list[_Opened] = []
    for place, session in enumerate(reversed(sessions)):
        if place >= READ_MAX and not _is_live(session.path):
            continue
        opened = _open(session.path)
        found.append(opened)
        if (body := opened.body) is not None:
            chains = _chains_of(body)
            opened.is_current = opened.is_live or not chains <= followed
            followed |= chains
    return found


def _open(folder: Path) -> _Opened:
    opened = _Opened(folder, _is_live(folder))
    try:
        journal = Journal.open(folder)
        opened.journal = journal
        if is_import(journal):
            opened.ended, opened.is_current = "closed", False
        else:
            opened.body = read_session(journal.session_record().body or "")
    except NotBegunError:
        opened.ended, opened.is_current = "" if opened.is_live else "begun", opened.is_live
    except UNREADABLE as error:
        opened.ended, opened.problem = "unreadable", _text(error)
    return opened


def _choose(found: Iterable[_Opened]) -> list[_Opened]:
    """Return the sessions that run, the current ones, and a few older ones."""
    shown, older = [], 0
    for each in found:
        is_older = not (each.is_live or each.is_current)
        older += is_older
        if not is_older or older <= SHOWN_MAX:
            shown.append(each)
    return sorted(shown, key=lambda each: not each.is_live)


def _is_live(folder: Path) -> bool:
    try:
        return is_locked(folder)
    except OSError:  # removed meanwhile
        return False


def _free_bytes(journals: Path) -> int | None:
    try:
        return shutil.disk_usage(journals).free
    except OSError:
        return None


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


# ---- one session


def _read(opened: _Opened, journals: Path) -> SessionNow:
    """Read one session as of now."""
    folder, journal, body = opened.folder, opened.journal, opened.body
    row = SessionNow(
        session=session_id_of(folder.name) or folder.name,
        path=str(folder),
        is_live=opened.is_live,
        is_current=opened.is_current,
        ended=opened.ended,
        records=journal.last_seq + 1 if journal is not None else None,
        problem=opened.problem,
    )
    if journal is None or body is None:
        return row
    try:
        return _read_begun(row, journal, body, journals)
    except UNREADABLE as error:
        return msgspec.structs.replace(row, ended="unreadable", problem=_text(error))


def _read_begun(row: SessionNow, journal: Journal, body: SessionBody, journals: Path) -> SessionNow:
    folder, accounts = journal.folder, accounts_of(body.account, body.venues)
    [last] = journal.records(journal.last_seq)
    is_traded = row.is_current and _trades(body)
    guards = {venue: guard_status(journals, venue, account) for venue, account in accounts.items()}
    has_guards = is_traded and body.paper is None
    row = msgspec.structs.replace(
        row,
        account=", ".join(dict.fromkeys(accounts.values())),
        venue=", ".join(venue.name for venue in body.venues),
        accounts=accounts,
        read_only=body.read_only,
        strategies=[found.name for found in body.strategies],
        started=utc_time(body.started_ns).strftime("%Y-%m-%dT%H:%M:%SZ"),
        bytes=sum(path.stat().st_size for path in folder.iterdir()),
        ended="" if row.is_live else "closed" if journal.closed else "stopped",
        age_s=_age_s(folder, last.time_ns, is_scaled=body.clock.speed != 1),
        guard=joined_guards(guards.values()) if has_guards else None,
        unguarded=[venue for venue, found in guards.items() if has_guards and not found.is_alive],
    )
    if row.is_live:
        answer = _ask_process(folder, body)
        row = msgspec.structs.replace(row, is_answered=answer is not None)
        if answer is not None:
            return _with_answer(_with_facts(row, last_facts(journal)), answer)
    if not is_traded:
        return _with_facts(row, last_facts(journal))
    found = left_open(journal, body)
    return msgspec.structs.replace(
        _with_facts(row, found.last),
        orders=[order.client_order_id for order in found.open_orders(own=True)],
        other_orders=[order.client_order_id for order in found.open_orders(own=False)],
        positions=found.positions(),
        idle=found.idle_strategies(last.time_ns),
    )


def _trades(body: SessionBody) -> bool:
    """Return True if a session may have orders."""
    return bool(body.account) and not body.read_only and body.resimulated is None


def _chains_of(body: SessionBody) -> set[tuple[Any, ...]]:
    """Return what a session continues: each of its accounts, or the recording of a market. A resimulation has none."""
    if body.resimulated is not None:
        return set()
    accounts = accounts_of(body.account, body.venues)
    if not accounts:
        return {(tuple(venue.name for venue in body.venues), tuple(each.symbol for each in body.instruments))}
    return {(venue, account, body.read_only) for venue, account in accounts.items()}


def _age_s(folder: Path, last_ns: int, *, is_scaled: bool) -> float:
    """Return how old the newest record is. A scaled clock is not comparable, so the files' times count there."""
    written_s = max(path.stat().st_mtime for path in folder.iterdir()) if is_scaled else last_ns / SECOND_NS
    return round(max(time.time() - written_s, 0.0), 3)


def _ask_process(folder: Path, body: SessionBody) -> dict[str, Any] | None:
    path = socket_path(folder.resolve().parent, body.session)
    try:
        return send_command(path, command=STATUS, by="status", seconds=ANSWER_SECONDS)
    except (ControlError, ValueError):
        return None


def _with_facts(row: SessionNow, facts: LastFacts) -> SessionNow:
    mode, closing = facts.mode, facts.closing
    is_late = row.ended == "closed" and closing is not None and closing.reason is CloseReason.DEADLINE
    return msgspec.structs.replace(
        row,
        mode=str(mode.mode) if mode else "",
        reasons=[reason.text for reason in mode.reasons] if mode else [],
        pnl=pnl_text(facts.pnl),
        ended="deadline" if is_late else row.ended,
    )


def _with_answer(row: SessionNow, answer: dict[str, Any]) -> SessionNow:
    return msgspec.structs.replace(
        row,
        mode=str(answer["mode"]),
        reasons=[str(reason) for reason in answer["reasons"]],
        orders=[str(name) for name in answer["orders"]],
        other_orders=[str(name) for name in answer["others"]],
        positions=list(answer["positions"]),
        idle=dict(answer.get("idle", {})),  # a process of an older version states none
    )


# ---- findings


def _findings(row: SessionNow, expected: Expected) -> list[StatusFinding]:
    """Return what needs a person about one session. An older session has no findings: a later one continues it."""
    if not row.is_current:
        return []
    found: list[tuple[Problem, str]] = []
    if row.ended == "unreadable":
        found.append((Problem.UNREADABLE, f"its journal cannot be read: {row.problem}"))
    elif row.ended == "stopped":
        left = f"; {len(row.orders)} own orders may be open" if row.orders else ""
        found.append((Problem.NO_PROCESS, f"its process ended without closing it{left}"))
    elif row.ended == "deadline":
        open_count = len(row.orders or ())
        found.append((Problem.NOT_SETTLED, f"the venue did not answer at its end; {open_count} own orders may be open"))
    elif row.ended in ("closed", "begun") and expected.is_running and row.account and not row.read_only:
        found.append((Problem.NOT_STARTED, f"no session of account {row.account} runs; the newest {row.ended}"))
    if row.is_answered is False:
        found.append((Problem.NO_ANSWER, "its process lives and does not answer"))
    if row.is_live and row.age_s is not None and row.age_s > expected.age_s_max:
        found.append((Problem.NO_RECORDS, f"its newest record is {row.age_s:.1f} s old"))
    reasons = in_one_line("; ".join(row.reasons)) or "no reason recorded"
    if row.mode == Mode.HALTED:
        found.append((Problem.HALTED, f"trading is halted: {reasons}"))
    elif row.is_live and row.mode != Mode.RUNNING and row.account:
        found.append((Problem.NOT_RUNNING, f"mode {row.mode or 'unknown'}: {reasons}"))
    for name, why in row.idle.items():
        if row.is_live and why.startswith("stopped"):
            found.append((Problem.STRATEGY_STOPPED, in_one_line(f"strategy {name} is {why}")))
    if expected.is_guarded and row.unguarded:
        texts = [account_text(venue, row.accounts) for venue in row.unguarded]
        found.append((Problem.NO_GUARD, f"no guard watches account {', '.join(texts)}"))
    return [StatusFinding(problem, row.session, text) for problem, text in found]


def account_text(venue: str, accounts: Mapping[str, str]) -> str:
    """Return the name of an account of a session, with its venue if there are several."""
    return accounts[venue] if len(accounts) == 1 else f"{accounts[venue]} at {venue}"


def _folder_findings(rows: Sequence[SessionNow], free: int | None, expected: Expected) -> list[StatusFinding]:
    found = []
    if free is not None and free < expected.free_mib_min * 2**20:
        wanted = expected.free_mib_min
        found.append(
            StatusFinding(Problem.DISK, "", f"the disk has {free / 2**20:,.0f} MiB free, less than {wanted:,}")
        )
    if expected.is_running and not any(row.is_live for row in rows):
        found.append(StatusFinding(Problem.NOT_STARTED, "", "no session runs"))
    return found
