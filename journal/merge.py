"""Many small sealed segments of a session made few large ones: the same rows, the same chain, the same session root.

A merged segment takes the name of its first and keeps the content hash of each, so the chain over them is proved as
before. Until its name is on stable storage the small ones are the authority; a merge that was cut off is finished by
`recover`, or by the next. Readers at work go on: a file that they have open outlives its name.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow as pa

from journal.arrow_files import Source
from journal.checksums import CHECKSUMS, read_checksums
from journal.disk import Disk, RealDisk, whole
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.footer import SCHEMA_VERSION, Footer
from journal.recover import finish_merge, superseded, unlink_held
from journal.seal import put_sealed
from journal.segments import Sealed, first_seqs, plain_batch, sealed_name

_CHUNK_BYTES = 1 << 20
MERGED_BYTES_MAX = 512 * 1024 * 1024  # of sealed files that become one


class Merged(msgspec.Struct, frozen=True):
    before: int  # segments
    after: int
    chain: str  # the session root, which is as it was


def merge(folder: Path, *, bytes_max: int = MERGED_BYTES_MAX, disk: Disk | None = None) -> Merged:
    """JournalLockedError while a writer lives; NotAJournalError; DamagedJournalError, before anything is changed, where rows are not whole."""
    if disk is None:
        if not folder.is_dir():
            raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
        disk = RealDisk(folder)
    try:
        return _merge(disk, bytes_max)
    except DamagedJournalError:
        _drop_temporary(disk)
        raise
    except OSError as error:
        raise JournalFailedError(
            f"{folder}: the disk failed ({error}). What to do: look after it, then merge anew."
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
    footers = {seq: _sealed(disk, seq).footer for seq in first_seqs(names, "parquet")}
    if not footers:
        raise NotAJournalError(f"{disk.folder} holds no journal. What to do: name the folder of a session.")
    if any(footer.bundled_from for footer in footers.values()):
        raise JournalFailedError(f"{disk.folder} is a slice of a session, and stays as it is.")
    left = superseded(footers)
    _refuse_damage(disk, footers.keys() - left.values())
    _drop_temporary(disk)
    finish_merge(disk, left)
    kept = [footer for seq, footer in sorted(footers.items()) if seq not in left]
    sizes = {footer.first_seq: _size(disk, footer.first_seq) for footer in kept}
    groups = list(_groups(kept, sizes, bytes_max))
    for group in groups:
        if len(group) > 1:
            _merge_group(disk, group)
    return Merged(len(kept), len(groups), kept[-1].chain)


def _refuse_damage(disk: Disk, seqs: Iterable[int]) -> None:
    """A merged file gets a new checksum, so what the old ones tell of must be seen before: nothing would tell of it after."""
    if CHECKSUMS not in disk.names():
        return
    try:
        known = read_checksums(whole(disk.reading(CHECKSUMS)).decode())
    except ValueError as error:
        raise DamagedJournalError(
            disk.folder / CHECKSUMS, str(error), "see the whole of it with verbatim verify"
        ) from None
    for name in sorted(known.keys() - set(disk.names())):
        raise DamagedJournalError(disk.folder, f"{CHECKSUMS} names {name}, which is missing")
    for name in map(sealed_name, sorted(seqs)):
        if name in known and _sha256(disk, name) != known[name]:
            raise DamagedJournalError(disk.folder / name, f"its bytes have not the checksum in {CHECKSUMS}")


def _sha256(disk: Disk, name: str) -> str:
    digest, reading, at = hashlib.sha256(), disk.reading(name), 0
    try:
        while chunk := reading.at(at, _CHUNK_BYTES):
            digest.update(chunk)
            at += len(chunk)
    finally:
        reading.close()
    return digest.hexdigest()


def _size(disk: Disk, seq: int) -> int:
    reading = disk.reading(sealed_name(seq))
    try:
        return reading.size
    finally:
        reading.close()


def _drop_temporary(disk: Disk) -> None:
    """What a merge, or a seal, that did not come to its end has begun."""
    for name in disk.names():
        if name.endswith(".tmp"):
            disk.unlink(name)


def _sealed(disk: Disk, seq: int) -> Sealed:
    name = sealed_name(seq)
    return Sealed(disk.folder / name, pa.PythonFile(Source(disk.reading(name)), mode="r"))


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
        parts = tuple(part for each in group for part in each.parts)
        found = msgspec.structs.replace(
            last, first_seq=first.first_seq, prev_chain=first.prev_chain, parts=parts, schema_version=SCHEMA_VERSION
        )
        if found.linked() != found.chain:
            raise DamagedJournalError(disk.folder, "the chain over the segments does not follow from their contents")
        return found

    merged = {each.first_seq: first.first_seq for each in group[1:]}
    put_sealed(
        disk,
        first.first_seq,
        (plain_batch(batch) for each in group for batch in _sealed(disk, each.first_seq).batches()),
        footer,
        instead_of=[sealed_name(seq) for seq in merged],
    )
    unlink_held(disk, merged)
