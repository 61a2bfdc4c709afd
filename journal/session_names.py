"""The names of session folders: `<UTC start>-<session id>`. Imports little, since the shell's completion needs it.

The caller that starts a session draws its id.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from journal.reader import Journal

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


def _parse_start(text: str) -> datetime | None:
    """Return the start in a folder's name, or None if it is not a date."""
    try:
        return datetime.strptime(text, _START).replace(tzinfo=UTC)
    except ValueError:
        return None


def is_address(session: str) -> bool:
    """Return True for the URI of an archive, as opposed to a session's path or id."""
    return "://" in session


def is_pattern(text: str) -> bool:
    """Return True if a path or an address has a `*` or a `[`; in a path a `?` too."""
    if is_address(text):
        return any(mark in text.partition("?")[0] for mark in "*[")
    return any(mark in text for mark in "*?[")


def names_several(text: str) -> bool:
    """Return True if a text is a pattern, and no path of this machine has that name."""
    try:
        return is_pattern(text) and not Path(text).exists()
    except (OSError, ValueError):  # a name that is too long or contains a zero byte
        return False


def recorded_session_id(journal: "Journal") -> str:
    """Return the id in a SESSION record, also of an import; without a readable one the folder's name."""
    try:
        body = msgspec.json.decode(journal.session_record().body or "{}", type=dict[str, Any])
    except msgspec.DecodeError:  # the record is of another kind, or another program wrote it
        return journal.folder.name
    return str(body.get("session") or journal.folder.name)
