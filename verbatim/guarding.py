"""The guard: a second process that cancels our orders when the trader's heartbeat stops.

The heartbeat is the answer of the session's control socket. The guard has its own key and trades nothing.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog

from engine.facts import CloseReason, SessionClosing
from engine.live.control_socket import STATUS, ControlError, send_command, socket_path
from engine.live.previous_session import newest_of
from engine.live.session_config import SessionConfig, StartError, with_accounts
from engine.record_codec import read_fact
from engine.session_record import SessionBody
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind
from verbatim.guard_mark import GuardMark
from verbatim.kill_session import KillError, kill

BEAT_SECONDS = 1.0  # between two checks of the heartbeat
ANSWER_SECONDS = 2.0
WAIT_SECONDS_MAX = 300.0  # between two kills after one that left something: each wait is twice the one before
LAST_RECORDS = 200  # of a session, in which its last word is

log = structlog.get_logger()


class Watched(msgspec.Struct, frozen=True):
    """The newest session of one or several guarded accounts."""

    folder: Path
    body: SessionBody
    venues: tuple[str, ...]  # of the accounts that it traded last
    beats: bool  # its process answers
    is_over: bool  # it ended in order, and was answered: what it left open, it left on purpose


class Silence(msgspec.Struct):
    """The time since the last heartbeat of an account's newest session, by the monotonic clock."""

    since: float
    failed: int = 0  # kills in a row that left something


class Guard:
    """Watches the newest session of each account, and kills it if its heartbeat stops."""

    def __init__(self, config: SessionConfig, *, after_s: float, flatten: bool, environment: Mapping[str, str]) -> None:
        self._config = config
        self._after_s = after_s
        self._flatten = flatten
        self._environment = environment
        begun = time.monotonic()
        self._silences = {venue: Silence(begun) for venue in config.accounts}
        self._done: set[str] = set()  # sessions that were killed
        self._is_ended = False  # by a signal that arrived during a kill
        self._marks = self._make_marks()  # `verbatim status` reads them

    def _make_marks(self) -> list[GuardMark]:
        try:
            return [GuardMark(self._config.journals, *each) for each in self._config.accounts.items()]
        except OSError as error:  # a guard without a mark still cancels
            log.warning("no mark for verbatim status", reason=f"{error.filename}: {error.strerror}")
            return []

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Watch until `until` returns True. Nothing but our own fault ends it."""
        accounts = ", ".join(f"{account} at {venue}" for venue, account in self._config.accounts.items())
        log.info("guarding", account=accounts, journals=str(self._config.journals), after_s=self._after_s)
        while not until():
            for mark in self._marks:
                mark.refresh()
            self.watch_once()
            if self._is_ended:  # the session that cancels takes the signals of its process
                return
            time.sleep(BEAT_SECONDS)

    def watch_once(self) -> None:
        """Request each heartbeat once; kill a session whose heartbeat is missing for too long."""
        try:
            watched = self.newest()
        except (JournalError, OSError) as error:
            log.warning("the newest session cannot be read", reason=str(error))
            return
        for each in watched:
            silence, is_done = self._silences[each.venues[0]], True
            if not (each.beats or each.is_over or each.body.session in self._done):
                silent_s = time.monotonic() - silence.since
                if silent_s < min(self._after_s * 2**silence.failed, max(self._after_s, WAIT_SECONDS_MAX)):
                    continue
                log.error("the heartbeat stopped: cancelling", session=each.body.session, silent_s=round(silent_s, 1))
                is_done = self._kill(each)
                if self._is_ended:
                    return
            silence.since, silence.failed = time.monotonic(), 0 if is_done else min(silence.failed + 1, 10)

    def newest(self) -> list[Watched]:
        """Return the newest sessions of the accounts, each once."""
        found: dict[Path, tuple[SessionBody, list[str]]] = {}
        for venue, (folder, body) in newest_of(self._config, self._config.accounts).items():
            found.setdefault(folder, (body, []))[1].append(venue)
        return [
            Watched(folder, body, tuple(venues), self._beats(folder, body), _is_over(Journal.open(folder)))
            for folder, (body, venues) in found.items()
        ]

    def _beats(self, folder: Path, body: SessionBody) -> bool:
        if not is_locked(folder):
            return False
        path = socket_path(folder.resolve().parent, body.session)
        try:
            send_command(path, command=STATUS, by="guard", seconds=ANSWER_SECONDS)
        except ControlError:
            return False
        return True

    def _kill(self, watched: Watched) -> bool:
        """Kill a session. Return True if nothing of it is left open."""
        try:
            killed = kill(
                watched.folder,
                watched.body,
                flatten=self._flatten,
                reason="the guard saw no heartbeat",
                seconds=max(self._after_s, 60.0),
                config=with_accounts(self._config, watched.venues),
                environment=self._environment,
            )
        except (StartError, JournalError, KillError, OSError) as error:
            log.error("the guard could not cancel; it tries again", reason=str(error))
            return False
        except ExceptionGroup as error:
            log.error("the guard could not cancel; it tries again", reason=repr(error.exceptions[0]))
            return False
        left, self._is_ended = killed.exposure, killed.is_interrupted
        if killed.is_done:
            self._done.add(watched.body.session)
            log.warning("nothing of ours is open", session=watched.body.session, positions=len(left["positions"]))
        else:
            then = "ends, as a signal demands" if self._is_ended else "tries again"
            log.error(
                "orders may still be open",
                guard=then,
                orders=left["orders"],
                positions=left["left"],
                unconfirmed=killed.unconfirmed,
            )
        if killed.warning:
            log.error(killed.warning)
        return killed.is_done


def _is_over(journal: Journal) -> bool:
    """Return True if a session ended in order, and the venue answered its last queries."""
    if not journal.closed:
        return False
    last_seq = journal.last_seq
    facts = (
        read_fact(record.body or "")
        for record in journal.records(max(last_seq - LAST_RECORDS, 0))
        if record.kind is Kind.FACT
    )
    closings = [fact for fact in facts if isinstance(fact, SessionClosing)]
    return not closings or closings[-1].reason is not CloseReason.DEADLINE
