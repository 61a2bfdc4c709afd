"""Import of other tools' files as a session: a SESSION record that lists the files, then one record per line.

The session is written under a temporary name and renamed once it is sealed. Its id is derived from the files' contents,
so a second import of the same files gets the same name and is refused. Uses the formats only through formats.py.
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
from journal.errors import CaptureRefusedError, DamagedLineError, JournalError
from journal.importing.formats import ImportOptions, choose_reader
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.stamps import LATEST_NS
from journal.record import Kind, Record, canonical
from journal.sessions import new_session_folder
from journal.writer import JournalWriter

BATCH_ROWS = 4_096  # rows of a frame, and between two waits for the disk
BATCH_BYTES = 4 * 1024 * 1024
WAIT_S_MAX = 60.0  # a disk that needs longer for one batch has failed
UNFINISHED = ".importing"  # suffix of a session's folder until it is complete
SUFFIXES = (
    ".gz",
    ".xz",
    ".zst",
    ".zip",
    ".parquet",
    ".npz",
    ".dbn",
    ".pcap",
    ".dat",
    ".csv",
    ".json",
    ".jsonl",
    ".ndjson",
    ".txt",
)

# what the engine reads in every SESSION record: commands that look through a folder of sessions meet imports too
NOTHING_TRADED: dict[str, Any] = {
    "clock": {"kind": "wall", "speed": 1},
    "seed": 0,
    "host": "",
    "venues": [],
    "instruments": [],
    "strategies": [],
}


class Imported(msgspec.Struct, frozen=True):
    """The outcome of `import_files`."""

    folder: Path
    session: str
    records: int
    received: int  # FEED records, which came over the wire
    formats: tuple[str, ...]
    dirty_lines: int  # empty lines, blocks of NUL bytes: left out, and counted in LINK records
    earlier_rows: int  # their time is before that of a row before; recorded at the later time, in the file's order
    damage: tuple[str, ...]  # with `partial`: the damage before which each file ends


class _CaptureFile:
    """A file during its import. The session times of its rows never fall."""

    def __init__(self, path: Path, source: str, options: ImportOptions, *, partial: bool) -> None:
        self.path, self.source = path, source
        self.damage: DamagedLineError | None = None
        self.dirty_lines = 0  # left out, each in a record
        self.earlier_rows = 0  # their time is before that of a row before
        self._partial = partial
        self._state = _file_state(path)
        self.sha256, self.size = _digest(path)
        self.format, read = choose_reader(path, options)
        self.lines = CaptureLines(path, options.symbol or "")
        try:
            self.reading: CaptureReader = read(self.lines)
            self._rows = self._up_to_damage()
            self._early = self._until_stamped()
        except BaseException:
            self.lines.close()
            raise

    def _up_to_damage(self) -> Iterator[CapturedRow]:
        try:
            for row in self.reading.rows:
                if self.lines.dirt:
                    yield self._gap()
                if row.stamp_ns is not None and not 0 <= row.stamp_ns <= LATEST_NS:
                    raise self.lines.damaged("its time is not between the years 1970 and 2262")
                yield row
            if self.lines.dirt:
                yield self._gap()
        except DamagedLineError as error:
            if not self._partial:
                raise
            self.damage = error

    def _gap(self) -> CapturedRow:
        """Return the record of lines that were left out since the last row."""
        dirt, self.lines.dirt = self.lines.dirt, []
        self.dirty_lines += len(dirt)
        first, what = dirt[0]
        text = f"line {first}: {what}" + (f", and {len(dirt) - 1} more before the next row" if len(dirt) > 1 else "")
        return CapturedRow(None, None, Kind.LINK, {"state": "gap", "lines": len(dirt), "text": text})

    def _until_stamped(self) -> list[CapturedRow]:
        early = []
        for row in self._rows:
            early.append(row)
            if row.stamp_ns is not None:
                return early
        raise self.damage or CaptureRefusedError(f"{self.path} has no line with a time.")

    @property
    def start_ns(self) -> int:
        """The first time that the file states."""
        start_ns = self._early[-1].stamp_ns
        assert start_ns is not None
        return start_ns

    def timed(self) -> Iterator[tuple[int, CapturedRow, "_CaptureFile"]]:
        """Yield rows with session time and file.

        Lines without a time get that of the line before, and the first lines get the first time of the file.
        """
        now_ns = self.start_ns
        for rows in (self._early, self._rows):
            for row in rows:
                if row.stamp_ns is not None:
                    self.earlier_rows += row.stamp_ns < now_ns
                    now_ns = max(now_ns, row.stamp_ns)
                yield now_ns, row, self
        self.lines.close()
        if _file_state(self.path) != self._state:
            raise CaptureRefusedError(
                f"{self.path} was changed while it was read. What to do: import it once its writer has ended."
            )

    def about(self) -> dict[str, Any]:
        """Return the description of the file for the SESSION record."""
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
    options: ImportOptions,
    *,
    journals: Path,
    into: Path | None = None,
    source: str | None = None,
    partial: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Imported:
    """Import files as one session, merged by their times.

    Records with equal times are in the order of `paths`.

    Args:
        paths: The files.
        options: Formats and times.
        journals: The folder in which the session gets its own name.
        into: The new folder, in place of a name in `journals`.
        source: The source of every record. None: `import.<file>`.
        partial: True keeps the lines before a file's damage, and a NOTE names the rest. False: damage is an error.
        about: More fields for the SESSION record.

    Raises:
        CaptureRefusedError: A file or the options cannot be used, or the session exists.
        DamagedLineError: A file is damaged. Nothing was kept.
    """
    files: list[_CaptureFile] = []
    try:
        for path, name in zip(paths, _source_names(paths, source), strict=True):
            files.append(_CaptureFile(path, name, options, partial=partial))
        session = _session_id(files, options, partial=partial)
        start_ns = min(file.start_ns for file in files)
        folder = new_session_folder(journals, start_ns, session) if into is None else into
        first = {
            **(about or {}),
            "session": session,
            "started_ns": start_ns,
            "import": {"files": [file.about() for file in files], "partial": partial},
        }
        records, received = _write_session(folder, start_ns, first, files)
    finally:
        for file in files:
            file.lines.close()
    return Imported(
        folder=folder,
        session=session,
        records=records,
        received=received,
        formats=tuple(file.format for file in files),
        dirty_lines=sum(file.dirty_lines for file in files),
        earlier_rows=sum(file.earlier_rows for file in files),
        damage=tuple(file.damage.summary for file in files if file.damage is not None),
    )


# ---- what things are called ------------------------------------------------------------------------


def _source_names(paths: Sequence[Path], source: str | None) -> list[str]:
    if source is not None:
        return [source] * len(paths)
    names: list[str] = []
    for path in paths:
        stem = path.name
        while stem.lower().endswith(SUFFIXES):
            stem = stem.rpartition(".")[0]
        name = f"import.{stem}"
        same = sum(other == name or other.startswith(f"{name}#") for other in names)
        names.append(f"{name}#{same + 1}" if same else name)
    return names


def _file_state(path: Path) -> tuple[int, int]:
    """Return values that change when the file is written."""
    try:
        if not path.is_file():
            raise CaptureRefusedError(f"{path} is not a file." if path.exists() else f"there is no file {path}.")
        status = path.stat()
    except OSError as error:
        raise CaptureRefusedError(f"{path} cannot be read: {error.strerror}.") from error
    return status.st_size, status.st_mtime_ns


def _digest(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return digest, file.tell()
    except OSError as error:
        raise CaptureRefusedError(f"{path} cannot be read: {error.strerror}.") from error


def _session_id(files: Sequence[_CaptureFile], options: ImportOptions, *, partial: bool) -> str:
    """Derive the session id from the files' contents and the options, since other options make another session."""
    read = [[file.sha256, file.format, file.source] for file in files]
    digest = hashlib.sha256(canonical([read, *options.identity(), partial]).encode()).digest()
    return base64.b32encode(digest)[:8].decode().lower()


# ---- writing ---------------------------------------------------------------------------------------


def _write_session(
    folder: Path, start_ns: int, first: Mapping[str, Any], files: Sequence[_CaptureFile]
) -> tuple[int, int]:
    if folder.exists():
        raise CaptureRefusedError(
            f"{folder} exists already: these files were imported before, or another session has that name. Nothing was "
            "changed. What to do: use that session, or remove its folder first."
        )
    unfinished = folder.with_name(folder.name + UNFINISHED)
    if unfinished.exists():
        raise CaptureRefusedError(
            f"{unfinished} belongs to an import that is running or was killed. "
            f"What to do: wait for it, or remove that folder."
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
            raise JournalError(f"{folder} cannot be created: {error.strerror}.") from error
        raise
    sync_folder(folder.parent)
    return records, received


def _append_all(writer: JournalWriter, opening: Record, files: Sequence[_CaptureFile]) -> tuple[int, int]:
    """Append all records, reading each batch while the one before is written.

    Returns:
        The number of records, and of FEED records.
    """
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


def _records(files: Sequence[_CaptureFile]) -> Iterator[Record]:
    links: dict[tuple[_CaptureFile, str], int] = {}  # file and connection -> the LINK record that opened it
    streams = [file.timed() for file in files]
    seq = time_ns = 0
    for seq, (time_ns, row, file) in enumerate(merge(*streams, key=itemgetter(0)), 1):
        received = file.reading.stamp == "receive"
        if row.body is not None and row.body["state"] == "up":
            links[file, row.link] = seq
        yield Record(
            seq,
            time_ns,
            row.kind,
            file.source,
            cause=links.get((file, row.link)) if row.kind is Kind.FEED and row.meta is None else None,
            recv_ns=row.stamp_ns if received else None,
            meta=None if row.meta is None else canonical(row.meta),
            payload=row.payload,
            body=None if row.body is None else canonical(row.body),
        )
    damaged = [(file.source, file.damage.summary) for file in files if file.damage is not None]
    for note_seq, (source, said) in enumerate(damaged, seq + 1):
        text = canonical({"level": "warning", "text": f"left out, from there on: {said}"})
        yield Record(note_seq, time_ns, Kind.NOTE, source, body=text)
