"""Make a journal whole after a crash: what was whole is sealed, what was torn is dropped and counted.

Recovery copies and never appends after a tear, so its pages are fresh ones even after a failed sync. It decides about
the whole folder before it changes anything: damage to what was durable is refused, not repaired.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from journal.checksums import CHECKSUMS, known_checksums, note_checksum, sha256
from journal.content_hash import CHAIN_START, content_of, link
from journal.disk import Disk, RealDisk, whole
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.footer import Footer
from journal.frames import Tail, Walk
from journal.seal import seal
from journal.segments import Sealed, first_seqs, is_whole, open_name, sealed_name

if TYPE_CHECKING:
    from journal.signing import Signer


class Recovered(msgspec.Struct, frozen=True):
    last_seq: int
    chain: str
    dropped_bytes: int  # of the torn tail; the same at every later recovery, since the footer keeps it
    dropped_rows_known: int  # records in frames that were whole, but lay behind the tear
    was_closed: bool  # the session had come to its proper end
    sealed_now: int  # segments that this call sealed


def recover(folder: Path, *, disk: Disk | None = None, signer: "Signer | None" = None) -> Recovered:
    """JournalLockedError while a writer lives, NotAJournalError, DamagedJournalError. A second call changes nothing."""
    if disk is None:
        if not folder.is_dir() or not (has_segments(folder) or (folder / CHECKSUMS).exists()):
            raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
        disk = RealDisk(folder)
    try:
        return _recover(disk, signer)
    except OSError as error:
        raise JournalFailedError(
            f"{folder}: the disk failed ({error}). What to do: look after it, then recover anew."
        ) from error
    finally:
        disk.release()


def has_segments(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir()]
    return bool(first_seqs(names, "open") or first_seqs(names, "parquet"))


def _recover(disk: Disk, signer: "Signer | None") -> Recovered:
    names = disk.names()
    opened = first_seqs(names, "open")
    sealed = {seq: _footer(disk, seq, has_twin=seq in opened) for seq in first_seqs(names, "parquet")}
    tails = {seq: _tail(disk, seq) for seq in opened if sealed.get(seq) is None}
    footers = {seq: footer for seq, footer in sealed.items() if footer is not None}
    gone = [seq for seq in first_seqs(known_checksums(disk), "parquet") if seq not in sealed and seq not in opened]
    if gone:
        raise DamagedJournalError(disk.folder, f"{CHECKSUMS} names {sealed_name(gone[0])}, which is missing")
    if not sealed and not opened:
        raise NotAJournalError(f"{disk.folder} holds no journal. What to do: name the folder of a session.")
    if any(footer.bundled_from for footer in footers.values()):
        raise JournalFailedError(
            f"{disk.folder} is a slice of a session, and no session goes on from it. What to do: keep it in another folder."
        )
    merged = superseded(footers)
    for seq in merged:
        del footers[seq], sealed[seq]
    _refuse_damage(disk, footers, tails)
    for name in names:
        if name.endswith(".tmp"):
            disk.unlink(name)
    for seq in opened:
        if seq not in tails:  # the crash fell between the rename and the unlinking; it may have been merged since
            if seq in footers and sealed_name(seq) not in known_checksums(disk):
                note_checksum(disk, sealed_name(seq), sha256(whole(disk.reading(sealed_name(seq)))))
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
    """Segments that a merge, cut off before its end, left beside the one that holds their rows: first seqs of both."""
    found, holder = {}, None
    for seq in sorted(footers):
        footer = footers[seq]
        if holder is not None and set(footer.parts) <= set(holder.parts) and footer.last_seq <= holder.last_seq:
            found[seq] = holder.first_seq
        else:
            holder = footer
    return found


def finish_merge(disk: Disk, merged: Mapping[int, int]) -> None:
    """Say so in SHA256SUMS, and unlink what merged segments hold."""
    names = [sealed_name(seq) for seq in merged]
    for holder in sorted(set(merged.values())):
        checksum = sha256(whole(disk.reading(sealed_name(holder))))
        note_checksum(disk, sealed_name(holder), checksum, without=names)
    unlink_held(disk, merged)


def unlink_held(disk: Disk, merged: Mapping[int, int]) -> None:
    """The names of those that hold them are on stable storage first. The last that each holds goes when the others are gone
    for good: until then the journal ends where its last name says.
    """
    lasts = {max(seq for seq, its in merged.items() if its == holder) for holder in merged.values()}
    for seqs in (merged.keys() - lasts, lasts):
        if seqs:
            disk.sync_folder()
        for seq in sorted(seqs):
            disk.unlink(sealed_name(seq))


def _footer(disk: Disk, first_seq: int, *, has_twin: bool) -> Footer | None:
    """None where the sealed segment is not to be trusted, but the open one it was made from is still there."""
    path = disk.folder / sealed_name(first_seq)
    data = whole(disk.reading(path.name))
    try:
        sealed = Sealed(path, data)
        if has_twin and (not is_whole(sealed) or known_checksums(disk).get(path.name, sha256(data)) != sha256(data)):
            raise DamagedJournalError(path, "the rows or the bytes have not the hash stated for them")
    except DamagedJournalError:
        if has_twin:
            return None
        raise
    return sealed.footer


def _content(disk: Disk, first_seq: int) -> str:
    reading = disk.reading(open_name(first_seq))
    try:
        return content_of(frame.batch() for frame in Walk(reading, first_seq))
    finally:
        reading.close()


def _tail(disk: Disk, first_seq: int) -> Tail:
    reading = disk.reading(open_name(first_seq))
    try:
        return Walk(reading, first_seq).finish()
    finally:
        reading.close()


def _refuse_damage(disk: Disk, footers: dict[int, Footer], tails: dict[int, Tail]) -> None:
    """A segment was begun only when all before it was durable, so a later name vouches like a later frame."""
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
        # what a seal would make of it must be known before anything is changed, where a sealed one follows
        chain = link(chain, _content(disk, seq)) if sealed_next else ""
