"""`verbatim.open` and `verbatim.follow`: find sessions by id, path, folder, bundle or address, and read them."""

import os
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pyarrow as pa

from analysis.fleet_selection import parse_selection
from analysis.record_stream import RecordStream
from analysis.session import Session
from analysis.session_tables import (
    LeftOutSession,
    Moment,
    SessionCopyWarning,
    SessionPlace,
    UnreadableSessionWarning,
    moment_text,
)
from journal.errors import JournalError, UnknownSessionError
from journal.reader import Journal
from journal.record import Kind
from journal.recover import has_segments
from journal.session_names import is_address, names_several, recorded_session_id
from journal.sessions import is_folder, list_named_journals, list_sessions
from verbatim.session_lookup import UnpackedBundle, find, is_file

if TYPE_CHECKING:
    from analysis.fleet import Fleet

SessionName: TypeAlias = str | os.PathLike[str] | Session


def open(session: SessionName | Iterable[SessionName], *, journals: str | os.PathLike[str] = "journals") -> Session:
    """Open a session to read it, finished or still running, or several as one.

    Args:
        session: An id or its first characters, `last`, the path of a session or a bundle, or the address of an archive
            such as `s3://bucket/folder/session`. A folder, an address with several sessions or a pattern such as
            `s3://bucket/2026-*/` opens all that can be read: a warning and `Session.unreadable` name the others. Those
            of an archive are copied (`open_fleet` reads them where they are). A list opens all of its sessions, or
            fails.
            A session with a copy among them counts once: a warning and `Session.copies` name the copy.
        journals: The folder in which ids are looked up.

    Returns:
        The session, with the records that were there when it was opened.

    Raises:
        UnknownSessionError: Nothing matches.
        JournalError: A session cannot be read, and it was named or no other one of its folder can be read.
    """
    found = find_sessions(session, Path(journals))
    for each in found.unreadable:
        warnings.warn(str(each), UnreadableSessionWarning, stacklevel=2)
    for each in found.copies:
        warnings.warn(str(each), SessionCopyWarning, stacklevel=2)
    return Session(*found)


def follow(
    session: SessionName,
    *,
    start: Moment | None = None,
    kinds: Kind | str | Collection[Kind | str] = (),
    sources: str | Collection[str] = (),
    durable: bool = True,
    timeout_s: float | None = None,
    journals: str | os.PathLike[str] = "journals",
) -> RecordStream:
    """Return the records of a running session as they are written, until it ends.

    Args:
        session: An id, `last`, a path, or an open session.
        start: The first record or time. Default: the next record.
        kinds: Kinds of records, as `FACT`. Default: all.
        sources: Sources of records. Default: all.
        durable: Yield a record once it is on stable storage. False: once it is written.
        timeout_s: End if no record comes for this time.
        journals: The folder in which ids are looked up.

    Raises:
        UnknownSessionError: Nothing matches.
        JournalError: The session cannot be read.
        ValueError: A kind is unknown, or the time is negative.
    """
    return open(session, journals=journals).follow(
        start=start, kinds=kinds, sources=sources, durable=durable, timeout_s=timeout_s
    )


def open_fleet(
    pattern: str, *, start: Moment | None = None, end: Moment | None = None, instrument: str = ""
) -> "Fleet":
    """Open thousands of archived sessions for SQL where they are: no session is copied.

    Args:
        pattern: A pattern such as `s3://bucket/2026-*/`, the address of an archive, or a folder.
        start: The first time: nanoseconds, a datetime, an ISO text or a date. Sessions and records before it are left
            out.
        end: The last time.
        instrument: Only sessions with this symbol, or `venue:symbol`.

    Returns:
        The fleet: `sql`, `result`, `views`, `sessions`, and `left_out` with the sessions that cannot be read.

    Raises:
        ArchiveRefusedError: Nothing matches.
        ArchiveFailedError: A read failed.
        DamagedCatalogueError: A catalogue is damaged.
        ValueError: A time is none.
    """
    from analysis.fleet import Fleet
    from analysis.fleet_plan import plan_fleet

    begin, until = (None if moment is None else moment_text(moment) for moment in (start, end))
    selection = parse_selection(begin, until, instrument)
    return Fleet(plan_fleet(pattern, selection), selection)


class FoundSessions(NamedTuple):
    """The sessions that a name means; those of its folder that cannot be read; and copies of these sessions."""

    places: tuple[SessionPlace, ...]
    unreadable: tuple[LeftOutSession, ...] = ()
    copies: tuple[LeftOutSession, ...] = ()


def find_sessions(session: SessionName | Iterable[SessionName], journals: Path) -> FoundSessions:
    """Return the sessions that `open` opens.

    Raises:
        UnknownSessionError: Nothing matches.
        JournalError: No session of a folder can be read.
    """
    if isinstance(session, Session):
        return FoundSessions(session.places, session.unreadable, session.copies)
    if isinstance(session, str | os.PathLike):
        return _find_named(os.fspath(session), journals)
    found = [find_sessions(name, journals) for name in session]
    if not found:
        raise UnknownSessionError("no session was named. What to do: name one, or a folder with sessions.")
    opened = [(place, Journal.open(place.folder)) for each in found for place in each.places]
    places, copies = _without_copies(opened)
    return FoundSessions(
        places,
        tuple(left for each in found for left in each.unreadable),
        tuple(left for each in found for left in each.copies) + copies,
    )


def _find_named(session: str, journals: Path) -> FoundSessions:
    if names_several(session):
        return _find_fleet(session)
    if is_address(session):
        from journal.archive_cache import archived_sessions

        addresses = archived_sessions(session)
        return _readable([(address, partial(_archived_place, address)) for address in addresses])
    if is_file(session):
        unpacked = UnpackedBundle(Path(session))
        return FoundSessions((SessionPlace(unpacked.folder, session, unpacked),))
    folder = Path(session)
    if session and is_folder(folder) and not has_segments(folder):
        inside = [found.path for found in list_sessions(folder)] + list_named_journals(folder)
        if inside:
            return _readable([(str(path), partial(SessionPlace, path)) for path in inside])
    return FoundSessions((SessionPlace(find(journals, session)),))


def _find_fleet(pattern: str) -> FoundSessions:
    from verbatim.fleet_lookup import find_fleet

    fleet = find_fleet(pattern)
    candidates = [(address, partial(_archived_place, address)) for address in fleet.addresses]
    candidates += [(str(path), partial(SessionPlace, path)) for path in fleet.folders]
    found = _readable(candidates)
    return found._replace(unreadable=(*fleet.left_out, *found.unreadable))


def _archived_place(address: str) -> SessionPlace:
    from journal.archive_cache import cached_copy

    return SessionPlace(cached_copy(address), address)


def _readable(candidates: Sequence[tuple[str, Callable[[], SessionPlace]]]) -> FoundSessions:
    """Return the sessions that can be read, each with its name, and the others with the reason.

    Raises:
        JournalError: No session can be read; this is the error of the first.
    """
    opened: list[tuple[SessionPlace, Journal]] = []
    unreadable: list[LeftOutSession] = []
    first: JournalError | None = None
    for name, make_place in candidates:
        try:
            place = make_place()
            journal = _readable_journal(place.folder)
        except (JournalError, pa.ArrowException, OSError, ValueError) as error:
            if first is None:
                first = error if isinstance(error, JournalError) else JournalError(f"{name}: {error}")
            lines = str(error).splitlines()
            unreadable.append(LeftOutSession(name, lines[0] if lines else type(error).__name__))
        else:
            opened.append((place, journal))
    if first is not None and not opened:
        raise first
    places, copies = _without_copies(opened)
    return FoundSessions(places, tuple(unreadable), copies)


def _without_copies(
    opened: Sequence[tuple[SessionPlace, Journal]],
) -> tuple[tuple[SessionPlace, ...], tuple[LeftOutSession, ...]]:
    """Return the places with one of each session, the one with the most records, and the copies left out."""
    kept: dict[tuple[str, str], int] = {}
    identities = []
    for number, (_, journal) in enumerate(opened):
        identities.append((recorded_session_id(journal), journal.session_record().body or ""))
        other = kept.setdefault(identities[-1], number)
        if journal.last_seq > opened[other][1].last_seq:
            kept[identities[-1]] = number
    copies = []
    for number, (place, _) in enumerate(opened):
        if (chosen := kept[identities[number]]) != number:
            reason = f"session {identities[number][0]} counts once, as {opened[chosen][0].label}"
            copies.append(LeftOutSession(place.label, reason))
    return tuple(opened[number][0] for number in sorted(kept.values())), tuple(copies)


def _readable_journal(folder: Path) -> Journal:
    """Return a journal, or raise an error if its tables cannot be made. Reads the first record and the footers."""
    journal = Journal.open(folder)
    journal.session_record()
    journal.check_seams()
    return journal
