"""Repair of a damaged journal: its intact records become a new journal in a new folder. The damaged one never changes.

Only the records before the first damage are kept, because a journal with a gap would look like one without.
A segment with an intact file is copied byte for byte. One whose rows are intact is rewritten, so the chain over them
stays the same.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from journal.checksums import CHECKSUMS, note_checksum, read_checksums, sha256
from journal.content_hash import CHAIN_START, next_chain
from journal.disk import Disk, FileReader, RealDisk, read_all
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError, no_journal
from journal.footer import SCHEMA_VERSION, Footer, SegmentPart
from journal.frames import FrameWalk
from journal.seal import write_sealed
from journal.segments import UNREADABLE, SealedSegment, first_seqs, is_intact, open_name, plain_batch, sealed_name


class Repaired(msgspec.Struct, frozen=True):
    """The outcome of `repair`."""

    folder: Path
    last_seq: int  # of the new journal
    proved_seq: int  # the chain proves the records up to here; later ones are covered by page checksums only
    damage: str  # the first damage, or ""


def repair(folder: Path, new_folder: Path) -> Repaired:
    """Copy the intact records of a damaged journal into a new folder.

    Raises:
        NotAJournalError: The folder contains no journal, or nothing of it is intact.
        JournalFailedError: `new_folder` exists or cannot be written, or the journal is a slice.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    seqs = sorted({*first_seqs(names, "open"), *first_seqs(names, "parquet")})
    if not seqs:
        raise no_journal(folder)
    if (folder / sealed_name(seqs[0])).exists() and _is_slice(folder / sealed_name(seqs[0])):
        raise JournalFailedError(
            f"{folder} is a slice of a session, which has gaps by design. What to do: get the bundle again."
        )
    if folder.resolve() in new_folder.resolve().parents:
        raise JournalFailedError(
            f"{new_folder} is inside the damaged journal, which must not change. What to do: name another folder."
        )
    disk = RealDisk.create_folder(new_folder)
    try:
        return _Repair(folder, disk).run(seqs)
    except BaseException as error:
        shutil.rmtree(new_folder, ignore_errors=True)  # this call made it, and it is not a journal yet
        if isinstance(error, OSError):
            raise JournalFailedError(f"{new_folder} cannot be written: {error.strerror or error}.") from error
        raise
    finally:
        disk.release()


def _is_slice(first: Path) -> bool:
    try:
        return bool(SealedSegment(first).footer.bundled_from)
    except DamagedJournalError:
        return False


class _Repair:
    """One run of `repair`."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        try:
            self._checksums = read_checksums((folder / CHECKSUMS).read_text())
        except (FileNotFoundError, ValueError):
            self._checksums = {}
        self._next_seq = 0
        self._proved_seq = -1
        self._chain = CHAIN_START
        self._damage = ""
        self._foreign = False  # the segment is intact but belongs to another journal

    def run(self, seqs: list[int]) -> Repaired:
        """Copy or salvage segments in order, up to the first damage."""
        for seq in seqs:
            if seq < self._next_seq:
                continue  # a merge was interrupted: the segment before contains it
            if seq > self._next_seq:
                self._damage = f"records {self._next_seq} to {seq - 1} are missing"
                break
            if not self._copy(seq):
                if not self._foreign:
                    self._salvage(seq)
                if self._damage:
                    break
        self._disk.sync_folder()
        if not self._next_seq and self._damage:
            raise NotAJournalError(f"{self._folder} has no intact record: {self._damage}.")
        return Repaired(self._disk.folder, self._next_seq - 1, self._proved_seq, self._damage)

    def _copy(self, seq: int) -> bool:
        path = self._folder / sealed_name(seq)
        try:
            sealed = SealedSegment(path)
            footer = sealed.footer
            if not (is_intact(sealed) and footer.chain == footer.computed_chain() and footer.first_seq == seq):
                raise DamagedJournalError(path, "its rows or its chain differ from those sealed")
            if footer.prev_chain != self._chain:
                self._foreign = not (self._folder / open_name(seq)).exists()
                raise DamagedJournalError(path, "it is intact, but continues another journal")
        except FileNotFoundError:
            return False
        except DamagedJournalError as error:
            self._damage = f"{path.name}: {error.where}"
            return False
        data = read_all(FileReader(path))
        if self._checksums.get(path.name, "") == sha256(data):
            self._disk.create(path.name)
            self._disk.write(path.name, data)
            self._disk.sync(path.name)
            self._disk.close(path.name)
            note_checksum(self._disk, path.name, sha256(data))
        else:  # the rows are intact, but another byte may be damaged, perhaps the flag that closes the session
            reopened = msgspec.structs.replace(footer, final=False, schema_version=SCHEMA_VERSION)
            write_sealed(self._disk, seq, map(plain_batch, sealed.batches()), lambda _content: reopened)
        self._next_seq, self._proved_seq, self._chain = footer.last_seq + 1, footer.last_seq, footer.chain
        return True

    def _salvage(self, seq: int) -> None:
        """Seal the rows before the damage. An open segment is the authority over its sealed file."""
        opened = self._folder / open_name(seq)
        rows = list(self._frames(opened, seq) if opened.exists() else self._row_groups(self._folder / sealed_name(seq)))
        if not any(batch.num_rows for batch in rows):
            return

        def footer(content: str) -> Footer:
            return Footer(
                first_seq=seq,
                last_seq=self._next_seq - 1,
                parts=(SegmentPart(self._next_seq - 1, content),),
                prev_chain=self._chain,
                chain=next_chain(self._chain, content),
                final=False,
            )

        self._chain = write_sealed(self._disk, seq, rows, footer).chain

    def _frames(self, path: Path, seq: int) -> Iterator[pa.RecordBatch]:
        with FileReader(path) as reading:
            walk = FrameWalk(reading, seq)
            for frame in walk:
                yield frame.batch()
            self._next_seq = walk.next_seq
            self._damage = (
                f"{path.name}: the frame at byte {walk.offset} is not whole" if walk.offset < walk.size else ""
            )

    def _row_groups(self, path: Path) -> Iterator[pa.RecordBatch]:
        try:
            for batch in SealedSegment(path).batches():
                if batch.num_rows and batch.column(0)[0].as_py() != self._next_seq:
                    raise DamagedJournalError(path, f"the sequence is broken after record {self._next_seq - 1}")
                yield plain_batch(batch)
                self._next_seq += batch.num_rows
        except UNREADABLE as error:
            self._damage = self._damage or f"{path.name}: {error}"
        except DamagedJournalError as error:
            self._damage = f"{path.name}: {error.where}"
