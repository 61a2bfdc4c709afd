"""`verbatim.open` and `verbatim.follow`: find sessions by id, path, folder, bundle or address, and read them."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeAlias

from analysis.record_stream import RecordStream
from analysis.session import Session
from analysis.session_tables import Moment, SessionPlace
from journal.archive_cache import archived_sessions, cached_copy, is_address
from journal.errors import UnknownSessionError
from journal.record import Kind
from journal.recover import has_segments
from journal.sessions import is_folder, list_named_journals, list_sessions
from verbatim.session_lookup import UnpackedBundle, find, is_file

SessionName: TypeAlias = str | os.PathLike[str] | Session


def open(session: SessionName | Iterable[SessionName], *, journals: str | os.PathLike[str] = "journals") -> Session:
    """Open a session to read it, finished or still running, or several as one.

    Args:
        session: An id or its first characters, `last`, the path of a session or a bundle, or the address of an archive
            such as `s3://bucket/folder/session`. A folder or an address with several sessions opens all of them, and so
            does a list.
        journals: The folder in which ids are looked up.

    Returns:
        The session, with the records that were there when it was opened.

    Raises:
        UnknownSessionError: Nothing matches.
        JournalError: A session cannot be read.
    """
    places = _places(session, Path(journals))
    if not places:
        raise UnknownSessionError("no session was named. What to do: name one, or a folder with sessions.")
    return Session(places)


def follow(
    session: SessionName,
    *,
    start: Moment | None = None,
    kinds: Collection[Kind | str] = (),
    sources: Collection[str] = (),
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
    """
    return open(session, journals=journals).follow(
        start=start, kinds=kinds, sources=sources, durable=durable, timeout_s=timeout_s
    )


def _places(session: SessionName | Iterable[SessionName], journals: Path) -> list[SessionPlace]:
    if isinstance(session, Session):
        return list(session.places)
    if isinstance(session, str | os.PathLike):
        return _named_places(os.fspath(session), journals)
    return [place for name in session for place in _places(name, journals)]


def _named_places(session: str, journals: Path) -> list[SessionPlace]:
    if is_address(session):
        return [SessionPlace(cached_copy(address), address) for address in archived_sessions(session)]
    if is_file(session):
        unpacked = UnpackedBundle(Path(session))
        return [SessionPlace(unpacked.folder, session, unpacked)]
    folder = Path(session)
    if session and is_folder(folder) and not has_segments(folder):
        inside = [found.path for found in list_sessions(folder)] + list_named_journals(folder)
        if inside:
            return [SessionPlace(path) for path in inside]
    return [SessionPlace(find(journals, session))]
