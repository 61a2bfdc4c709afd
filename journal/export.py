"""A journal's records as one file that other tools read: Parquet, CSV or JSON lines. Nothing is interpreted.

Parquet has the journal's own columns. In text, the wire's bytes are `payload` where they are UTF-8, else `payload_base64`.
The file appears when it is whole, and never in place of another.
"""

import csv
import io
import os
import shutil
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from journal.arrow_codec import SCHEMA, to_records
from journal.disk import sync_folder
from journal.errors import ExportRefusedError, JournalFailedError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.segments import GROUP_ROWS, parquet_writer, plain_batch

PARTIAL = ".partial"  # ends the name of what is not whole yet
TEXT_COLUMNS = (*SCHEMA.names, "payload_base64")
ALWAYS = ("seq", "time_ns", "kind", "source")  # in JSON lines; other fields only where they have a value


def export(
    journal: Journal,
    target: Path,
    *,
    from_seq: int = 0,
    to_seq: int | None = None,
    kinds: Collection[Kind] | None = None,
    sources: Collection[str] | None = None,
) -> int:
    """Records to a file, in the form its suffix names; how many they were. ExportRefusedError, JournalFailedError."""
    write = WRITERS.get(target.suffix)
    if write is None:
        raise ExportRefusedError(
            f"{target}: no form goes by that suffix. What to do: name a file with {', '.join(WRITERS)}, or a folder."
        )
    with appearing(target) as partial:
        return write(partial, journal.batches(from_seq, to_seq=to_seq, kinds=kinds, sources=sources))


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Where a file or folder is to be made; it bears its own name when that was done without an error."""
    if os.path.lexists(target):
        raise ExportRefusedError(
            f"{target} exists already, and nothing is overwritten. What to do: name another, or remove it."
        )
    partial = target.with_name(target.name + PARTIAL)
    if os.path.lexists(partial):
        raise ExportRefusedError(
            f"{partial} is there: another export is at work, or was cut off. What to do: wait for it, or remove that."
        )
    try:
        yield partial
        partial.rename(target)
        sync_folder(target.parent)
    except BaseException as error:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise JournalFailedError(f"{target} cannot be written: {error.strerror or error}.") from error
        raise


def _parquet(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    with parquet_writer(str(path)) as writer:
        for batch in batches:
            writer.write_batch(plain_batch(batch), row_group_size=GROUP_ROWS)
            rows += batch.num_rows
    return rows


def _csv(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TEXT_COLUMNS)
        for record in _records(batches):
            given = _in_text(record)
            writer.writerow([given.get(name) for name in TEXT_COLUMNS])
            rows += 1
    return rows


def _json_lines(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    rows, encode = 0, msgspec.json.Encoder().encode
    with io.BufferedWriter(path.open("wb", buffering=0), 1 << 20) as file:
        for record in _records(batches):
            given = {name: value for name, value in _in_text(record).items() if value is not None or name in ALWAYS}
            for name in ("meta", "body"):
                if name in given:
                    given[name] = _as_json(given[name])
            file.write(encode(given) + b"\n")
            rows += 1
    return rows


WRITERS: dict[str, Callable[[Path, Iterable[pa.RecordBatch]], int]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
}


def _records(batches: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    for batch in batches:
        yield from to_records(batch)


def _in_text(record: Record) -> dict[str, Any]:
    given: dict[str, Any] = {name: getattr(record, name) for name in SCHEMA.names}
    if record.payload is not None:
        try:
            given["payload"] = record.payload.decode()
        except UnicodeDecodeError:
            given["payload"], given["payload_base64"] = None, b64encode(record.payload).decode()
    return given


def _as_json(text: str) -> Any:
    """The JSON itself, its numbers as they are written; what is none stays a text."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return msgspec.Raw(text.encode())
