"""Which sessions a pattern means, and which of them a question needs: planned with the catalogues, nothing is opened.

A session that no catalogue has yet is read, never left out. A catalogue that is damaged is an error.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from analysis.catalogue import read_catalogue, read_row
from analysis.catalogue_row import CatalogueRow
from analysis.fleet_selection import ALL, Selection
from analysis.session_tables import LeftOutSession
from journal.archive import MANIFEST
from journal.archive_patterns import Folder, FoldersOf, expand, open_folder
from journal.errors import ArchiveRefusedError, DamagedCatalogueError
from journal.recover import has_segments
from journal.session_names import is_pattern


class FleetSession(NamedTuple):
    """One session of a fleet."""

    folder: Folder
    row: CatalogueRow | None  # None: no catalogue has it
    is_archived: bool  # False: a journal of this machine that was never archived; it may be running

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def label(self) -> str:
        """The address without its query, for messages."""
        return self.folder.place.display_uri

    @property
    def path(self) -> Path | None:
        """The folder, if it is of this machine."""
        return Path(self.folder.place.path) if self.folder.place.is_local else None


class FleetPlan(NamedTuple):
    """The sessions that a question needs."""

    sessions: tuple[FleetSession, ...]
    left_out: tuple[LeftOutSession, ...]  # catalogued, but gone; or copies of others
    considered: int  # sessions that the pattern means


def plan_fleet(text: str, selection: Selection = ALL) -> FleetPlan:
    """Return the sessions that a pattern, an address or a folder means, and a question needs, by name.

    Raises:
        ArchiveRefusedError: Nothing matches, or no session is needed.
        ArchiveFailedError: A read failed.
        DamagedCatalogueError: A catalogue is damaged.
    """
    gone: list[LeftOutSession] = []
    if is_pattern(text):
        found = [session for group in expand(text) for session in _group_sessions(group, gone)]
    else:
        found = list(_in_folder(open_folder(text), gone))
    if not found:
        raise ArchiveRefusedError(
            f"{text.partition('?')[0] if '://' in text else text}: no folder there is a session or contains one. "
            "What to do: check it; an archived session has a manifest.json, one of this machine has segments."
        )
    needed = [session for session in found if session.row is None or selection.needs(session.row)]
    if not needed:
        first = min(session.row.start_ns for session in found if session.row is not None)
        last = max(session.row.end_ns for session in found if session.row is not None)
        raise ArchiveRefusedError(
            f"none of the {len(found):,} sessions has {selection.text}. What to do: they are "
            f"{Selection(first, last).text}; verbatim sessions lists their instruments."
        )
    ordered = sorted(needed, key=lambda each: (each.name, each.label))
    once, copies = _without_copies(ordered)
    return FleetPlan(tuple(once), (*gone, *copies), len(found))


def _without_copies(sessions: Sequence[FleetSession]) -> tuple[list[FleetSession], list[LeftOutSession]]:
    """Return each catalogued session once, and its copies in other folders."""
    kept: dict[tuple[str, str], FleetSession] = {}
    once, copies = [], []
    for session in sessions:
        first = session if session.row is None else kept.setdefault((session.row.session, session.row.chain), session)
        if first is session:
            once.append(session)
        else:
            copies.append(LeftOutSession(session.label, f"it is a copy of {first.label}, which counts once"))
    return once, copies


def _group_sessions(group: FoldersOf, gone: list[LeftOutSession]) -> Iterator[FleetSession]:
    """Yield the sessions that folders of one parent are or contain."""
    rows = read_catalogue(group.parent.place) or {}
    gone += _gone(group.parent, [name for name in rows if group.is_match(name)], group.names)
    for name in group.names:
        folder = group.parent.child(name)
        if name in rows:
            yield FleetSession(folder, rows[name], is_archived=True)
        else:
            yield from _in_folder(folder, gone)


def _in_folder(folder: Folder, gone: list[LeftOutSession]) -> Iterator[FleetSession]:
    """Yield the session that a folder is, or those that it contains."""
    if (session := _session_at(folder)) is not None:
        yield session
        return
    rows, names = read_catalogue(folder.place) or {}, folder.place.folders()
    gone += _gone(folder, list(rows), names)
    for name in names:
        child = folder.child(name)
        if name in rows:
            yield FleetSession(child, rows[name], is_archived=True)
        elif (session := _session_at(child)) is not None:
            yield session


def _session_at(folder: Folder) -> FleetSession | None:
    """Return the session whose folder this is, whether or not a catalogue has it."""
    if folder.place.child(MANIFEST).size() is not None:
        try:
            row = read_row(folder.place)
        except DamagedCatalogueError:
            row = None  # it is read as a session that no catalogue has
        return FleetSession(folder, row, is_archived=True)
    if folder.place.is_local and has_segments(Path(folder.place.path)):
        return FleetSession(folder, None, is_archived=False)
    return None


def _gone(parent: Folder, catalogued: Sequence[str], names: Sequence[str]) -> list[LeftOutSession]:
    there = set(names)
    return [
        LeftOutSession(parent.place.child(name).display_uri, "its folder was removed, and the catalogue has it")
        for name in catalogued
        if name not in there
    ]
