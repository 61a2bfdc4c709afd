"""How a command finds the session it was given: journal/sessions.py, and what to do where there is none.

Commands that read take a bundle (journal/bundle.py) in its place: it is unpacked for as long as the command runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from engine.session_record import SessionBody


def is_file(session: str) -> bool:
    try:
        return Path(session).is_file()
    except (OSError, ValueError):  # a name longer than names may be, or with a zero byte in it
        return False


def find(journals: Path, session: str) -> Path:
    """The folder of a session, by path or id. UnknownSessionError names the command that lists them."""
    import shlex

    from journal.errors import UnknownSessionError
    from journal.sessions import find_session

    try:
        return find_session(journals, session)
    except UnknownSessionError as error:
        if not journals.is_dir():
            raise UnknownSessionError(f"{error} What to do: name the folder of the sessions with --journals.") from None
        command = shlex.join(["verbatim", "sessions", "--journals", str(journals)])
        raise UnknownSessionError(f"{error} What to do: {command} lists those there are.") from None


def find_to_read(journals: Path, session: str) -> Path:
    """As `find`; a bundle's file gives the folder that it was unpacked to."""
    import tempfile

    from journal.bundle import unpack

    if not is_file(session):
        return find(journals, session)
    scratch = tempfile.TemporaryDirectory(prefix="verbatim-bundle-")
    folder = Path(click.get_current_context().with_resource(scratch)) / "session"
    unpack(Path(session), folder)
    return folder


def find_to_resimulate(journals: Path, session: str) -> Path:
    """As `find_to_read`; an archive's address gives this machine's copy of it. DamagedArchiveError, ArchiveFailedError."""
    from journal.archive_cache import copy_of, is_address

    return copy_of(session) if is_address(session) else find_to_read(journals, session)


def trusted_host(session: str) -> str:
    """Whose code may run unasked: this machine's. "" for a bundle or an archive: whoever made it can write any host into it."""
    from engine.live.startup import host_id
    from journal.archive_cache import is_address

    return "" if is_file(session) or is_address(session) else host_id()


def find_decided(journals: Path, session: str) -> Path:
    """As `find`, for commands that decide or fold again. JournalError where the session was imported: nothing was decided."""
    from journal.errors import JournalError
    from journal.reader import Journal
    from replay.resim.capture_session import is_import

    folder = find_to_read(journals, session)
    if is_import(Journal.open(folder)):
        raise JournalError(
            f"{folder} is an import: it holds what was received, and no engine decided on it. What to do: query it with "
            "verbatim sql, or let a strategy decide on it: verbatim resim."
        )
    return folder


def session_in(folder: Path, exchange_info: Path | None) -> "SessionBody":
    """The SESSION of a journal; of a capture, the one that its market would have had, with the venue's metadata where a file of it is given.

    CannotResimulateError, UnknownSetting.
    """
    import msgspec

    from engine.live.startup import host_id
    from engine.session_record import read_session
    from journal.reader import Journal
    from replay.resim.capture_session import is_import, session_from_capture
    from replay.resim.venue_model import UnknownSettingError

    journal = Journal.open(folder)
    if not is_import(journal):
        if exchange_info is not None:
            raise UnknownSettingError(f"{folder} has its venue's metadata: --exchange-info is for captures")
        return read_session(journal.session_record().body or "")
    try:
        session = session_from_capture(journal, None if exchange_info is None else exchange_info.read_bytes())
        return msgspec.structs.replace(session, host=host_id())  # whatever code decides on it is brought here and now
    except (OSError, ValueError) as error:
        raise UnknownSettingError(f"{exchange_info} is not the answer to exchangeInfo: {error}") from None
