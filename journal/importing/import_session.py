"""Files of other tools become a session: the SESSION record says what was imported, then a record for each line.

The session appears whole or not at all: it is written beside its place, and renamed when it is sealed. Its id follows from
the files' contents, so an import made twice names itself the same, and is refused. Knows the formats by formats.py alone.
"""

import base64
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from journal.disk import sync_folder
from journal.errors import CaptureRefusedError, DamagedCaptureError, JournalError
from journal.importing.formats import ImportOptions, reader_of
from journal.importing.lines import CapturedRow, LineReader, Lines
from journal.importing.stamps import LATEST_NS
from journal.record import Kind, Record, canonical
from journal.sessions import new_session_folder
from journal.writer import JournalWriter

BATCH_ROWS = 4_096  # of a frame, and of a wait for the disk
BATCH_BYTES = 4 * 1024 * 1024
WAIT_S_MAX = 60.0  # a disk that takes longer for one batch has failed us
UNFINISHED = ".importing"  # ends the name of a session's folder until it is whole
SUFFIXES = (".gz", ".zip", ".dat", ".csv", ".json", ".jsonl", ".ndjson", ".txt")


class Imported(msgspec.Struct, frozen=True):
    folder: Path
    session: str
    records: int
    received: int  # FEED records: what came over the wire
    formats: tuple[str, ...]
    damage: tuple[str, ...]  # with `partial`: what was left out, and why


class _File:
    """A file on its way in: rows with their session time, which within a file never falls."""

    def __init__(self, path: Path, source: str, wanted: ImportOptions, *, partial: bool) -> None:
        self.path, self.source = path, source
        self.damage: DamagedCaptureError | None = None
        self._partial = partial
        self._state = _state(path)
        self.sha256, self.size = _digest(path)
        self.format, read = reader_of(path, wanted)
        self.lines = Lines(path)
        try:
            self.reading: LineReader = read(self.lines)
            self._rows = self._up_to_damage()
            self._early = self._until_stamped()
        except BaseException:
            self.lines.close()
            raise

    def _up_to_damage(self) -> Iterator[CapturedRow]:
        try:
            for row in self.reading.rows:
                if row.stamp_ns is not None and not 0 <= row.stamp_ns <= LATEST_NS:
                    raise self.lines.damaged("its time is not between the years 1970 and 2262")
                yield row
        except DamagedCaptureError as error:
            if not self._partial:
                raise
            self.damage = error

    def _until_stamped(self) -> list[CapturedRow]:
        early = []
        for row in self._rows:
            early.append(row)
            if row.stamp_ns is not None:
                return early
        raise self.damage or CaptureRefusedError(f"{self.path} holds no line with a time.")

    @property
    def start_ns(self) -> int:
        start_ns = self._early[-1].stamp_ns
        assert start_ns is not None
        return start_ns

    def timed(self) -> Iterator[tuple[int, CapturedRow, "_File"]]:
        """Lines that state no time stand at the one before them, the first ones at the first that does."""
        now_ns = self.start_ns
        for rows in (self._early, self._rows):
            for row in rows:
                if row.stamp_ns is not None and row.stamp_ns > now_ns:
                    now_ns = row.stamp_ns
                yield now_ns, row, self
        self.lines.close()
        if _state(self.path) != self._state:
            raise CaptureRefusedError(
                f"{self.path} was changed while it was read. What to do: import it when nobody writes it any more."
            )

    def about(self) -> dict[str, Any]:
        return {
            "name": self.path.name,
            "bytes": self.size,
            "sha256": self.sha256,
            "format": self.format,
            "source": self.source,
            "stamp": self.reading.stamp,
            **self.reading.about,
        }


def import_files(
    paths: Sequence[Path],
    wanted: ImportOptions,
    *,
    journals: Path,
    into: Path | None = None,
    source: str | None = None,
    partial: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Imported:
    """One session of all the files, in the order of their times; what they say of one moment in the order of `paths`.

    In `journals` under its own name, or in the folder `into`, which must not exist. `source` is every record's, else
    `import.<file>`. `about` is said in the SESSION record beside what is said here. With `partial`, what comes before a
    file's damage is kept, and a NOTE says what was left out; else a DamagedCaptureError leaves nothing behind.
    CaptureRefusedError where a file or the options cannot be used, or the session is there already.
    """
    files: list[_File] = []
    try:
        for path, name in zip(paths, _sources(paths, source), strict=True):
            files.append(_File(path, name, wanted, partial=partial))
        session = _session_id(files, wanted, partial=partial)
        start_ns = min(file.start_ns for file in files)
        folder = new_session_folder(journals, start_ns, session) if into is None else into
        first = {
            **(about or {}),
            "session": session,
            "started_ns": start_ns,
            "import": {"files": [file.about() for file in files], "partial": partial},
        }
        records, received = _written(folder, start_ns, first, files)
    finally:
        for file in files:
            file.lines.close()
    return Imported(
        folder=folder,
        session=session,
        records=records,
        received=received,
        formats=tuple(file.format for file in files),
        damage=tuple(file.damage.said for file in files if file.damage is not None),
    )


# ---- what things are called ------------------------------------------------------------------------


def _sources(paths: Sequence[Path], source: str | None) -> list[str]:
    if source is not None:
        return [source] * len(paths)
    names: list[str] = []
    for path in paths:
        stem = path.name
        while stem.lower().endswith(SUFFIXES):
            stem = stem.rpartition(".")[0]
        name = f"import.{stem}"
        same = sum(each == name or each.startswith(f"{name}#") for each in names)
        names.append(f"{name}#{same + 1}" if same else name)
    return names


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file is written."""
    try:
        if not path.is_file():
            raise CaptureRefusedError(f"{path} is no file." if path.exists() else f"there is no file {path}.")
        found = path.stat()
    except OSError as error:
        raise CaptureRefusedError(f"{path} cannot be read: {error.strerror}.") from error
    return found.st_size, found.st_mtime_ns


def _digest(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return digest, file.tell()
    except OSError as error:
        raise CaptureRefusedError(f"{path} cannot be read: {error.strerror}.") from error


def _session_id(files: Sequence[_File], wanted: ImportOptions, *, partial: bool) -> str:
    """Of what was read and how: the same files read in another way are another session."""
    read = [[file.sha256, file.format, file.source] for file in files]
    digest = hashlib.sha256(canonical([read, wanted.time_field, wanted.time_unit, partial]).encode()).digest()
    return base64.b32encode(digest)[:8].decode().lower()


# ---- writing ---------------------------------------------------------------------------------------


def _written(folder: Path, start_ns: int, first: Mapping[str, Any], files: Sequence[_File]) -> tuple[int, int]:
    if folder.exists():
        raise CaptureRefusedError(
            f"{folder} exists already: these files were imported before, or the place is taken. Nothing was changed. "
            "What to do: use that session, or remove its folder first."
        )
    unfinished = folder.with_name(folder.name + UNFINISHED)
    if unfinished.exists():
        raise CaptureRefusedError(
            f"{unfinished} is of an import that is still running, or was killed. What to do: wait for it, or remove that folder."
        )
    writer = JournalWriter.create(unfinished)
    try:
        try:
            opening = Record(0, start_ns, Kind.SESSION, "import", body=canonical(first))
            records, received = _append_all(writer, opening, files)
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        unfinished.rename(folder)
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, OSError):
            raise JournalError(f"{folder} cannot be made: {error.strerror}.") from error
        raise
    sync_folder(folder.parent)
    return records, received


def _append_all(writer: JournalWriter, opening: Record, files: Sequence[_File]) -> tuple[int, int]:
    """One batch is on its way to the disk while the next is read. Gives the number of records, and of FEED ones."""
    last_seq, received = -1, 0
    for batch in _batches(chain((opening,), _records(files))):
        if last_seq >= 0:
            writer.wait_durable(last_seq, WAIT_S_MAX)
        writer.append_step(batch, urgent=True)
        last_seq = batch[-1].seq
        received += sum(record.kind is Kind.FEED for record in batch)
    writer.wait_durable(last_seq, WAIT_S_MAX)
    return last_seq + 1, received


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch, size = [], 0
    for record in records:
        batch.append(record)
        size += len(record.payload or record.body or "")
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _records(files: Sequence[_File]) -> Iterator[Record]:
    links: dict[_File, int] = {}  # file -> the LINK record that opened its connection
    streams = [file.timed() for file in files]
    seq = time_ns = 0
    for seq, (time_ns, row, file) in enumerate(merge(*streams, key=itemgetter(0)), 1):
        received = file.reading.stamp == "receive"
        if row.body is not None and row.body["state"] == "up":
            links[file] = seq
        meta = row.meta
        if row.stamp_ns is not None and row.stamp_ns < time_ns:
            meta = {**(meta or {}), "fell_ns": time_ns - row.stamp_ns}
        yield Record(
            seq,
            time_ns,
            row.kind,
            file.source,
            cause=links.get(file) if row.kind is Kind.FEED and row.meta is None else None,
            recv_ns=row.stamp_ns if received else None,
            meta=None if meta is None else canonical(meta),
            payload=row.payload,
            body=None if row.body is None else canonical(row.body),
        )
    damaged = [(file.source, file.damage.said) for file in files if file.damage is not None]
    for note_seq, (source, said) in enumerate(damaged, seq + 1):
        text = canonical({"level": "warning", "text": f"left out, from there on: {said}"})
        yield Record(note_seq, time_ns, Kind.NOTE, source, body=text)
