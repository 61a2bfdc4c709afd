"""The sessions that the cockpit shows: a list of folders, and a view of each that was opened."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import pyarrow as pa

from engine.live.session_config import accounts_of
from engine.session_record import read_session
from journal.disk import is_locked
from journal.errors import JournalError, UnknownSessionError
from journal.reader import Journal
from journal.record import Kind
from journal.sessions import list_named_journals, list_sessions, session_id_of
from verbatim.cockpit.fold_ahead import FoldAhead, lacks_snapshots
from verbatim.cockpit.session_view import SessionView, shown_names

VIEWS_MAX = 6  # open at a time; the one that was not used for longest is closed
LISTED_MAX = 500  # sessions of the overview, the newest first


class Registry:
    """Finds sessions by the name in an address: only those that were named at the start, or are in a named folder."""

    def __init__(self, folders: Sequence[Path], journals: Sequence[Path]) -> None:
        """Keep where to look.

        Args:
            folders: Sessions.
            journals: Folders of sessions, which are listed again for each overview.
        """
        self._folders = list(folders)
        self._journals = list(journals)
        self._views: dict[Path, SessionView] = {}
        self._lock = Lock()
        self._rows: dict[tuple[Path, int], dict[str, Any]] = {}
        self._ahead = FoldAhead()

    def close(self) -> None:
        """End what runs beside the server."""
        self._ahead.close()

    def folders(self) -> list[Path]:
        """Return the folders of all sessions, the newest first."""
        found = list(self._folders)
        for journals in self._journals:
            found += [session.path for session in list_sessions(journals)] + list_named_journals(journals)
        return sorted(dict.fromkeys(found), key=lambda path: path.name, reverse=True)[:LISTED_MAX]

    def folder(self, name: str) -> Path:
        """Return the folder of a session by its id or the name of its folder.

        Raises:
            UnknownSessionError: No session that the cockpit shows has this name.
        """
        for folder in self.folders():
            if name and name in (folder.name, session_id_of(folder.name)):
                return folder
        raise UnknownSessionError(f"the cockpit shows no session {name[:80]!r}")

    def view(self, name: str) -> SessionView:
        """Return the view of a session, opened if needed."""
        folder = self.folder(name)
        with self._lock:
            view = self._views.pop(folder, None)
            if view is None or (is_locked(folder) and not view.is_live):
                view = SessionView(folder)
                if not (view.is_live or view.is_capture) and lacks_snapshots(view.journal):
                    self._ahead.request(folder)
            self._views[folder] = view
            while len(self._views) > VIEWS_MAX:
                del self._views[next(iter(self._views))]
            return view

    def overview(self) -> list[dict[str, Any]]:
        """Return one row for each session."""
        return [self._row(folder) for folder in self.folders()]

    def _row(self, folder: Path) -> dict[str, Any]:
        is_live = is_locked(folder)
        stamp = folder.stat().st_mtime_ns if folder.exists() else 0
        if not is_live and (known := self._rows.get((folder, stamp))) is not None:
            return known
        row: dict[str, Any] = {
            "id": session_id_of(folder.name) or folder.name,
            "folder": folder.name,
            "is_live": is_live,
        }
        try:
            journal = Journal.open(folder)
            first = journal.session_record()
            row |= {
                "records": journal.last_seq + 1,
                "start_ns": str(first.time_ns),
                "span": next(journal.records(journal.last_seq)).time_ns - first.time_ns,
                "ended": "running" if is_live else "closed" if journal.closed else "not closed",
            }
            body = read_session(first.body or "")
            row |= {
                "account": ", ".join(dict.fromkeys(accounts_of(body.account, body.venues).values())),
                "strategies": [f"{found.name} {found.version}" for found in body.strategies],
                "instruments": list(shown_names(body.instruments[:20]).values()),
            }
            row |= self._last_facts(journal)
        except (JournalError, OSError, ValueError, pa.ArrowException) as error:
            row.setdefault("ended", "unreadable")
            if row["ended"] == "unreadable":
                row["problem"] = " ".join(str(error).split())[:300]
        if not is_live:
            self._rows[folder, stamp] = row
        return row

    def _last_facts(self, journal: Journal) -> dict[str, Any]:
        """Return the last mode and P&L: records are read from further back until both are found."""
        found: dict[str, Any] = {}
        for back in (20_000, 200_000, journal.last_seq):
            for record in journal.records(max(0, journal.last_seq - back), kinds=(Kind.FACT,)):
                body = record.body or ""
                if '"fact":"mode"' in body:
                    fields = msgspec.json.decode(body)
                    found["mode"] = fields["mode"]
                elif '"fact":"portfolio_pnl"' in body:
                    fields = msgspec.json.decode(body)
                    sums = [float(fields[name]) for name in ("realised", "unrealised", "funding", "fees")]
                    found |= {"pnl": sums[0] + sums[1] + sums[2] - sums[3], "currency": fields["currency"]}
            if len(found) == 3:
                break
        return found
