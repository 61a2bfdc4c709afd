"""Session folders under a root: how they are named, and how one is found by path or id.

The id is drawn by whoever starts a session, never here.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from journal.checksums import CHECKSUMS
from journal.errors import AmbiguousSessionError, NotAJournalError, UnknownSessionError
from journal.recover import has_segments

_ID = re.compile(r"[a-z2-7]{8}")  # base32 in lower case
_NAME = re.compile(r"(\d{8}T\d{6}Z)-([a-z2-7]{8})")
_START = "%Y%m%dT%H%M%SZ"


class SessionFolder(msgspec.Struct, frozen=True):
    path: Path
    session_id: str
    start: datetime  # UTC, to the second


def new_session_folder(root: Path, start_utc_ns: int, session_id: str) -> Path:
    """The folder's name, so that names sort by start. The writer makes the folder."""
    assert _ID.fullmatch(session_id), session_id
    start = datetime.fromtimestamp(start_utc_ns // 1_000_000_000, UTC)
    return root / f"{start.strftime(_START)}-{session_id}"


def is_session_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def list_sessions(root: Path) -> list[SessionFolder]:
    """In order of their start. Other folders and files under the root are left alone."""
    if not root.is_dir():
        return []
    found = [(path, match) for path in sorted(root.iterdir()) if (match := _NAME.fullmatch(path.name))]
    return [
        SessionFolder(path, match[2], start)
        for path, match in found
        if path.is_dir() and (start := _start(match[1])) is not None
    ]


def list_others(root: Path) -> list[Path]:
    """Folders under the root that hold a journal and bear a name of their own: nobody finds them by an id, or forgets them by age."""
    if not root.is_dir():
        return []
    return [
        path
        for path in sorted(root.iterdir())
        if not is_session_name(path.name) and _is_folder(path) and has_segments(path)
    ]


def _start(text: str) -> datetime | None:
    """None where no calendar has it: then the folder is somebody else's."""
    try:
        return datetime.strptime(text, _START).replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name longer than names may be, or with a zero byte in it
        return False


def find_session(root: Path, path_or_id: str) -> Path:
    """The folder of a session, named by its path, its folder's name, its id or the id's first characters."""
    path = Path(path_or_id)
    if _is_folder(path):
        if not has_segments(path) and not (path / CHECKSUMS).exists():  # with it, segments were there
            raise NotAJournalError(f"{path} holds no journal. What to do: name the folder of a session.")
        return path
    sessions = list_sessions(root)
    fits = [each for each in sessions if path_or_id and path_or_id in (each.session_id, each.path.name)]
    fits = fits or [each for each in sessions if path_or_id and each.session_id.startswith(path_or_id)]
    if not fits and path_or_id in {path.name for path in list_others(root)}:
        return root / path_or_id
    if not fits:
        raise UnknownSessionError(
            f"no session {path_or_id!r} among the {len(sessions)} in {root}, and no such folder."
            if root.is_dir()
            else f"no session {path_or_id!r}: there is no folder {root}, and none of that name."
        )
    if len(fits) > 1:
        names = ", ".join(each.path.name for each in fits)
        raise AmbiguousSessionError(
            f"{path_or_id!r} fits {len(fits)} sessions: {names}. What to do: write more of the id."
        )
    return fits[0].path
