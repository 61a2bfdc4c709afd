"""Retention: the oldest sessions under a root are removed, each as a whole.

A session stays while it is being written, if it is the newest, and if it is the newest of its line, because the next
session of the line reads its last state. Sessions of one line follow each other (for the engine: sessions of one
account and venue). The caller derives the line and the previous session from the SESSION record. Other records are not
read.
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

PRUNED_SUFFIX = ".forgotten"  # renames a folder before its removal, so that no reader treats it as a session


class SessionLineage(msgspec.Struct, frozen=True):
    """The place of a session among others, as its SESSION record states it."""

    line: str | None  # None: no session continues it
    previous: str = ""  # the id of the session before it
    previous_seq: int = -1  # the last record of that session
    previous_chain: str = ""


class Anchor(msgspec.Struct, frozen=True):
    """The first session that remains of a line. Its SESSION record proves the chain of the removed ones."""

    path: Path
    previous: str
    last_seq: int
    chain: str


class PruneCandidate(msgspec.Struct, frozen=True):
    """A session that may be removed."""

    path: Path
    bytes: int
    written_ns: int  # wall clock, when it was written last


class KeptSession(msgspec.Struct, frozen=True):
    """A session that age or size would remove, and the reason why it stays."""

    path: Path
    why: str


class PruneReport(msgspec.Struct, frozen=True):
    """The plan of a pruning. Its fields are keys of `verbatim prune --json`."""

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
    lineage: SessionLineage | None = None
    keep_reason: str = ""


def plan_pruning(
    root: Path,
    lineage_of: Callable[[Record], SessionLineage],
    *,
    older_than_s: float | None = None,
    keep_bytes: int | None = None,
    reason_not_archived: Callable[[Path], str] | None = None,
) -> PruneReport:
    """Choose the sessions to remove. Changes nothing.

    Sessions older than `older_than_s` go, then the oldest until `keep_bytes` are left.

    Args: root: The folder of all sessions. lineage_of: Reads a session's place among others from its SESSION record.
        older_than_s: Age since the last write, in seconds. None: age does not matter. keep_bytes: Total size to keep.
        None: size does not matter. reason_not_archived: Returns why a session's archive cannot replace it, "" if it
        can. None: no archive is required.

    Raises:
        JournalFailedError: A session's files cannot be listed.
    """
    try:
        sessions = [_inspect_session(folder, lineage_of) for folder in list_sessions(root)]
    except OSError as error:
        raise JournalFailedError(f"{root} cannot be read: {error}.") from error
    _keep_the_newest(sessions)
    total = left = sum(session.bytes for session in sessions)
    before_ns = None if older_than_s is None else time.time_ns() - int(older_than_s * 1e9)
    going, kept = [], []
    for session in sorted(sessions, key=lambda session: session.written_ns):
        is_old = before_ns is not None and session.written_ns < before_ns
        if not is_old and (keep_bytes is None or left <= keep_bytes):
            continue
        why = session.keep_reason or ("" if reason_not_archived is None else reason_not_archived(session.folder.path))
        if why:
            kept.append(KeptSession(session.folder.path, why))
            continue
        going.append(session)
        left -= session.bytes
    return PruneReport(
        going=tuple(PruneCandidate(session.folder.path, session.bytes, session.written_ns) for session in going),
        kept=tuple(kept),
        anchors=tuple(_anchors(sessions, going)),
        bytes_before=total,
        bytes_after=left,
        sessions_after=len(sessions) - len(going),
    )


def _inspect_session(folder: SessionFolder, lineage_of: Callable[[Record], SessionLineage]) -> _Session:
    session = _Session(folder, 0, 0)
    for path in folder.path.iterdir():
        with suppress(FileNotFoundError):  # an open segment was sealed meanwhile
            stat = path.lstat()
            session.bytes += stat.st_size
            is_segment = first_seqs([path.name], "open") or first_seqs([path.name], "parquet")
            if is_segment:  # readers write caches beside them at any time
                session.written_ns = max(session.written_ns, stat.st_mtime_ns)
    session.written_ns = session.written_ns or folder.path.stat().st_mtime_ns
    if folder.path.is_symlink():
        session.keep_reason = "its folder is a symbolic link"
    elif is_locked(folder.path):
        session.keep_reason = "it is being written"
    try:
        session.lineage = lineage_of(Journal.open(folder.path).session_record())
    except NotAJournalError:
        session.lineage = SessionLineage(None)  # it ended before its first record was on disk
    except (JournalError, msgspec.MsgspecError):
        session.keep_reason = session.keep_reason or "its SESSION record cannot be read, so its line is unknown"
    return session


def _keep_the_newest(sessions: Sequence[_Session]) -> None:
    """Set the reason to keep the newest session of each line, and the newest of all."""
    lines = set()
    for session in reversed(sessions):  # by name, as a starting session searches for the one to continue
        line = None if session.lineage is None else session.lineage.line
        if line is not None and line not in lines:
            lines.add(line)
            session.keep_reason = (
                session.keep_reason or f"it is the newest of {line}, and the next session continues it"
            )
    if sessions:
        newest = max(sessions, key=lambda session: session.written_ns)
        newest.keep_reason = newest.keep_reason or "it is the newest"


def _anchors(sessions: Sequence[_Session], going: Sequence[_Session]) -> list[Anchor]:
    removed = {session.folder.session_id for session in going}
    return [
        Anchor(
            session.folder.path, session.lineage.previous, session.lineage.previous_seq, session.lineage.previous_chain
        )
        for session in sessions
        if session.lineage is not None
        and session.lineage.previous in removed
        and session.folder.session_id not in removed
    ]


def prune(root: Path, chosen: PruneReport) -> list[KeptSession]:
    """Remove the sessions of a plan, and return those that stay because a writer has begun to write them.

    Raises:
        JournalFailedError: The disk refused.
    """
    kept = []
    try:
        _remove_pruned(root)  # left by an interrupted call: they would block the rename of a session with that name
        for session in chosen.going:
            try:
                disk = RealDisk(session.path)
            except JournalLockedError:
                kept.append(KeptSession(session.path, "it is being written"))
                continue
            try:
                session.path.rename(session.path.with_name(session.path.name + PRUNED_SUFFIX))
            finally:
                disk.release()
        sync_folder(root)
        _remove_pruned(root)
        sync_folder(root)
    except OSError as error:
        raise JournalFailedError(f"{root}: {error}. What to do: fix the cause, then run the command again.") from error
    return kept


def _remove_pruned(root: Path) -> None:
    for path in root.glob(f"*{PRUNED_SUFFIX}"):
        if is_session_name(path.name.removesuffix(PRUNED_SUFFIX)):
            shutil.rmtree(path)
