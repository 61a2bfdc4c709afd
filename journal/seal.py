"""Sealing of an open segment: write under another name, sync, read back, compare, rename, sync, unlink.

Until the last step the open segment is the authority, so a crash between any two steps loses nothing.
The same code closes a session, rolls a segment and recovers one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from journal.arrow_files import ArrowSink, ArrowSource
from journal.checksums import note_checksum
from journal.content_hash import ContentHash, blocks, next_chain
from journal.disk import Disk
from journal.errors import DamagedJournalError
from journal.footer import Footer, SegmentPart
from journal.frames import FrameWalk, TornTail
from journal.segments import (
    GROUP_ROWS,
    LEVEL,
    RECOVERY_LEVEL,
    SealedSegment,
    first_line,
    is_intact,
    open_name,
    parquet_writer,
    sealed_name,
)

if TYPE_CHECKING:  # a session without signatures does not load the cryptography package
    from journal.signing import Signer


def seal(
    disk: Disk,
    first_seq: int,
    prev_chain: str,
    *,
    final: bool,
    dropped: TornTail | None = None,
    signer: "Signer | None" = None,
) -> Footer:
    """Seal the intact frames of an open segment and unlink it.

    Args:
        disk: The disk with the open segment.
        first_seq: Names the segment.
        prev_chain: The chain value before it.
        final: True if the session ends with it.
        dropped: The torn tail to drop. None: every byte of the segment must be intact.
        signer: Signs the chain value.
    """
    opened = _OpenRows(disk, first_seq)

    def footer(content: str) -> Footer:
        opened.refuse_rest(dropped)
        chain = next_chain(prev_chain, content)
        last_seq = opened.walk.next_seq - 1
        return Footer(
            first_seq=first_seq,
            last_seq=last_seq,
            parts=(SegmentPart(last_seq, content),),
            prev_chain=prev_chain,
            chain=chain,
            final=final,
            dropped_bytes=dropped.torn_bytes if dropped else 0,
            dropped_rows=dropped.torn_rows if dropped else 0,
            signer=signer.public_key if signer else "",
            signature=signer.sign(chain, final=final) if signer else "",
        )

    try:
        sealed = write_sealed(
            disk, first_seq, opened.batches(), footer, level=LEVEL if dropped is None else RECOVERY_LEVEL
        )
    finally:
        opened.close()
    disk.sync_folder()
    disk.unlink(open_name(first_seq))
    return sealed


class _OpenRows:
    """Rows of the open segment to be sealed."""

    def __init__(self, disk: Disk, first_seq: int) -> None:
        self.path = disk.folder / open_name(first_seq)
        self._reader = disk.open_reader(open_name(first_seq))
        self.walk = FrameWalk(self._reader, first_seq)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batch of each frame."""
        try:
            for frame in self.walk:
                yield frame.batch()
        except pa.ArrowException as error:
            where = f"a frame before byte {self.walk.offset} is unreadable ({first_line(error)})"
            raise DamagedJournalError(self.path, where) from error

    def refuse_rest(self, dropped: TornTail | None) -> None:
        """Refuse bytes behind the last frame, except the torn tail to drop."""
        if self.walk.offset != (self.walk.size if dropped is None else dropped.offset):
            raise DamagedJournalError(self.path, f"the frame at byte {self.walk.offset} differs from the bytes written")

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def write_sealed(
    disk: Disk,
    first_seq: int,
    batches: Iterable[pa.RecordBatch],
    footer: Callable[[str], Footer],
    *,
    level: int = LEVEL,
    instead_of: Collection[str] = (),
) -> Footer:
    """Write rows as the sealed segment `first_seq`, which gets that name once it reads back correctly.

    The caller then syncs the folder and unlinks the files in `instead_of`.

    Args:
        disk: The disk to write to.
        first_seq: Names the segment.
        batches: The rows.
        footer: Makes the footer from the hash over all rows.
        level: Compression level of zstd.
        instead_of: Names of the segments that this one replaces.
    """
    sealed, temporary = sealed_name(first_seq), f"{first_seq:012d}.tmp"
    disk.create(temporary)
    written, digest = ArrowSink(disk, temporary), ContentHash()
    with parquet_writer(pa.PythonFile(written, mode="w"), level) as parquet:
        for block in blocks(batches):  # block by block: memory does not grow with the segment
            digest.add(block)
            parquet.write_batch(block, row_group_size=GROUP_ROWS)
        stated = footer(digest.hexdigest())
        parquet.add_key_value_metadata(stated.to_metadata())
    disk.sync(temporary)
    disk.close(temporary)
    _compare_written(disk, temporary, stated)
    disk.rename(temporary, sealed)
    if instead_of:  # their lines of SHA256SUMS go next, so the merged segment's name must be on stable storage
        disk.sync_folder()
    note_checksum(disk, sealed, written.checksum, without=instead_of)
    return stated


def _compare_written(disk: Disk, temporary: str, footer: Footer) -> None:
    """Compare the file just written with the frames' rows, because the open segment is removed next."""
    back = ArrowSource(disk.open_reader(temporary))
    try:
        sealed = SealedSegment(disk.folder / temporary, pa.PythonFile(back, mode="r"))
        same = sealed.footer == footer and is_intact(sealed)
    finally:
        back.close()
    if not same:
        raise DamagedJournalError(
            disk.folder / temporary, "the disk returned other bytes than were written", "do not trust this disk"
        )
