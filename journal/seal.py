"""From an open segment to a sealed one: write under another name, sync, read back, compare, rename, sync, unlink.

Until the last of these the open segment is the authority, so a crash between any two loses nothing.
The same code closes a session, rolls a segment and recovers one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from journal.arrow_files import Sink, Source
from journal.checksums import note_checksum
from journal.content_hash import ContentHash, blocks, link
from journal.disk import Disk
from journal.errors import DamagedJournalError
from journal.footer import Footer, Part
from journal.frames import Tail, Walk
from journal.segments import (
    GROUP_ROWS,
    LEVEL,
    RECOVERY_LEVEL,
    Sealed,
    first_line,
    is_whole,
    open_name,
    parquet_writer,
    sealed_name,
)

if TYPE_CHECKING:  # who signs nothing need not load the cryptography
    from journal.signing import Signer


def seal(
    disk: Disk,
    first_seq: int,
    prev_chain: str,
    *,
    final: bool,
    dropped: Tail | None = None,
    signer: "Signer | None" = None,
) -> Footer:
    """Seal the whole prefix of an open segment. Without `dropped` every byte of it must be whole."""
    opened = _Opened(disk, first_seq)

    def footer(content: str) -> Footer:
        opened.refuse_rest(dropped)
        chain = link(prev_chain, content)
        last_seq = opened.walk.next_seq - 1
        return Footer(
            first_seq=first_seq,
            last_seq=last_seq,
            parts=(Part(last_seq, content),),
            prev_chain=prev_chain,
            chain=chain,
            final=final,
            dropped_bytes=dropped.torn_bytes if dropped else 0,
            dropped_rows=dropped.torn_rows if dropped else 0,
            signer=signer.public_key if signer else "",
            signature=signer.sign(chain, final=final) if signer else "",
        )

    try:
        sealed = put_sealed(
            disk, first_seq, opened.batches(), footer, level=LEVEL if dropped is None else RECOVERY_LEVEL
        )
    finally:
        opened.close()
    disk.sync_folder()
    disk.unlink(open_name(first_seq))
    return sealed


class _Opened:
    """The open segment that is to be sealed."""

    def __init__(self, disk: Disk, first_seq: int) -> None:
        self.path = disk.folder / open_name(first_seq)
        self._reading = disk.reading(open_name(first_seq))
        self.walk = Walk(self._reading, first_seq)

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for frame in self.walk:
                yield frame.batch()
        except pa.ArrowException as error:
            where = f"a frame before byte {self.walk.offset} is unreadable ({first_line(error)})"
            raise DamagedJournalError(self.path, where) from error

    def refuse_rest(self, dropped: Tail | None) -> None:
        if self.walk.offset != (self.walk.size if dropped is None else dropped.offset):
            raise DamagedJournalError(self.path, f"the frame at byte {self.walk.offset} is not what was written")

    def close(self) -> None:
        self._reading.close()


def put_sealed(
    disk: Disk,
    first_seq: int,
    batches: Iterable[pa.RecordBatch],
    footer: Callable[[str], Footer],
    *,
    level: int = LEVEL,
    instead_of: Collection[str] = (),
) -> Footer:
    """Write rows as the sealed segment `first_seq`, under that name once it reads as what was written.

    `footer` gets the hash over all rows. To sync the folder, and to unlink what it stands `instead_of`, is the caller's.
    """
    sealed, temporary = sealed_name(first_seq), f"{first_seq:012d}.tmp"
    disk.create(temporary)
    written, digest = Sink(disk, temporary), ContentHash()
    with parquet_writer(pa.PythonFile(written, mode="w"), level) as parquet:
        for block in blocks(batches):  # block by block: memory does not grow with the segment
            digest.add(block)
            parquet.write_batch(block, row_group_size=GROUP_ROWS)
        said = footer(digest.hexdigest())
        parquet.add_key_value_metadata(said.to_metadata())
    disk.sync(temporary)
    disk.close(temporary)
    _compare(disk, temporary, said)
    disk.rename(temporary, sealed)
    if instead_of:  # while they are there they tell of a merge; without their lines, only its new name does
        disk.sync_folder()
    note_checksum(disk, sealed, written.checksum, without=instead_of)
    return said


def _compare(disk: Disk, temporary: str, footer: Footer) -> None:
    """What was just written must read as what was in the frames: the open segment is about to go."""
    back = Source(disk.reading(temporary))
    try:
        sealed = Sealed(disk.folder / temporary, pa.PythonFile(back, mode="r"))
        same = sealed.footer == footer and is_whole(sealed)
    finally:
        back.close()
    if not same:
        raise DamagedJournalError(
            disk.folder / temporary, "the disk gave back other bytes than were written", "do not trust this disk"
        )
