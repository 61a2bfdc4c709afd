"""The journal of an archived session, read where it is: footers, columns and row groups on demand, no copy.

Pages are read with their checksums. `fetch` and `archive_cache` copy a whole session and compare every byte.
"""

from collections.abc import Sequence
from pathlib import Path

from journal.archive_location import ArchiveLocation
from journal.errors import DamagedJournalError
from journal.reader import Journal
from journal.segments import SealedSegment, first_line, first_seqs, sealed_name


class ArchivedJournal(Journal):
    """A sealed session's journal at the location of its archive.

    Raises:
        DamagedJournalError: A segment is missing or damaged.
    """

    def __init__(self, place: ArchiveLocation, names: Sequence[str], caches: Path) -> None:
        """Open the last segment's footer; the others are opened when a reader needs them.

        Args:
            place: The archive of the session.
            names: The files that its manifest names.
            caches: The folder of this machine that gets what is decoded from it. It may be missing.
        """
        self.folder = caches
        self._place = place
        self._begins, self._open = {}, {}
        self._seqs = self._sealed_seqs = first_seqs(names, "parquet")
        if not self._seqs:
            raise DamagedJournalError(Path(place.display_uri), "its manifest names no segment")
        self.first_seq = self._seqs[0]
        self.last_seq, self.closed = self._end()
        self._refuse_damage()

    def _segment_from(self, first_seq: int) -> SealedSegment | None:
        if first_seq not in self._sealed_seqs:
            return None
        name = sealed_name(first_seq)
        location = self._place.child(name)
        try:
            return SealedSegment(self.folder / name, location.filesystem.open_input_file(location.path))
        except OSError as error:
            raise DamagedJournalError(
                Path(location.display_uri), f"it cannot be opened ({first_line(error)})", "archive the session again"
            ) from error

    @property
    def segment_names(self) -> list[str]:
        """The names of its files, at its location."""
        return [sealed_name(seq) for seq in self._seqs]

    def sealed_paths(self) -> list[Path]:
        """Return no path: no file of it is on this machine."""
        return []
