"""Session folders under a root, and how to find one by path or id. Their names are journal/session_names.py."""

from pathlib import Path

from journal.checksums import CHECKSUMS
from journal.errors import AmbiguousSessionError, UnknownSessionError, no_journal
from journal.recover import has_segments
from journal.session_names import (
    SessionFolder,
    is_session_name,
    list_sessions,
    new_session_folder,
    session_id_of,
)

__all__ = [
    "SessionFolder",
    "find_by_name",
    "find_session",
    "is_folder",
    "is_session_name",
    "list_named_journals",
    "list_sessions",
    "new_session_folder",
    "session_id_of",
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
