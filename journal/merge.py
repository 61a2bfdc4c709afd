"""Merging of a session's small sealed segments into few large ones, with the same rows and the same chain.

A merged segment gets the name of its first part and keeps the content hash of every part, so the chain stays
verifiable. Until its name is on stable storage the small segments are the authority. `recover` or the next merge
finishes an interrupted one. Readers continue, because an open file outlives its name.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow as pa

from journal.arrow_files import ArrowSource
from journal.checksums import CHECKSUMS, read_checksums
from journal.disk import Disk, RealDisk, read_all
from journal.errors import DamagedJournalError, JournalFailedError, no_journal
from journal.footer import SCHEMA_VERSION, Footer
from journal.recover import finish_merge, superseded, unlink_merged
from journal.seal import write_sealed
from journal.segments import SealedSegment, first_seqs, plain_batch, sealed_name

_CHUNK_BYTES = 1 << 20
MERGED_BYTES_MAX = 512 * 1024 * 1024  # total size of the files that are merged into one


class Merged(msgspec.Struct, frozen=True):
    """The outcome of `merge`."""

    before: int  # segments
    after: int
    chain: str  # the session root, which is unchanged


def merge(folder: Path, *, bytes_max: int = MERGED_BYTES_MAX, disk: Disk | None = None) -> Merged:
    """Merge the sealed segments of a session into files of up to `bytes_max`.

    Raises:
        JournalLockedError: A writer is at work.
        NotAJournalError: The folder contains no journal.
        DamagedJournalError: Some rows are damaged. Nothing was changed.
        JournalFailedError: A segment is open, the journal is a slice, or the disk failed.
    """
    if disk is None:
        if not folder.is_dir():
            raise no_journal(folder)
        disk = RealDisk(folder)
    try:
        return _merge(disk, bytes_max)
    except DamagedJournalError:
        _drop_temporary(disk)
        raise
    except OSError as error:
        raise JournalFailedError(
            f"{folder}: the disk failed ({error}). What to do: repair the disk, then run the merge again."
        ) from error
    finally:
        disk.release()


def _merge(disk: Disk, bytes_max: int) -> Merged:
    names = disk.names()
    if opened := first_seqs(names, "open"):
        raise JournalFailedError(
            f"{disk.folder}: {len(opened)} segments are not sealed. What to do: recover this session first, "
            "with verbatim recover."
        )
    footers = {seq: _open_sealed(disk, seq).footer for seq in first_seqs(names, "parquet")}
    if not footers:
        raise no_journal(disk.folder)
    if any(footer.bundled_from for footer in footers.values()):
        raise JournalFailedError(f"{disk.folder} is a slice of a session, which cannot be merged.")
    unfinished = superseded(footers)
    _refuse_damage(disk, footers.keys() - unfinished.values())
    _drop_temporary(disk)
    finish_merge(disk, unfinished)
    kept = [footer for seq, footer in sorted(footers.items()) if seq not in unfinished]
    sizes = {footer.first_seq: _size(disk, footer.first_seq) for footer in kept}
    groups = list(_groups(kept, sizes, bytes_max))
    for group in groups:
        if len(group) > 1:
            _merge_group(disk, group)
    return Merged(len(kept), len(groups), kept[-1].chain)


def _refuse_damage(disk: Disk, seqs: Iterable[int]) -> None:
    """Check the files against SHA256SUMS, because a merged file gets a new checksum that would hide their damage."""
    if CHECKSUMS not in disk.names():
        return
    try:
        known = read_checksums(read_all(disk.open_reader(CHECKSUMS)).decode())
    except ValueError as error:
        raise DamagedJournalError(
            disk.folder / CHECKSUMS, str(error), "list all problems with verbatim verify"
        ) from None
    for name in sorted(known.keys() - set(disk.names())):
        raise DamagedJournalError(disk.folder, f"{CHECKSUMS} names {name}, which is missing")
    for name in map(sealed_name, sorted(seqs)):
        if name in known and _sha256(disk, name) != known[name]:
            raise DamagedJournalError(disk.folder / name, f"its bytes do not have the checksum in {CHECKSUMS}")


def _sha256(disk: Disk, name: str) -> str:
    digest, reader, at = hashlib.sha256(), disk.open_reader(name), 0
    try:
        while chunk := reader.read_at(at, _CHUNK_BYTES):
            digest.update(chunk)
            at += len(chunk)
    finally:
        reader.close()
    return digest.hexdigest()


def _size(disk: Disk, seq: int) -> int:
    reader = disk.open_reader(sealed_name(seq))
    try:
        return reader.size
    finally:
        reader.close()


def _drop_temporary(disk: Disk) -> None:
    """Remove the temporary files of an interrupted merge or seal."""
    for name in disk.names():
        if name.endswith(".tmp"):
            disk.unlink(name)


def _open_sealed(disk: Disk, seq: int) -> SealedSegment:
    name = sealed_name(seq)
    return SealedSegment(disk.folder / name, pa.PythonFile(ArrowSource(disk.open_reader(name)), mode="r"))


def _groups(footers: Sequence[Footer], sizes: dict[int, int], bytes_max: int) -> Iterator[list[Footer]]:
    group: list[Footer] = []
    size = 0
    for footer in footers:
        if group and size + sizes[footer.first_seq] > bytes_max:
            yield group
            group, size = [], 0
        group.append(footer)
        size += sizes[footer.first_seq]
    yield group


def _merge_group(disk: Disk, group: Sequence[Footer]) -> None:
    for before, after in pairwise(group):
        if before.last_seq + 1 != after.first_seq or after.prev_chain != before.chain:
            raise DamagedJournalError(
                disk.folder / sealed_name(after.first_seq), "it does not continue the segment before it"
            )
    first, last = group[0], group[-1]

    def footer(_content: str) -> Footer:
        parts = tuple(part for member in group for part in member.parts)
        combined = msgspec.structs.replace(
            last, first_seq=first.first_seq, prev_chain=first.prev_chain, parts=parts, schema_version=SCHEMA_VERSION
        )
        if combined.computed_chain() != combined.chain:
            raise DamagedJournalError(disk.folder, "the chain over the segments does not follow from their contents")
        return combined

    merged = {member.first_seq: first.first_seq for member in group[1:]}
    write_sealed(
        disk,
        first.first_seq,
        (plain_batch(batch) for member in group for batch in _open_sealed(disk, member.first_seq).batches()),
        footer,
        instead_of=[sealed_name(seq) for seq in merged],
    )
    unlink_merged(disk, merged)
