"""Export of a journal's records to one file for other tools: Parquet, CSV or JSON lines. Interprets no payload.

Parquet has the journal's own columns. In text, the wire's bytes are `payload` if they are UTF-8, otherwise
`payload_base64`. The file appears once it is complete and never replaces another.
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
from journal.private_files import restrict
from journal.progress import Progress
from journal.reader import Journal
from journal.record import Kind, Record
from journal.segments import GROUP_ROWS, parquet_writer, plain_batch

PARTIAL = ".partial"  # suffix of an incomplete file
TEXT_COLUMNS = (*SCHEMA.names, "payload_base64")
REQUIRED_FIELDS = (
    "seq",
    "time_ns",
    "kind",
    "source",
)  # in JSON lines; other fields are written only if they have a value


def export(
    journal: Journal,
    target: Path,
    *,
    from_seq: int = 0,
    to_seq: int | None = None,
    kinds: Collection[Kind] | None = None,
    sources: Collection[str] | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Write records to a file in the format that its suffix names, and return how many.

    Args:
        journal: The session.
        target: The new file.
        from_seq: The first record.
        to_seq: The last record. None: the end.
        kinds: Kinds to select. None: all.
        sources: Sources to select. None: all.
        on_progress: Called with the last record that was read, and the last one to read.

    Raises:
        ExportRefusedError: The target exists, or no format has its suffix.
        JournalFailedError: A write failed.
    """
    write = WRITERS.get(target.suffix)
    if write is None:
        raise ExportRefusedError(
            f"{target}: the suffix names no export format. "
            f"What to do: name a file with {', '.join(WRITERS)}, or a folder."
        )
    with atomic_output(target) as partial:
        batches = journal.batches(from_seq, to_seq=to_seq, kinds=kinds, sources=sources)
        return write(partial, batches if on_progress is None else _reported(batches, journal, to_seq, on_progress))


def _reported(
    batches: Iterator[pa.RecordBatch], journal: Journal, to_seq: int | None, on_progress: Progress
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, and report the last record of each."""
    last_seq = journal.last_seq if to_seq is None else to_seq
    for batch in batches:
        yield batch
        if batch.num_rows:
            on_progress(batch.column(0)[batch.num_rows - 1].as_py() + 1, last_seq + 1)


@contextmanager
def atomic_output(target: Path) -> Iterator[Path]:
    """Yield a temporary path. It is renamed to the target if the block ends without an error."""
    if os.path.lexists(target):
        raise ExportRefusedError(
            f"{target} exists already, and nothing is overwritten. What to do: name another target, or remove this one."
        )
    partial = target.with_name(target.name + PARTIAL)
    if os.path.lexists(partial):
        raise ExportRefusedError(
            f"{partial} exists: another export is at work, or was interrupted. "
            f"What to do: wait for it, or remove that file."
        )
    try:
        yield partial
        restrict(partial)
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
            fields = _to_text_fields(record)
            writer.writerow([fields.get(name) for name in TEXT_COLUMNS])
            rows += 1
    return rows


def _json_lines(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    rows, encode = 0, msgspec.json.Encoder().encode
    with io.BufferedWriter(path.open("wb", buffering=0), 1 << 20) as file:
        for record in _records(batches):
            fields = {
                name: value
                for name, value in _to_text_fields(record).items()
                if value is not None or name in REQUIRED_FIELDS
            }
            for name in ("meta", "body"):
                if name in fields:
                    fields[name] = _embed_json(fields[name])
            file.write(encode(fields) + b"\n")
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


def _to_text_fields(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(record, name) for name in SCHEMA.names}
    if record.payload is not None:
        try:
            fields["payload"] = record.payload.decode()
        except UnicodeDecodeError:
            fields["payload"], fields["payload_base64"] = None, b64encode(record.payload).decode()
    return fields


def _embed_json(text: str) -> Any:
    """Return the text to be embedded as JSON, its numbers unchanged, or the text itself if it is not JSON."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return msgspec.Raw(text.encode())
