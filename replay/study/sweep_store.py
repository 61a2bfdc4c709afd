"""The kept rows of a sweep: Parquet files in one folder, so that an interrupted sweep continues where it was.

While it runs, each batch of rows is one file in `parts`; at the end they become one file, `results.parquet`. A
file that a crash cut off is ignored, and its rows are made again.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from replay.study.sweep import SweepRow
from replay.study.sweep_space import SweepError, Variant

RESULTS = "results.parquet"
PARTS = "parts"
PLAN = "sweep.json"
PART_ROWS = 100
PART_SECONDS = 20
_MONEY = pa.decimal128(38, 18)
_TYPES = {int: pa.int64(), str: pa.string(), float | None: pa.float64(), tuple[float, ...]: pa.list_(pa.float64())}


def _column_type(annotation: Any) -> pa.DataType:
    return _TYPES.get(annotation, _MONEY)


SCHEMA = pa.schema([(each.name, _column_type(each.type)) for each in msgspec.structs.fields(SweepRow)])


class SweepStore:
    """Reads and writes the rows of one sweep."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; it is created with the first row."""
        self.folder = folder
        self._waiting: list[SweepRow] = []
        self._since = time.monotonic()

    def load(self) -> dict[str, SweepRow]:
        """Return the kept rows by the hash of their inputs."""
        paths = [self.folder / RESULTS, *sorted((self.folder / PARTS).glob("*.parquet"))]
        return {row.key: row for path in paths for row in _read(path)}

    def add(self, row: SweepRow) -> None:
        """Keep a row; it is on disk at the latest with the next `flush`."""
        self._waiting.append(row)
        if len(self._waiting) >= PART_ROWS or time.monotonic() - self._since > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._waiting:
            name = f"{time.time_ns():020}-{os.getpid()}.parquet"
            _write(self.folder / PARTS / name, self._waiting)
        self._waiting, self._since = [], time.monotonic()

    def finish(self, rows: Sequence[SweepRow], variants: Sequence[Variant]) -> Path:
        """Write all rows into one file, with a column for each parameter, and delete the parts."""
        path = self.folder / RESULTS
        _write(path, rows, variants)
        for part in (self.folder / PARTS).glob("*.parquet"):
            part.unlink()
        return path

    def check_plan(self, plan: dict[str, Any], *, fresh: bool) -> None:
        """Write the plan, or compare it with the one that the folder has.

        Raises:
            SweepError: The folder has another sweep.
        """
        path = self.folder / PLAN
        text = msgspec.json.encode(plan)
        if path.exists() and not fresh and path.read_bytes() != text:
            raise SweepError(
                f"{self.folder} has the results of another sweep. What to do: name another folder with --into, or "
                "begin again with --fresh."
            )
        if fresh:
            for old in (self.folder / RESULTS, *(self.folder / PARTS).glob("*.parquet")):
                old.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def _write(path: Path, rows: Sequence[SweepRow], variants: Sequence[Variant] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    table = pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names})
    for name in variants[0].values if variants else ():
        values = [variants[row.variant].values[name] for row in rows]
        table = table.append_column(f"param.{name}", pa.array(values, pa.string()))
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)


def _read(path: Path) -> list[SweepRow]:
    """Return the rows of a file; none if it is missing, cut off, or of another version."""
    try:
        found = pq.read_table(path, columns=SCHEMA.names)
        if found.schema.names != SCHEMA.names:
            return []
        return [SweepRow(**{**row, "returns": tuple(row["returns"])}) for row in found.to_pylist()]
    except (OSError, pa.ArrowException, TypeError, ValueError, KeyError):
        return []
