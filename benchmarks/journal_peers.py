"""Peers of the journal's writer. Each writes the same rows, one group per window of 50 ms.

    proto       the crash-tested sketch of limits/proto.py: crc frames of Arrow batches, one write each
    arrow ipc   a plain Arrow stream, one batch each: no checksum, no recovery
    sqlite      WAL, one commit each; FULL syncs each, NORMAL none
    nautilus    its StreamingFeatherWriter, in its own process and environment (peers/nautilus_feather.py): it keeps
                decoded objects, not the wire's bytes, and never syncs

The first three write the columns of limits/proto.py: seq, receive time, kind, stream, payload. Ours writes ten columns.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from measuring import SHARED, Row

LIMITS = SHARED / "bench" / "limits"
NAUTILUS = SHARED / "bench" / "peers"
SOURCE = "binance_usdm.market.0"


class Proto:
    """limits/proto.py, unsynced as limits/j_path.py measures it, or with a sync for each window."""

    def __init__(self, folder: Path, *, sync: bool = False) -> None:
        sys.path.insert(0, str(LIMITS))
        from proto import Journal, RealDisk  # type: ignore[import-not-found]  # beside this checkout

        self._journal, self._sync = Journal(RealDisk(folder)), sync

    def append(self, row: Row) -> None:
        self._journal.append(row[0], 1, SOURCE, row[1])

    def end_window(self) -> None:
        self._journal.flush(sync=self._sync)

    def close(self) -> None:
        os.close(self._journal.disk.dfd)
        self._journal.disk.close(self._journal.name)


class ArrowStream:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._schema = pa.schema(
            [
                ("seq", pa.int64()),
                ("recv_ns", pa.int64()),
                ("kind", pa.uint8()),
                ("stream", pa.string()),
                ("payload", pa.binary()),
            ]
        )
        self._sink = pa.OSFile(str(folder / "stream.arrow"), "wb")
        self._stream = pa.ipc.new_stream(self._sink, self._schema)
        self._rows: list[tuple[int, int, int, str, bytes]] = []
        self._seq = 0

    def append(self, row: Row) -> None:
        self._rows.append((self._seq, row[0], 1, SOURCE, row[1]))
        self._seq += 1

    def end_window(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._stream.write_batch(pa.record_batch(arrays, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        self._stream.close()
        self._sink.close()


class Sqlite:
    def __init__(self, folder: Path, *, synchronous: str) -> None:
        folder.mkdir()
        self._base = sqlite3.connect(folder / "journal.db", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute(f"PRAGMA synchronous = {synchronous}")
        self._base.execute(
            "CREATE TABLE journal (seq INTEGER PRIMARY KEY, recv_ns INTEGER, kind INTEGER, stream TEXT, payload BLOB)"
        )
        self._rows: list[tuple[int, int, int, str, bytes]] = []
        self._seq = 0

    def append(self, row: Row) -> None:
        self._rows.append((self._seq, row[0], 1, SOURCE, row[1]))
        self._seq += 1

    def end_window(self) -> None:
        self._base.execute("BEGIN")
        self._base.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", self._rows)
        self._base.execute("COMMIT")
        self._rows = []

    def close(self) -> None:
        self._base.close()


def nautilus(pythons: Sequence[Path], capture: Path, scratch: Path) -> dict[str, Callable[[], dict[str, float]]]:
    """Return the runs by version. A missing environment is reported and skipped."""
    found: dict[str, Callable[[], dict[str, float]]] = {}
    for python in pythons:
        asked = [str(python), "-c", "from importlib.metadata import version; print(version('nautilus_trader'))"]
        try:
            version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            print(f"left out: {python} has no nautilus_trader", file=sys.stderr)
            continue
        program = NAUTILUS / ("nautilus_feather.py" if version.startswith("1.") else "nautilus_v2_feather.py")
        command = [
            str(python),
            "-B",
            str(program),
            str(capture),
            str(scratch / f"nautilus-{version}"),
            "--step",
            "write",
        ]
        (scratch / f"nautilus-{version}").mkdir(exist_ok=True)
        found[f"nautilus {version} feather"] = lambda command=command: _nautilus_once(command)
    return found


def _nautilus_once(command: list[str]) -> dict[str, float]:
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return {"cpu us": told["cpu_s"] / told["msgs"] * 1e6, "wall us": told["wall_s"] / told["msgs"] * 1e6}
