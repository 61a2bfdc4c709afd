"""Archives a session and keeps the catalogue of its folder up to date; makes a catalogue again; lists fleets."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from analysis.catalogue import Catalogue, read_row, rebuild_catalogue, update_catalogue, write_row
from analysis.catalogue_row import CatalogueRow, catalogue_row
from analysis.sql_session import QueryError
from engine.errors import CoreError
from journal.archive import Archived, archive
from journal.archive_cache import cached_copy
from journal.archive_location import ArchiveLocation
from journal.archive_patterns import Folder
from journal.errors import DamagedCatalogueError, JournalError
from journal.progress import Progress
from journal.segments import first_line


class ArchivedSession(NamedTuple):
    """The outcome of an archive."""

    archived: Archived
    problem: str  # why the catalogue does not have it, or ""


def archive_session(folder: Path, root: ArchiveLocation, on_progress: Progress | None = None) -> ArchivedSession:
    """Copy a session, and then add it to the catalogue of its folder there.

    Args:
        folder: The session.
        root: The location that gets a folder of the session's name.
        on_progress: Called with the files copied and to copy.

    Raises:
        JournalError: The session is not archived.
    """
    done = archive(folder, root, on_progress)
    place = root.child(done.manifest.session)
    try:
        known = _known_row(place)
        if known is None or known.chain != done.manifest.chain:
            write_row(place, catalogue_row(folder))
        update_catalogue(root)
    except (JournalError, QueryError, CoreError, pa.ArrowException, OSError, ValueError) as error:
        return ArchivedSession(done, first_line(error))
    return ArchivedSession(done, "")


def _known_row(place: ArchiveLocation) -> CatalogueRow | None:
    try:
        return read_row(place)
    except DamagedCatalogueError:
        return None


def rebuild(folder: Folder, on_progress: Callable[[int, int], None] | None = None) -> Catalogue:
    """Make the catalogue of a folder again. A session without its own row is copied to this machine and read.

    Raises:
        ArchiveFailedError: A read or a write failed.
    """

    def make_row(place: ArchiveLocation) -> CatalogueRow:
        name = place.path.rstrip("/").rpartition("/")[2]
        return catalogue_row(cached_copy(folder.child(name).address))

    return rebuild_catalogue(folder.place, make_row, on_progress)
