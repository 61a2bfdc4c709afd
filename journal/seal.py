"""From an open segment to a sealed one: write under another name, sync, read back, compare, rename, sync, unlink.

Until the last of these the open segment is the authority, so a crash between any two loses nothing.
The same code closes a session, rolls a segment and recovers one.
"""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from journal.disk import Disk, Reading, whole
from journal.errors import DamagedJournal
from journal.frames import Frame, Tail, Walk
from journal.segments import (
    CHECKSUMS,
    ContentHash,
    Footer,
    Sealed,
    blocks,
    content_of,
    first_line,
    link,
    open_name,
    parquet_writer,
    sealed_name,
)


def seal(disk: Disk, first_seq: int, prev_chain: str, *, final: bool, dropped: Tail | None = None) -> Footer:
    """Seal the whole prefix of an open segment. Without `dropped` every byte of it must be whole."""
    name, sealed, temporary = open_name(first_seq), sealed_name(first_seq), f"{first_seq:012d}.tmp"
    disk.create(temporary)
    written = _Written(disk, temporary)
    footer = _parquet(disk, first_seq, prev_chain, written, final=final, dropped=dropped)
    disk.sync(temporary)
    disk.close(temporary)
    _compare(disk, temporary, footer)
    disk.rename(temporary, sealed)
    note_checksum(disk, sealed, written.checksum)
    disk.sync_folder()
    disk.unlink(name)
    return footer


class _Written(io.RawIOBase):
    """A file of the disk as Arrow writes one: byte after byte, so that no segment stands in memory whole; and its sha256."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name, self._size = disk, name, 0
        self._digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._disk.write(self._name, view)
        self._digest.update(view)
        self._size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._size

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


class _Back(io.RawIOBase):
    """What the disk gives back of a file, read as Arrow asks for it."""

    def __init__(self, reading: Reading) -> None:
        self._reading, self._at = reading, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._reading.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._reading.at(self._at, self._reading.size - self._at if size < 0 else size)
        self._at += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            self._reading.close()
        super().close()


def _parquet(
    disk: Disk, first_seq: int, prev_chain: str, written: _Written, *, final: bool, dropped: Tail | None
) -> Footer:
    path = disk.folder / open_name(first_seq)
    reading = disk.reading(open_name(first_seq))
    walk = Walk(reading, first_seq)
    try:
        digest = ContentHash()
        with parquet_writer(pa.PythonFile(written, mode="w")) as parquet:
            for block in blocks(_batches(walk)):  # block by block: memory does not grow with the segment
                digest.add(block)
                parquet.write_batch(block)
            whole_bytes = walk.size if dropped is None else dropped.offset
            if walk.offset != whole_bytes:
                raise DamagedJournal(path, f"the frame at byte {walk.offset} is not what was written")
            content = digest.hexdigest()
            footer = Footer(
                first_seq=first_seq,
                last_seq=walk.next_seq - 1,
                content=content,
                prev_chain=prev_chain,
                chain=link(prev_chain, content),
                final=final,
                dropped_bytes=dropped.torn_bytes if dropped else 0,
                dropped_rows=dropped.torn_rows if dropped else 0,
            )
            parquet.add_key_value_metadata(footer.to_metadata())
    except pa.ArrowException as error:
        raise DamagedJournal(path, f"a frame before byte {walk.offset} is unreadable ({first_line(error)})") from error
    finally:
        reading.close()
    return footer


def _batches(frames: Iterator[Frame] | Walk) -> Iterator[pa.RecordBatch]:
    return (frame.batch() for frame in frames)


def _compare(disk: Disk, temporary: str, footer: Footer) -> None:
    """What was just written must read as what was in the frames: the open segment is about to go."""
    back = _Back(disk.reading(temporary))
    try:
        sealed = Sealed(disk.folder / temporary, pa.PythonFile(back, mode="r"))
        same = sealed.footer == footer and content_of(sealed) == footer.content
    finally:
        back.close()
    if not same:
        raise DamagedJournal(
            disk.folder / temporary, "the disk gave back other bytes than were written", "do not trust this disk"
        )


def read_checksums(text: str) -> dict[str, str]:
    """Of `sha256sum -c` lines: the checksum of each name. ValueError on a line that is none."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        checksum, gap, name = line[:64], line[64:66], line[66:]
        if gap != "  " or not name or set(checksum) - set("0123456789abcdef"):
            raise ValueError(f"line {number} is no checksum line")
        found[name] = checksum
    return found


def sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def known_checksums(disk: Disk) -> dict[str, str]:
    """What SHA256SUMS says. It is advisory: a damaged one counts as empty, and is begun anew by the next seal."""
    try:
        return read_checksums(whole(disk.reading(CHECKSUMS)).decode()) if CHECKSUMS in disk.names() else {}
    except ValueError:
        return {}


def note_checksum(disk: Disk, name: str, checksum: str) -> None:
    """One line for the sealed file in SHA256SUMS: the rows have their hash, this one is for the bytes of the footer."""
    known = known_checksums(disk)
    known[name] = checksum
    temporary = CHECKSUMS + ".tmp"
    disk.create(temporary)
    disk.write(temporary, "".join(f"{known[each]}  {each}\n" for each in sorted(known)).encode())
    disk.sync(temporary)
    disk.close(temporary)
    disk.rename(temporary, CHECKSUMS)
