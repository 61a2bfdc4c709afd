"""Which sessions under a root may go, oldest first and whole, and their going.

Never one that is being written, never the newest, never the newest of its line: whoever starts the next session of that
line reads its last state. Sessions of one line follow each other (for the engine: of one account and venue); what a line
is, and which session one goes on from, is told by whoever asks, from the SESSION record. Nothing is looked at inside.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from journal.disk import RealDisk, is_locked, sync_folder
from journal.errors import JournalError, JournalFailedError, JournalLockedError, NotAJournalError
from journal.reader import Journal
from journal.record import Record
from journal.segments import first_seqs
from journal.sessions import SessionFolder, is_session_name, list_sessions

FORGOTTEN = ".forgotten"  # ends the name of a folder on its way out: no reader takes it for a session any more


class SessionAbout(msgspec.Struct, frozen=True):
    """What a SESSION record says of its place among the others."""

    line: str | None  # None: nobody goes on from it
    previous: str = ""  # the id of the session before it
    previous_seq: int = -1  # that one's last record
    previous_chain: str = ""


class Anchor(msgspec.Struct, frozen=True):
    """The first session of a line that stays: its SESSION record vouches for what went before it."""

    path: Path
    previous: str
    last_seq: int
    chain: str


class PruneCandidate(msgspec.Struct, frozen=True):
    path: Path
    bytes: int
    written_ns: int  # wall clock, when it was written last


class KeptSession(msgspec.Struct, frozen=True):
    """A session that age or size would let go, and what speaks for it."""

    path: Path
    why: str


class PruneReport(msgspec.Struct, frozen=True):
    going: tuple[PruneCandidate, ...]
    kept: tuple[KeptSession, ...]
    anchors: tuple[Anchor, ...]
    bytes_before: int
    bytes_after: int
    sessions_after: int


class _Session(msgspec.Struct):
    folder: SessionFolder
    bytes: int
    written_ns: int
    about: SessionAbout | None = None
    spoken_for: str = ""


def forgetting(
    root: Path,
    about: Callable[[Record], SessionAbout],
    *,
    older_than_s: float | None = None,
    keep_bytes: int | None = None,
    missing_of: Callable[[Path], str] | None = None,
) -> PruneReport:
    """What would go: whatever was written last longer than `older_than_s` ago, then the oldest until `keep_bytes` are left.

    `missing_of` says why a session's archive cannot stand for it, "" where it can. Changes nothing.
    """
    try:
        sessions = [_looked_at(folder, about) for folder in list_sessions(root)]
    except OSError as error:
        raise JournalFailedError(f"{root} cannot be looked through: {error}.") from error
    _speak_for_the_newest(sessions)
    total = left = sum(each.bytes for each in sessions)
    before_ns = None if older_than_s is None else time.time_ns() - int(older_than_s * 1e9)
    going, kept = [], []
    for each in sorted(sessions, key=lambda found: found.written_ns):
        is_old = before_ns is not None and each.written_ns < before_ns
        if not is_old and (keep_bytes is None or left <= keep_bytes):
            continue
        why = each.spoken_for or ("" if missing_of is None else missing_of(each.folder.path))
        if why:
            kept.append(KeptSession(each.folder.path, why))
            continue
        going.append(each)
        left -= each.bytes
    return PruneReport(
        going=tuple(PruneCandidate(each.folder.path, each.bytes, each.written_ns) for each in going),
        kept=tuple(kept),
        anchors=tuple(_anchors(sessions, going)),
        bytes_before=total,
        bytes_after=left,
        sessions_after=len(sessions) - len(going),
    )


def _looked_at(folder: SessionFolder, about: Callable[[Record], SessionAbout]) -> _Session:
    found = _Session(folder, 0, 0)
    for path in folder.path.iterdir():
        with suppress(FileNotFoundError):  # sealed just now
            stat = path.lstat()
            found.bytes += stat.st_size
            if first_seqs([path.name], "open") or first_seqs(
                [path.name], "parquet"
            ):  # readers leave caches beside them
                found.written_ns = max(found.written_ns, stat.st_mtime_ns)
    found.written_ns = found.written_ns or folder.path.stat().st_mtime_ns
    if folder.path.is_symlink():
        found.spoken_for = "its folder lies elsewhere: this is a link"
    elif is_locked(folder.path):
        found.spoken_for = "it is being written"
    try:
        found.about = about(Journal.open(folder.path).session_record())
    except NotAJournalError:
        found.about = SessionAbout(None)  # it ended before its first record was on disk
    except (JournalError, msgspec.MsgspecError):
        found.spoken_for = found.spoken_for or "its SESSION record cannot be read, so nobody knows who needs it"
    return found


def _speak_for_the_newest(sessions: Sequence[_Session]) -> None:
    lines = set()
    for each in reversed(sessions):  # by their names, as a start looks for the one it goes on from
        line = None if each.about is None else each.about.line
        if line is not None and line not in lines:
            lines.add(line)
            each.spoken_for = each.spoken_for or f"it is the newest of {line}, and the next session goes on from it"
    if sessions:
        newest = max(sessions, key=lambda found: found.written_ns)
        newest.spoken_for = newest.spoken_for or "it is the newest"


def _anchors(sessions: Sequence[_Session], going: Sequence[_Session]) -> list[Anchor]:
    gone = {each.folder.session_id for each in going}
    return [
        Anchor(each.folder.path, each.about.previous, each.about.previous_seq, each.about.previous_chain)
        for each in sessions
        if each.about is not None and each.about.previous in gone and each.folder.session_id not in gone
    ]


def forget(root: Path, chosen: PruneReport) -> list[KeptSession]:
    """Let them go. Those that somebody began to write meanwhile stay, and are given. JournalFailedError where the disk refuses."""
    kept = []
    try:
        _remove_forgotten(root)  # of a call that was cut off: else a session of that name could not go
        for each in chosen.going:
            try:
                disk = RealDisk(each.path)
            except JournalLockedError:
                kept.append(KeptSession(each.path, "it is being written"))
                continue
            try:
                each.path.rename(each.path.with_name(each.path.name + FORGOTTEN))
            finally:
                disk.release()
        sync_folder(root)
        _remove_forgotten(root)
        sync_folder(root)
    except OSError as error:
        raise JournalFailedError(f"{root}: {error}. What to do: see to it, then forget anew.") from error
    return kept


def _remove_forgotten(root: Path) -> None:
    for path in root.glob(f"*{FORGOTTEN}"):
        if is_session_name(path.name.removesuffix(FORGOTTEN)):
            shutil.rmtree(path)
