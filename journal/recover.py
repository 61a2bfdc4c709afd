"""Recovery of a journal after a crash: intact frames are sealed, a torn tail is dropped and counted.

Recovery copies and never appends after a tear, so it writes fresh pages even after a failed sync. It checks the whole
folder before it changes anything. Damage to durable records is refused, not repaired.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from journal.checksums import CHECKSUMS, known_checksums, note_checksum, sha256
from journal.content_hash import CHAIN_START, hash_rows, next_chain
from journal.disk import Disk, RealDisk, read_all
from journal.errors import DamagedJournalError, JournalFailedError, no_journal
from journal.footer import Footer
from journal.frames import FrameWalk, TornTail
from journal.seal import seal
from journal.segments import SealedSegment, first_seqs, is_intact, open_name, sealed_name

if TYPE_CHECKING:
    from journal.signing import Signer


class Recovered(msgspec.Struct, frozen=True):
    """The outcome of `recover`."""

    last_seq: int
    chain: str
    dropped_bytes: int  # of the torn tail; the same at every later recovery, since the footer keeps it
    dropped_rows_known: int  # records in whole frames behind the tear
    was_closed: bool  # the session had been closed
    sealed_now: int  # segments that this call sealed


def recover(folder: Path, *, disk: Disk | None = None, signer: "Signer | None" = None) -> Recovered:
    """Seal the intact records of a journal after a crash. A second call changes nothing.

    Args:
        folder: The session's folder.
        disk: The disk to use; None: the real one.
        signer: Signs the segments that are sealed.

    Raises:
        JournalLockedError: A writer is at work.
        NotAJournalError: The folder contains no journal.
        DamagedJournalError: Records that were durable are damaged or missing.
        JournalFailedError: The journal is a slice, or the disk failed.
    """
    if disk is None:
        if not folder.is_dir() or not (has_segments(folder) or (folder / CHECKSUMS).exists()):
            raise no_journal(folder)
        disk = RealDisk(folder)
    try:
        return _recover(disk, signer)
    except OSError as error:
        raise JournalFailedError(
            f"{folder}: the disk failed ({error}). What to do: repair the disk, then run the recovery again."
        ) from error
    finally:
        disk.release()


def has_segments(folder: Path) -> bool:
    """Return True if the folder contains an open or a sealed segment."""
    names = [path.name for path in folder.iterdir()]
    return bool(first_seqs(names, "open") or first_seqs(names, "parquet"))


def _recover(disk: Disk, signer: "Signer | None") -> Recovered:
    names = disk.names()
    opened = first_seqs(names, "open")
    sealed = {seq: _read_footer(disk, seq, has_twin=seq in opened) for seq in first_seqs(names, "parquet")}
    tails = {seq: _read_tail(disk, seq) for seq in opened if sealed.get(seq) is None}
    footers = {seq: footer for seq, footer in sealed.items() if footer is not None}
    missing = [seq for seq in first_seqs(known_checksums(disk), "parquet") if seq not in sealed and seq not in opened]
    if missing:
        raise DamagedJournalError(disk.folder, f"{CHECKSUMS} names {sealed_name(missing[0])}, which is missing")
    if not sealed and not opened:
        raise no_journal(disk.folder)
    if any(footer.bundled_from for footer in footers.values()):
        raise JournalFailedError(
            f"{disk.folder} is a slice of a session, so no session can continue it. "
            f"What to do: keep it in another folder."
        )
    merged = superseded(footers)
    for seq in merged:
        del footers[seq], sealed[seq]
    _refuse_damage(disk, footers, tails)
    for name in names:
        if name.endswith(".tmp"):
            disk.unlink(name)
    for seq in opened:
        if seq not in tails:  # the crash came between the rename and the unlink; a merge may have followed
            if seq in footers and sealed_name(seq) not in known_checksums(disk):
                note_checksum(disk, sealed_name(seq), sha256(read_all(disk.open_reader(sealed_name(seq)))))
            disk.sync_folder()
            disk.unlink(open_name(seq))
    finish_merge(disk, merged)
    chain = CHAIN_START
    for seq in sorted(footers.keys() | tails.keys()):
        if seq in tails:
            footers[seq] = seal(disk, seq, chain, final=False, dropped=tails[seq], signer=signer)
        elif footers[seq].prev_chain != chain:
            raise DamagedJournalError(
                disk.folder / sealed_name(seq), "its chain does not continue the segment before it"
            )
        chain = footers[seq].chain
    disk.sync_folder()
    last = footers[max(footers)]
    return Recovered(
        last_seq=last.last_seq,
        chain=last.chain,
        dropped_bytes=last.dropped_bytes,
        dropped_rows_known=last.dropped_rows,
        was_closed=last.final,
        sealed_now=len(tails),
    )


def superseded(footers: Mapping[int, Footer]) -> dict[int, int]:
    """Return the segments that an unfinished merge already copied: first seq to the merged segment's first seq."""
    merged_into, holder = {}, None
    for seq in sorted(footers):
        footer = footers[seq]
        if holder is not None and set(footer.parts) <= set(holder.parts) and footer.last_seq <= holder.last_seq:
            merged_into[seq] = holder.first_seq
        else:
            holder = footer
    return merged_into


def finish_merge(disk: Disk, merged: Mapping[int, int]) -> None:
    """Write the merged segments' lines of SHA256SUMS and unlink the segments that they replace."""
    names = [sealed_name(seq) for seq in merged]
    for holder in sorted(set(merged.values())):
        checksum = sha256(read_all(disk.open_reader(sealed_name(holder))))
        note_checksum(disk, sealed_name(holder), checksum, without=names)
    unlink_merged(disk, merged)


def unlink_merged(disk: Disk, merged: Mapping[int, int]) -> None:
    """Unlink segments whose rows a merged segment contains.

    The merged segments' names are on stable storage first. Each group's last segment is unlinked after the removal of
    the others is on stable storage, because until then the journal ends where its last name says.
    """
    lasts = {max(seq for seq, its in merged.items() if its == holder) for holder in merged.values()}
    for seqs in (merged.keys() - lasts, lasts):
        if seqs:
            disk.sync_folder()
        for seq in sorted(seqs):
            disk.unlink(sealed_name(seq))


def _read_footer(disk: Disk, first_seq: int, *, has_twin: bool) -> Footer | None:
    """Return the footer of a sealed segment, or None if it is damaged and its open segment still exists."""
    path = disk.folder / sealed_name(first_seq)
    data = read_all(disk.open_reader(path.name))
    try:
        sealed = SealedSegment(path, data)
        if has_twin and (not is_intact(sealed) or known_checksums(disk).get(path.name, sha256(data)) != sha256(data)):
            raise DamagedJournalError(path, "the rows or the bytes do not have the hash stated for them")
    except DamagedJournalError:
        if has_twin:
            return None
        raise
    return sealed.footer


def _hash_open_rows(disk: Disk, first_seq: int) -> str:
    reader = disk.open_reader(open_name(first_seq))
    try:
        return hash_rows(frame.batch() for frame in FrameWalk(reader, first_seq))
    finally:
        reader.close()


def _read_tail(disk: Disk, first_seq: int) -> TornTail:
    reader = disk.open_reader(open_name(first_seq))
    try:
        return FrameWalk(reader, first_seq).finish()
    finally:
        reader.close()


def _refuse_damage(disk: Disk, footers: dict[int, Footer], tails: dict[int, TornTail]) -> None:
    """Refuse a journal that lost durable records.

    A segment begins only after all earlier records are durable, so its name proves that as a later frame does.
    """
    seqs = sorted(footers.keys() | tails.keys())
    next_seq, chain = 0, CHAIN_START
    for at, seq in enumerate(seqs):
        if seq != next_seq:
            raise DamagedJournalError(disk.folder, f"records {next_seq} to {seq - 1} are missing")
        if footer := footers.get(seq):
            path = disk.folder / sealed_name(seq)
            if chain and footer.prev_chain != chain:
                raise DamagedJournalError(path, "its chain does not continue the segment before it")
            next_seq, chain = footer.last_seq + 1, footer.chain
            continue
        tail = tails[seq]
        durable_seq = max(tail.durable_seq, seqs[at + 1] - 1 if at + 1 < len(seqs) else -1)
        if tail.next_seq <= durable_seq:
            raise DamagedJournalError(
                disk.folder / open_name(seq),
                f"record {tail.next_seq} was durable (records up to {durable_seq} were), "
                f"but the frame at byte {tail.offset} is not whole",
            )
        next_seq = tail.next_seq
        sealed_next = chain and at + 1 < len(seqs) and seqs[at + 1] in footers
        # if a sealed segment follows, the chain after this one must be computed before anything is changed
        chain = next_chain(chain, _hash_open_rows(disk, seq)) if sealed_next else ""
