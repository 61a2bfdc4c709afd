"""What is whole of a damaged journal, as a new journal in a new folder. The damaged one is never touched.

The records before the first damage are kept, and none behind it: a journal with a hole would be read as one without.
Segments whose file is whole are copied byte for byte, and those whose rows are whole are written anew, so the chain over
them stays what it was.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from journal.checksums import CHECKSUMS, note_checksum, read_checksums, sha256
from journal.content_hash import CHAIN_START, link
from journal.disk import Disk, FileReading, RealDisk, whole
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.footer import SCHEMA_VERSION, Footer, Part
from journal.frames import Walk
from journal.seal import put_sealed
from journal.segments import UNREADABLE, Sealed, first_seqs, is_whole, open_name, plain_batch, sealed_name


class Repaired(msgspec.Struct, frozen=True):
    folder: Path
    last_seq: int  # of the new journal
    proved_seq: int  # up to here the chain proves every record; those behind it have the checksums of their pages alone
    damage: str  # what ended it; "" where there was none


def repair(folder: Path, new_folder: Path) -> Repaired:
    """NotAJournalError where there is none, or nothing of it is whole; JournalFailedError where `new_folder` exists, or it is a slice."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    seqs = sorted({*first_seqs(names, "open"), *first_seqs(names, "parquet")})
    if not seqs:
        raise NotAJournalError(f"{folder} holds no journal. What to do: name the folder of a session.")
    if (folder / sealed_name(seqs[0])).exists() and _is_slice(folder / sealed_name(seqs[0])):
        raise JournalFailedError(
            f"{folder} is a slice of a session, which has holes of its own. What to do: get the bundle again."
        )
    if folder.resolve() in new_folder.resolve().parents:
        raise JournalFailedError(
            f"{new_folder} lies within the damaged journal, which is not touched. What to do: name another folder."
        )
    disk = RealDisk.make(new_folder)
    try:
        return _Repair(folder, disk).run(seqs)
    except BaseException as error:
        shutil.rmtree(new_folder, ignore_errors=True)  # we made it, and what is in it is not a journal yet
        if isinstance(error, OSError):
            raise JournalFailedError(f"{new_folder} cannot be written: {error.strerror or error}.") from error
        raise
    finally:
        disk.release()


def _is_slice(first: Path) -> bool:
    try:
        return bool(Sealed(first).footer.bundled_from)
    except DamagedJournalError:
        return False


class _Repair:
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
        self._foreign = False  # whole, but of another journal: nothing of it belongs here

    def run(self, seqs: list[int]) -> Repaired:
        for seq in seqs:
            if seq < self._next_seq:
                continue  # a merge was interrupted: the segment before holds it
            if seq > self._next_seq:
                self._damage = f"records {self._next_seq} to {seq - 1} are missing"
                break
            if not self._copied(seq):
                if not self._foreign:
                    self._salvage(seq)
                if self._damage:
                    break
        self._disk.sync_folder()
        if not self._next_seq and self._damage:
            raise NotAJournalError(f"{self._folder}: nothing of it is whole: {self._damage}.")
        return Repaired(self._disk.folder, self._next_seq - 1, self._proved_seq, self._damage)

    def _copied(self, seq: int) -> bool:
        path = self._folder / sealed_name(seq)
        try:
            sealed = Sealed(path)
            footer = sealed.footer
            if not (is_whole(sealed) and footer.chain == footer.linked() and footer.first_seq == seq):
                raise DamagedJournalError(path, "its rows or its chain are not what was sealed")
            if footer.prev_chain != self._chain:
                self._foreign = not (self._folder / open_name(seq)).exists()
                raise DamagedJournalError(path, "it is whole, and continues another journal than this")
        except FileNotFoundError:
            return False
        except DamagedJournalError as error:
            self._damage = f"{path.name}: {error.where}"
            return False
        data = whole(FileReading(path))
        if self._checksums.get(path.name, "") == sha256(data):
            self._disk.create(path.name)
            self._disk.write(path.name, data)
            self._disk.sync(path.name)
            self._disk.close(path.name)
            note_checksum(self._disk, path.name, sha256(data))
        else:  # the rows are whole, but some byte of the file may not be: whether it closed the session is not known then
            told = msgspec.structs.replace(footer, final=False, schema_version=SCHEMA_VERSION)
            put_sealed(self._disk, seq, map(plain_batch, sealed.batches()), lambda _content: told)
        self._next_seq, self._proved_seq, self._chain = footer.last_seq + 1, footer.last_seq, footer.chain
        return True

    def _salvage(self, seq: int) -> None:
        """The rows before the damage, sealed anew: of the open segment where there is one, since it is the authority."""
        opened = self._folder / open_name(seq)
        rows = list(self._frames(opened, seq) if opened.exists() else self._row_groups(self._folder / sealed_name(seq)))
        if not any(batch.num_rows for batch in rows):
            return

        def footer(content: str) -> Footer:
            return Footer(
                first_seq=seq,
                last_seq=self._next_seq - 1,
                parts=(Part(self._next_seq - 1, content),),
                prev_chain=self._chain,
                chain=link(self._chain, content),
                final=False,
            )

        self._chain = put_sealed(self._disk, seq, rows, footer).chain

    def _frames(self, path: Path, seq: int) -> Iterator[pa.RecordBatch]:
        with FileReading(path) as reading:
            walk = Walk(reading, seq)
            for frame in walk:
                yield frame.batch()
            self._next_seq = walk.next_seq
            self._damage = (
                f"{path.name}: the frame at byte {walk.offset} is not whole" if walk.offset < walk.size else ""
            )

    def _row_groups(self, path: Path) -> Iterator[pa.RecordBatch]:
        try:
            for batch in Sealed(path).batches():
                if batch.num_rows and batch.column(0)[0].as_py() != self._next_seq:
                    raise DamagedJournalError(path, f"the sequence is broken after record {self._next_seq - 1}")
                yield plain_batch(batch)
                self._next_seq += batch.num_rows
        except UNREADABLE as error:
            self._damage = self._damage or f"{path.name}: {error}"
        except DamagedJournalError as error:
            self._damage = f"{path.name}: {error.where}"
