"""Search for damaged sessions of a fleet: files of another size than the catalogue has, and of another session."""

from collections.abc import Mapping, Sequence

from analysis.fleet_plan import FleetSession
from journal.archive_location import ArchiveLocation
from journal.errors import JournalError
from journal.reader import Journal
from journal.segments import UNREADABLE, first_line
from journal.session_names import recorded_session_id

SINGLE_LISTINGS_MAX = 4  # more sessions of one folder of a bucket are listed together


def size_problems(sessions: Sequence[FleetSession]) -> dict[str, str]:
    """Return why files of catalogued sessions are not those of the catalogue, by the label of the session.

    Folders are listed, and no file is opened. Many sessions of a bucket's folder cost one listing.

    Raises:
        ArchiveFailedError: A folder cannot be listed.
    """
    parents: dict[str, list[FleetSession]] = {}
    for session in sessions:
        if session.row is not None:
            parents.setdefault(session.folder.place.path.rstrip("/").rpartition("/")[0], []).append(session)
    found: dict[str, str] = {}
    for path, children in parents.items():
        place = children[0].folder.place
        together = not place.is_local and len(children) > SINGLE_LISTINGS_MAX
        listed = ArchiveLocation(place.filesystem, path, place.display_uri).files_below() if together else {}
        for session in children:
            files = listed if together else session.folder.place.files_below()
            if problem := _size_problem(session, files, f"{session.name}/" if together else ""):
                found[session.label] = problem
    return found


def _size_problem(session: FleetSession, listed: Mapping[str, int], begin: str) -> str:
    assert session.row is not None, "only catalogued sessions have sizes"
    for segment in session.row.segments:
        size = listed.get(begin + segment.name)
        if size is None:
            return f"{segment.name} is missing"
        if size != segment.bytes:
            return f"{segment.name} has {size:,} bytes, and the catalogue has {segment.bytes:,}"
    return ""


def journal_problem(session: FleetSession, journal: Journal) -> str:
    """Return why a journal is not the whole session that the plan means, or "". Reads all of it."""
    try:
        if problem := chain_problem(journal):
            return problem
        row = session.row
        if row is not None and (recorded_session_id(journal), journal.chain) != (row.session, row.chain):
            return f"its files are those of session {recorded_session_id(journal)}, and the catalogue has {row.session}"
        for _ in journal.batches():
            pass
    except (JournalError, *UNREADABLE) as error:
        return first_line(error)
    return ""


def chain_problem(journal: Journal) -> str:
    """Return why the segments are not those of one session, or "".

    Raises:
        DamagedJournalError: A segment is missing or damaged.
    """
    before = ""
    seq = journal.first_seq
    while seq <= journal.last_seq:
        first, last, segment = journal.segment_at(seq)
        if segment is None:
            break
        if before and segment.footer.prev_chain != before and not segment.footer.left_out:
            return f"its segment from record {first} does not continue the one before: it is another session's"
        before, seq = segment.footer.chain, last + 1
    return ""
