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


class JournalFailed(JournalError):  # noqa: N818 - the name says what happened
    """A write or a sync failed. The kernel may have dropped the pages, so a retry could only pretend (fsyncgate)."""


class JournalBehind(JournalError):  # noqa: N818 - the name says what happened
    """More waits in memory than the stated bound. The step that met the bound was not taken."""


class JournalLocked(JournalError):  # noqa: N818 - the name says what happened
    pass


class NotAJournal(JournalError):  # noqa: N818 - the name says what happened
    pass


class DamagedJournal(JournalError):  # noqa: N818 - the name says what happened
    def __init__(
        self, path: Path, where: str, remedy: str = "restore this file from a copy; nothing was changed"
    ) -> None:
        super().__init__(f"{path}: {where}. What to do: {remedy}.")
        self.path = path
        self.where = where
        self.remedy = remedy


class UnknownSession(JournalError):  # noqa: N818 - the name says what happened
    pass


class AmbiguousSession(JournalError):  # noqa: N818 - the name says what happened
    pass


class CaptureRefused(JournalError):  # noqa: N818 - the name says what happened
    pass


class DamagedCapture(CaptureRefused):
    """The lines before `line` were good."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        self.said = f"{path}: line {line}: {what}"
        super().__init__(
            f"{self.said}. What to do: fetch the file again, or keep what comes before that line with --partial."
        )


class BundleRefused(JournalError):  # noqa: N818 - the name says what happened
    pass


class ExportRefused(JournalError):  # noqa: N818 - the name says what happened
    pass


class ArchiveRefused(JournalError):  # noqa: N818 - the name says what happened
    pass


class ArchiveFailed(JournalError):  # noqa: N818 - the name says what happened
    pass


class DamagedArchive(JournalError):  # noqa: N818 - the name says what happened
    pass
