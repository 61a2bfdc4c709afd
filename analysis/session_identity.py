"""Which sessions are open: folders, ids, SESSION records, begin and end. `verbatim.open` returns a subclass."""

from datetime import datetime
from pathlib import Path
from typing import Self

from analysis.session_tables import SessionPlace, SessionTables
from engine.session_record import SessionBody, read_session
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.session_names import recorded_session_id
from replay.moments import utc_time


class SeveralSessionsError(JournalError):
    """The question is about one session, but several are open."""


class SessionIdentity(SessionTables):
    """The tables of sessions, and which sessions these are."""

    @property
    def sessions(self) -> tuple[Self, ...]:
        """Each session alone."""
        return (self,) if len(self.places) == 1 else tuple(type(self)([place]) for place in self.places)

    @property
    def place(self) -> SessionPlace:
        """The folder of the session and the origin that decides whether its code is trusted."""
        return self._one("place")

    @property
    def folder(self) -> Path:
        """The folder of the session."""
        return self._one("folder").folder

    @property
    def journal(self) -> Journal:
        """The journal of the session, for readers of records and batches."""
        self._one("journal")
        return self.journals[0]

    @property
    def body(self) -> SessionBody:
        """The SESSION record: configuration, versions, strategies with their source, instruments, opening state."""
        return read_session(self.journal.session_record().body or "")

    @property
    def id(self) -> str:
        """The id of the session, which the column `session` of its tables has."""
        return recorded_session_id(self.journal)

    @property
    def is_closed(self) -> bool:
        """True if the session ended in order. A running or a killed one did not."""
        return self.journal.closed

    @property
    def is_running(self) -> bool:
        """True while a process writes the session."""
        return is_locked(self.folder)

    @property
    def started(self) -> datetime:
        """The time of the first record, in UTC."""
        return utc_time(self.journal.session_record().time_ns)

    @property
    def ended(self) -> datetime:
        """The time of the last record that was there when the session was opened, in UTC."""
        return utc_time(next(self.journal.records(self.journal.last_seq)).time_ns)

    def _one(self, what: str) -> SessionPlace:
        if len(self.places) > 1:
            raise SeveralSessionsError(
                f"`{what}` is of one session, and {len(self.places)} are open. "
                "What to do: choose one of `sessions`, or use a table or SQL, which cover all."
            )
        return self.places[0]

    def __repr__(self) -> str:
        if len(self.places) > 1:
            counts = {"unreadable": len(self.unreadable), "left out as copies": len(self.copies)}
            left_out = "".join(f", {count} {what}" for what, count in counts.items() if count)
            return f"<{len(self.places)} sessions, {self.folders[0].name} to {self.folders[-1].name}{left_out}>"
        end = "closed" if self.is_closed else "not closed"
        return f"<session {self.id}, {self.journal.last_seq + 1:,} records, {end}>"
