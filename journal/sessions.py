"""Session folders under a root: their names, and how to find one by path or id.

The caller that starts a session draws its id.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from journal.checksums import CHECKSUMS
from journal.errors import AmbiguousSessionError, UnknownSessionError, no_journal
from journal.recover import has_segments

_ID = re.compile(r"[a-z2-7]{8}")  # base32 in lower case
_NAME = re.compile(r"(\d{8}T\d{6}Z)-([a-z2-7]{8})")
_START = "%Y%m%dT%H%M%SZ"


class SessionFolder(msgspec.Struct, frozen=True):
    """A session's folder, with the id and the start that its name states."""

    path: Path
    session_id: str
    start: datetime  # UTC, to the second


def new_session_folder(root: Path, start_utc_ns: int, session_id: str) -> Path:
    """Return the path of a new session's folder. The writer creates it. Names sort by start."""
    assert _ID.fullmatch(session_id), session_id
    start = datetime.fromtimestamp(start_utc_ns // 1_000_000_000, UTC)
    return root / f"{start.strftime(_START)}-{session_id}"


def is_session_name(name: str) -> bool:
    """Return True if a folder's name has the form `<UTC start>-<session id>`."""
    return _NAME.fullmatch(name) is not None


def session_id_of(name: str) -> str:
    """Return the session's id in the name of its folder, or "" for another name."""
    match = _NAME.fullmatch(name)
    return "" if match is None else match[2]


def list_sessions(root: Path) -> list[SessionFolder]:
    """Return the sessions under a root, by start. Other files and folders are ignored."""
    if not root.is_dir():
        return []
    named = [(path, match) for path in sorted(root.iterdir()) if (match := _NAME.fullmatch(path.name))]
    return [
        SessionFolder(path, match[2], start)
        for path, match in named
        if path.is_dir() and (start := _parse_start(match[1])) is not None
    ]


def list_named_journals(root: Path) -> list[Path]:
    """Return the journals under a root whose folders have other names. They have no id, and retention ignores them."""
    if not root.is_dir():
        return []
    return [
        path
        for path in sorted(root.iterdir())
        if not is_session_name(path.name) and is_folder(path) and has_segments(path)
    ]


def _parse_start(text: str) -> datetime | None:
    """Return the start in a folder's name, or None if it is not a date."""
    try:
        return datetime.strptime(text, _START).replace(tzinfo=UTC)
    except ValueError:
        return None


def is_folder(path: Path) -> bool:
    """Return True if a path is that of a folder; no text of a user is an error."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long or contains a zero byte
        return False


def find_session(root: Path, path_or_id: str) -> Path:
    """Return the folder of a session.

    Args:
        root: The folder of all sessions.
        path_or_id: The session's path, its folder's name, its id, or the id's first characters.

    Raises:
        NotAJournalError: The path is a folder without a journal.
        UnknownSessionError: No session matches.
        AmbiguousSessionError: Several sessions match.
    """
    path = Path(path_or_id)
    if is_folder(path):
        if not has_segments(path) and not (path / CHECKSUMS).exists():  # SHA256SUMS proves that there were segments
            raise no_journal(path)
        return path
    return find_by_name(root, path_or_id)


def find_by_name(root: Path, path_or_id: str) -> Path:
    """Return the folder under a root that has a name or an id. A text of a record never leads to another folder.

    Raises:
        UnknownSessionError: No session matches.
        AmbiguousSessionError: Several sessions match.
    """
    sessions = list_sessions(root)
    matches = [session for session in sessions if path_or_id and path_or_id in (session.session_id, session.path.name)]
    matches = matches or [session for session in sessions if path_or_id and session.session_id.startswith(path_or_id)]
    if not matches and path_or_id in {path.name for path in list_named_journals(root)}:
        return root / path_or_id
    if not matches:
        raise UnknownSessionError(
            f"no session {path_or_id!r} among the {len(sessions)} in {root}, and no folder of that name."
            if root.is_dir()
            else f"no session {path_or_id!r}: there is no folder {root}."
        )
    if len(matches) > 1:
        names = ", ".join(session.path.name for session in matches)
        raise AmbiguousSessionError(
            f"{path_or_id!r} matches {len(matches)} sessions: {names}. What to do: give more characters of the id."
        )
    return matches[0].path
