"""The guard: a second process that cancels our orders when the trader's heartbeat stops.

The heartbeat is the answer of the session's control socket. The guard has its own key and trades nothing.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog

from engine.facts import CloseReason, SessionClosing
from engine.live.account_carry import is_continued
from engine.live.control_socket import STATUS, ControlError, send_command, socket_path
from engine.live.session_config import SessionConfig, StartError, accounts_of
from engine.record_codec import read_fact
from engine.session_record import SessionBody, read_session
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind
from journal.sessions import list_sessions
from verbatim.guard_mark import GuardMark
from verbatim.kill_session import KillError, kill

BEAT_SECONDS = 1.0  # between two checks of the heartbeat
ANSWER_SECONDS = 2.0
WAIT_SECONDS_MAX = 300.0  # between two kills after one that left something: each wait is twice the one before
LAST_RECORDS = 200  # of a session, in which its last word is

log = structlog.get_logger()


class Watched(msgspec.Struct, frozen=True):
    """The newest session of the guarded account."""

    folder: Path
    body: SessionBody
    beats: bool  # its process answers
    is_over: bool  # it ended in order, and was answered: what it left open, it left on purpose


class Guard:
    """Watches the newest session of one account, and kills it if its heartbeat stops."""

    def __init__(self, config: SessionConfig, *, after_s: float, flatten: bool, environment: Mapping[str, str]) -> None:
        self._config = config
        self._after_s = after_s
        self._flatten = flatten
        self._environment = environment
        self._beat_at = time.monotonic()
        self._done: set[str] = set()  # sessions that were killed
        self._failed = 0  # kills in a row that left something
        self._is_ended = False  # by a signal that arrived during a kill
        self._mark = self._make_mark()  # `verbatim status` reads it

    def _make_mark(self) -> GuardMark | None:
        config = self._config
        try:
            return GuardMark(config.journals, config.venue.name, config.account)
        except OSError as error:  # a guard without a mark still cancels
            log.warning("no mark for verbatim status", reason=f"{error.filename}: {error.strerror}")
            return None

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Watch until `until` returns True. Nothing but our own fault ends it."""
        log.info("guarding", account=self._config.account, journals=str(self._config.journals), after_s=self._after_s)
        while not until():
            if self._mark is not None:
                self._mark.refresh()
            self.watch_once()
            if self._is_ended:  # the session that cancels takes the signals of its process
                return
            time.sleep(BEAT_SECONDS)

    def watch_once(self) -> None:
        """Request the heartbeat once; kill if it is missing for too long."""
        try:
            watched = self.newest()
        except (JournalError, OSError) as error:
            log.warning("the newest session cannot be read", reason=str(error))
            return
        if watched is None or watched.beats or watched.is_over or watched.body.session in self._done:
            self._beat_at, self._failed = time.monotonic(), 0
            return
        silent_s = time.monotonic() - self._beat_at
        if silent_s < min(self._after_s * 2**self._failed, max(self._after_s, WAIT_SECONDS_MAX)):
            return
        log.error("the heartbeat stopped: cancelling", session=watched.body.session, silent_s=round(silent_s, 1))
        is_done = self._kill(watched)
        self._beat_at, self._failed = time.monotonic(), 0 if is_done else min(self._failed + 1, 10)

    def newest(self) -> Watched | None:
        """Return the newest session of the account and venue, or None."""
        for found in reversed(list_sessions(self._config.journals)):
            try:
                journal = Journal.open(found.path)
                body = read_session(journal.session_record().body or "")
            except JournalError:
                continue  # it has no record yet
            theirs = accounts_of(body.account, body.venues)
            if not is_continued(theirs, self._config.accounts) or body.resimulated is not None or body.read_only:
                continue
            return Watched(found.path, body, beats=self._beats(found.path, body), is_over=_is_over(journal))
        return None

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
                config=self._config,
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
