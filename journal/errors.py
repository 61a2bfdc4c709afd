"""What can go wrong with a journal, by whose fault it is. Texts are for people: what, where, what to do.

JournalError
    JournalFailed      the disk refused a write or a sync: final for this writer
    JournalBehind      the disk is slower than the session: too much waits in memory
    JournalLocked      another process writes this journal
    NotAJournal        the folder holds no journal
    DamagedJournal     bytes that were once on stable storage are not what was written
    UnknownSession     no session goes by that name
    AmbiguousSession   several do
    CaptureRefused     a file of another tool that cannot be imported as asked
      DamagedCapture   it can be read up to some line only
    BundleRefused      a bundle that cannot be made as asked
    ExportRefused      a file that is not written: it is there already, or of no known form
    ArchiveRefused     an archive that cannot be written or read as asked
    ArchiveFailed      the place of an archive, or the way to it, failed us
    DamagedArchive     an archive's bytes are not what was written
"""

from pathlib import Path


class JournalError(Exception):
    """Anything a journal refuses, for reasons that lie outside this program."""


class JournalFailedError(JournalError):
    """A write or a sync failed. The kernel may have dropped the pages, so a retry could only pretend (fsyncgate)."""


class JournalBehindError(JournalError):
    """More waits in memory than the stated bound. The step that met the bound was not taken."""


class JournalLockedError(JournalError):
    pass


class NotAJournalError(JournalError):
    pass


class DamagedJournalError(JournalError):
    def __init__(
        self, path: Path, where: str, remedy: str = "restore this file from a copy; nothing was changed"
    ) -> None:
        super().__init__(f"{path}: {where}. What to do: {remedy}.")
        self.path = path
        self.where = where
        self.remedy = remedy


class UnknownSessionError(JournalError):
    pass


class AmbiguousSessionError(JournalError):
    pass


class CaptureRefusedError(JournalError):
    pass


class DamagedCaptureError(CaptureRefusedError):
    """The lines before `line` were good."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        self.said = f"{path}: line {line}: {what}"
        super().__init__(
            f"{self.said}. What to do: fetch the file again, or keep what comes before that line with --partial."
        )


class BundleRefusedError(JournalError):
    pass


class ExportRefusedError(JournalError):
    pass


class ArchiveRefusedError(JournalError):
    pass


class ArchiveFailedError(JournalError):
    pass


class DamagedArchiveError(JournalError):
    pass
