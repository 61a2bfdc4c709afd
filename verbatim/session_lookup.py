"""Find the session that a command names, or say what to do.

Commands that read take a bundle (journal/bundle.py) in its place: it is unpacked for as long as the command runs.
"""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.options import LAST
from verbatim.sample_data import SAMPLE, sample_session
from verbatim.terminal import echo_line

if TYPE_CHECKING:
    from analysis.session import Session
    from engine.session_record import SessionBody
    from replay.resim.capture_session import CaptureSession


class UnpackedBundle:
    """The session of a bundle, in a folder that is deleted with the last reference to this object."""

    def __init__(self, bundle: Path) -> None:
        """Unpack a bundle.

        Raises:
            NotAJournalError: The file is not a bundle.
            DamagedJournalError: The bundle is damaged.
        """
        from journal.bundle import unpack

        scratch = tempfile.mkdtemp(prefix="verbatim-bundle-")
        self._finalizer = weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        self.folder = Path(scratch) / "session"
        unpack(bundle, self.folder)

    def delete(self) -> None:
        """Delete the folder now."""
        self._finalizer()


def is_file(session: str) -> bool:
    """Return True if the name is that of a file, as of a bundle."""
    try:
        return Path(session).is_file()
    except (OSError, ValueError):  # the name is too long, or has a zero byte
        return False


def find(journals: Path, session: str) -> Path:
    """Return the folder of a session, by path, id, `last`, which is the newest, or `sample`, the package's own market.

    Raises:
        UnknownSessionError: none matches; the text names the command that lists them.
    """
    import shlex

    from engine.suggestions import nearest
    from journal.errors import UnknownSessionError
    from journal.sessions import find_session, list_named_journals, list_sessions

    if session == SAMPLE and not Path(SAMPLE).exists():
        return sample_session()
    if session == LAST and (sessions := list_sessions(journals)):
        return sessions[-1].path
    try:
        return find_session(journals, session)
    except UnknownSessionError as error:
        if not journals.is_dir():
            raise UnknownSessionError(f"{error} What to do: name the folder of the sessions with --journals.") from None
        command = shlex.join(["verbatim", "sessions", "--journals", str(journals)])
        names = [name for each in list_sessions(journals) for name in (each.session_id, each.path.name)]
        names += [path.name for path in list_named_journals(journals)] + [LAST]
        hint = "".join(f"Did you mean {name!r}? " for name in nearest(session, names)[:1] if name != session)
        raise UnknownSessionError(f"{error} {hint}What to do: {command} lists the sessions.") from None


def find_to_read(journals: Path, session: str) -> Path:
    """Return a session's folder; a bundle is unpacked into a folder that lasts as long as the command."""
    if not is_file(session):
        return find(journals, session)
    unpacked = UnpackedBundle(Path(session))
    click.get_current_context().call_on_close(unpacked.delete)
    return unpacked.folder


def find_to_resimulate(journals: Path, session: str) -> Path:
    """Return a session's folder; an archive's address is copied to this machine first.

    Raises:
        ArchiveFailedError: it cannot be reached.
        DamagedArchiveError: its bytes differ from its manifest.
    """
    from journal.session_names import is_address

    if not is_address(session):
        return find_to_read(journals, session)
    from journal.archive_cache import cached_copy

    return cached_copy(session)


def find_decided(journals: Path, session: str) -> Path:
    """Return a session's folder for commands that need its decisions.

    Raises:
        JournalError: it is an import, which holds no decisions.
    """
    from journal.reader import Journal
    from replay.imported_sessions import refuse_import

    folder = find_to_read(journals, session)
    refuse_import(Journal.open(folder))
    return folder


def open_to_read(journals: Path, *sessions: str) -> "Session":
    """Open sessions for a command that reads; an unpacked bundle is deleted when the command ends.

    Raises:
        JournalError: A session cannot be found or read.
    """
    from analysis.session import Session
    from verbatim.session_opening import find_sessions

    found = find_sessions(sessions, journals)
    for left_out in (*found.unreadable, *found.copies):
        echo_line(f"verbatim: {left_out}", err=True)
    opened = Session(*found)
    for place in opened.places:
        if isinstance(place.keeper, UnpackedBundle):
            click.get_current_context().call_on_close(place.keeper.delete)
    return opened


def session_in(folder: Path) -> "SessionBody":
    """Return the SESSION of a journal; for a capture, make one from its market.

    Raises:
        CannotResimulateError: the capture's market is not known.
    """
    return described_session(folder, None, {}).body


def described_session(folder: Path, exchange_info: Path | None, quote_assets: Mapping[str, str]) -> "CaptureSession":
    """Return the SESSION of a journal; for a capture, make one from its market, with notes on all that was inferred.

    Args:
        folder: the session's folder.
        exchange_info: a file with the venue's answer to exchangeInfo, for captures.
        quote_assets: symbol to the asset in which it is quoted, for symbols of captures where that is unknown.

    Raises:
        CannotResimulateError: the capture's market is not known.
        UnknownSettingError: the file or the asset does not fit.
    """
    from engine.session_record import read_session
    from engine.sim.venue_model import UnknownSettingError
    from journal.reader import Journal
    from replay.imported_sessions import is_import
    from replay.resim.capture_session import CaptureSession, read_capture

    journal = Journal.open(folder)
    if not is_import(journal):
        if exchange_info is not None or quote_assets:
            option = "--quote-asset" if quote_assets else "--exchange-info"
            raise UnknownSettingError(f"{folder} has its venue's metadata: {option} is for captures")
        return CaptureSession(read_session(journal.session_record().body or ""), ())
    try:
        return read_capture(journal, None if exchange_info is None else exchange_info.read_bytes(), quote_assets)
    except (OSError, ValueError) as error:
        raise UnknownSettingError(f"{exchange_info} is not the answer to exchangeInfo: {error}") from None
