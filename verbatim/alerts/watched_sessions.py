"""The sessions that are watched: one of a name, or the newest of each account in a folder, and each newer one.

Each is read in its own thread, as `verbatim metrics` reads it: without a lock, and never through the trader.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from analysis.metrics.reader import MetricsReader
from engine.session_record import read_session
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.sessions import list_sessions
from verbatim.alerts.alert_book import FOLDER_MISSING, RUN_FAILED
from verbatim.alerts.alert_events import Finding, Severity
from verbatim.alerts.alert_messages import one_line
from verbatim.alerts.observation import CounterHistory, DayLoss, Observation, PnlPoint, RecordEvents
from verbatim.commands.prune import session_line
from verbatim.run_mark import failed_runs

SESSIONS_READ_MAX = 100  # of a folder, the newest ones; older ones only if a process writes them
ATTEMPTS_MAX = 120  # to read the SESSION record of a folder: a session that begins has it within seconds
READ_AGAIN_S = 5.0  # between two checks whether an unreadable session was closed
JOIN_S = 5.0


class WatchedName(NamedTuple):
    """A session, and what it belongs to."""

    folder: Path
    target: str  # as "account main at VENUE"
    session: str
    is_new: bool  # it began while the watcher ran


class WatchedSession:
    """A session that a thread reads."""

    def __init__(self, name: WatchedName) -> None:
        """Begin to read.

        Raises:
            JournalError: It cannot be read.
        """
        self.name = name
        self._records, self._history = RecordEvents(), CounterHistory()
        self._reader = MetricsReader(name.folder, on_record=self._records.add)
        self._is_caught_up = False
        self._failure = ""
        self._closed_s = -READ_AGAIN_S
        self._is_closed = False
        self.day: DayLoss | None = None
        self._thread = Thread(target=self._run, name=f"alerts {name.session}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._reader.catch_up()
        except (JournalError, OSError) as error:
            self._failure = str(error)
        self._is_caught_up = True
        if self._reader.ending != "closed" and not self._failure:
            self._reader.follow()

    def wait_end(self) -> None:
        """Wait until the reader has seen the end of a session without a writer."""
        if not _is_written(self.name.folder):
            self._thread.join(JOIN_S)

    def close(self) -> None:
        """End the thread."""
        self._reader.close()
        self._thread.join(JOIN_S)

    def observe(self, now_s: float) -> tuple[Observation, list[PnlPoint]] | None:
        """Return what is known now, and the P&L since the last call; None until all recorded records are read."""
        if not self._is_caught_up:
            return None
        is_up = _is_written(self.name.folder)
        # read before the events: then these are all events until there
        ending, last_seq = self._reader.ending, self._reader.last_seq
        values = self._reader.values()
        events, points = self._records.drain()
        failure = self._failure or self._reader.failure
        is_closed = ending == "closed" or (bool(failure) and not is_up and self._was_closed(now_s))
        if not is_up and not is_closed and not ending and not failure:
            is_up = True  # the reader has not seen the end yet: it may be an orderly one
        seen = Observation(
            session=self.name.session, values=values, mode=self._records.mode, reasons=self._records.reasons,
            is_up=is_up, is_closed=is_closed, failure=failure,
            last_seq=last_seq, events=tuple(events), day=self.day, history=self._history,
            counters=self._history.add(now_s, values), now_s=now_s,
        )  # fmt: skip
        return seen, points

    def _was_closed(self, now_s: float) -> bool:
        """Return True if a session that its reader cannot follow was closed."""
        if not self._is_closed and now_s - self._closed_s >= READ_AGAIN_S:
            self._closed_s = now_s
            try:
                self._is_closed = Journal.open(self.name.folder).closed
            except (JournalError, OSError):
                self._is_closed = False
        return self._is_closed


class WatchedSessions:
    """The watched sessions of one folder, by target."""

    def __init__(self, root: Path, only: Path | None = None) -> None:
        """Watch a folder of sessions, or one session.

        Args:
            root: The folder.
            only: One session's folder; newer ones are not followed.
        """
        self.root, self.only = root, only
        self.by_target: dict[str, WatchedSession] = {}
        self._known: dict[Path, WatchedName | None] = {}  # None: it is not watched, as a resimulation
        self._unread: Counter[Path] = Counter()  # attempts to read a SESSION record
        self._has_scanned = False
        self.failure = ""  # why no session can be found

    def refresh(self) -> Iterator[WatchedSession]:
        """Read sessions that are new. Yield each session that a newer one replaces, for its last observation."""
        for name in self._readable():
            before = self.by_target.get(name.target)
            if before is not None and before.name.folder.name >= name.folder.name:
                continue
            try:
                self.by_target[name.target] = WatchedSession(name)
            except (JournalError, OSError):
                del self._known[name.folder]  # it has just begun: the next scan may read it
                continue
            if before is not None:
                before.wait_end()
                yield before
                before.close()
        self._has_scanned = True

    def _readable(self) -> list[WatchedName]:
        """Return the sessions that were not known before; without any, `failure` states whether the folder is why."""
        try:
            found = list(self._scan())
            self.failure = "" if self.root.is_dir() else f"there is no folder {self.root} of sessions yet"
        except OSError as error:
            found, self.failure = [], f"the folder {self.root} cannot be read: {error.strerror or error}"
        return found

    def folder_findings(self) -> list[Finding]:
        """Return what is wrong with the folder, and the traders of it whose run failed."""
        if self.only is not None:
            return []
        found = [Finding(FOLDER_MISSING, "", Severity.WARNING, self.failure)] if self.failure else []
        for run in failed_runs(self.root):
            text = f"{run.about} does not run, verbatim run ended: {one_line(run.text)}"
            found.append(Finding(RUN_FAILED, one_line(run.about, 80), Severity.CRITICAL, text))
        return found

    def close(self) -> None:
        """End all threads."""
        for watched in self.by_target.values():
            watched.close()

    def _scan(self) -> Iterator[WatchedName]:
        """Yield the sessions that were not known before, the newest first."""
        folders = [self.only] if self.only is not None else [each.path for each in reversed(list_sessions(self.root))]
        for place, folder in enumerate(folders):
            if folder in self._known:
                continue
            if place >= SESSIONS_READ_MAX and not _is_written(folder):
                self._known[folder] = None
                continue
            try:
                record = Journal.open(folder).session_record()
                line = session_line(record).line
                session = read_session(record.body or "")
            except (JournalError, OSError, ValueError, LookupError):
                self._unread[folder] += 1  # it has just begun, or it is damaged
                if self._unread[folder] >= ATTEMPTS_MAX:
                    self._known[folder] = None
                continue
            if line is None:
                self._known[folder] = None
                continue
            target = f"{line} (read only)" if session.read_only else line
            name = WatchedName(folder, target, session.session, self._has_scanned)
            self._known[folder] = name
            yield name


def _is_written(folder: Path) -> bool:
    try:
        return is_locked(folder)
    except OSError:
        return False
