"""Errors of a journal. Their messages are for people: what happened, to which file, what to do.

JournalError
    JournalFailedError      the disk refused a write or a sync: final for this writer
    JournalBehindError      the disk is slower than the session: too many records wait in memory
    JournalLockedError      another process writes this journal
    NotAJournalError        the folder contains no journal
      NotBegunError         the folder is that of a session whose first segment is not there yet
    DamagedJournalError     bytes that were on stable storage differ from the bytes written
    UnknownSessionError     no session matches the name
    AmbiguousSessionError   several sessions match the name
    CaptureRefusedError     another tool's file cannot be imported with these options
      DamagedLineError      it can be read up to some line only
    BundleRefusedError      a bundle cannot be made with these options
    ExportRefusedError      the target of an export exists or has an unknown format
    ArchiveRefusedError     an archive cannot be written or read as requested
    ArchiveFailedError      reading or writing an archive's location failed
    DamagedArchiveError     an archive's bytes differ from the bytes written
    DamagedCatalogueError   the catalogue of an archive cannot be read
"""

import re
from pathlib import Path
from typing import Self

_SESSION = re.compile(r"\d{8}T\d{6}Z-([a-z2-7]{8})")  # journal/sessions.py makes these names


class JournalError(Exception):
    """Base of all errors whose cause is outside this program."""


class JournalFailedError(JournalError):
    """A write or a sync failed.

    Nothing is retried, because the kernel may have dropped the pages and a retry would only appear to succeed
    (fsyncgate).
    """

    @classmethod
    def after(cls, failure: BaseException | None, folder: Path, durable_seq: int) -> Self:
        """Return the error for callers that come after the writer's `failure`."""
        error = cls(
            f"{folder}: {'the disk failed' if isinstance(failure, OSError) else 'writing failed'} "
            f"({failure}), so nothing more is written. "
            f"Durable up to record {durable_seq}. What to do: repair the disk, then recover this session."
        )
        error.__cause__ = failure
        return error


class JournalBehindError(JournalError):
    """Records that wait for the disk exceed the limit. The step that exceeded it was refused."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        super().__init__(
            f"{folder}: more than {bytes_max} bytes wait for the disk, which is too slow for this session. "
            "What to do: end the session, then find the cause of the slow disk."
        )


class JournalLockedError(JournalError):
    """Another process is writing this journal."""


class NotAJournalError(JournalError):
    """The folder contains no journal."""


class DamagedJournalError(JournalError):
    """Bytes of a journal differ from the bytes that were written."""

    def __init__(
        self, path: Path, where: str, remedy: str = "restore this file from a copy; nothing was changed"
    ) -> None:
        super().__init__(f"{path}: {where}. What to do: {remedy}.")
        self.path = path
        self.where = where
        self.remedy = remedy


class UnknownSessionError(JournalError):
    """No session matches the name."""


class AmbiguousSessionError(JournalError):
    """Several sessions match the name."""


class CaptureRefusedError(JournalError):
    """A capture cannot be imported with the options given."""


class DamagedLineError(CaptureRefusedError):
    """A capture is damaged at `line`. All lines before it are good."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        self.summary = f"{path}: line {line}: {problem}"
        super().__init__(
            f"{self.summary}. What to do: fetch the file again, or import the lines before that one with --partial."
        )


class BundleRefusedError(JournalError):
    """A bundle cannot be made with the options given."""


class ExportRefusedError(JournalError):
    """The target of an export exists or has an unknown format."""


class ArchiveRefusedError(JournalError):
    """An archive cannot be written or read as requested."""


class ArchiveFailedError(JournalError):
    """Reading or writing an archive's location failed."""


class DamagedArchiveError(JournalError):
    """Bytes of an archive differ from the bytes that were written."""


class DamagedCatalogueError(JournalError):
    """The catalogue of an archive is damaged, or another program wrote it."""


class NotBegunError(NotAJournalError):
    """A session's folder has no segment yet."""


def no_journal(folder: Path) -> NotAJournalError:
    """Return the error that says that a folder contains no journal. A session's folder is there before its segment."""
    named = _SESSION.fullmatch(folder.name)
    if named is not None and folder.is_dir():
        return NotBegunError(f"session {named[1]} has just begun and has no segment yet. What to do: try again.")
    return NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
