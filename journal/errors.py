"""What can go wrong with a journal, by whose fault it is. Texts are for people: what, where, what to do.

JournalError
    JournalFailedError      the disk refused a write or a sync: final for this writer
    JournalBehindError      the disk is slower than the session: too much waits in memory
    JournalLockedError      another process writes this journal
    NotAJournalError        the folder holds no journal
    DamagedJournalError     bytes that were once on stable storage are not what was written
    UnknownSessionError     no session goes by that name
    AmbiguousSessionError   several do
    CaptureRefusedError     a file of another tool that cannot be imported as asked
      DamagedCaptureError   it can be read up to some line only
    BundleRefusedError      a bundle that cannot be made as asked
    ExportRefusedError      a file that is not written: it is there already, or of no known form
    ArchiveRefusedError     an archive that cannot be written or read as asked
    ArchiveFailedError      the place of an archive, or the way to it, failed us
    DamagedArchiveError     an archive's bytes are not what was written
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
