"""Files of market data that a venue publishes, for `verbatim download`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class ArchiveFile(NamedTuple):
    """A file of a venue's public archive."""

    path: str  # under the archive's base address
    name: str


class PublicArchive(Protocol):
    """A venue class may have this as `public_archive`: files of market data that the venue publishes."""

    base: str  # the address
    checksum_suffix: str  # behind a file's address: the text with its sha256
    tables: tuple[str, ...]
    intervals: tuple[str, ...]  # of candles

    def files(self, symbol: str, table: str, interval: str, days: Sequence[str]) -> Iterator[ArchiveFile]:
        """Yield the files that hold a table of an instrument on these days, which are dates such as 2024-01-31."""
        ...
