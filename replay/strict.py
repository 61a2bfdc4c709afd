"""The strict replay: one session in processes that differ in hash seed and in how the fold runs, record by record.

    PYTHONHASHSEED 1, 2  x  VERBATIM_JIT 1 (compiled), 0 (plain)

Each process (replay/strict_worker.py) replays by itself and writes a digest of its whole state after every input.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from journal.reader import Journal

ROW = np.dtype([("seq", "<i8"), ("digest", "V16")])
_ROOT = Path(__file__).resolve().parent.parent


class StrictReplayError(Exception):
    """A process of the comparison did not come to its end."""


class ReplayVariant(msgspec.Struct, frozen=True):
    hash_seed: str
    jit: str

    @property
    def name(self) -> str:
        return f"{'compiled' if self.jit == '1' else 'plain'}, hash seed {self.hash_seed}"


WAYS = tuple(ReplayVariant(seed, jit) for jit in ("1", "0") for seed in ("1", "2"))  # a pair runs at a time


class WorkerVerdict(msgspec.Struct, frozen=True):
    """What one process says at its end. `text` and `difference_seq` are of its own replay against the record."""

    identical: bool
    records: int
    inputs: int
    checkpoints: int
    seconds: float
    difference_seq: int | None
    text: str


class StrictVerdict(msgspec.Struct, frozen=True):
    identical: bool
    ways: tuple[str, ...]
    records: int
    compared: int  # inputs after which all digests were compared
    seconds: tuple[float, ...]
    difference_seq: int | None = None
    what: str = ""

    def text(self) -> str:
        times = ", ".join(f"{way}: {seconds:.1f} s" for way, seconds in zip(self.ways, self.seconds, strict=True))
        lines = [
            f"{len(self.ways)} replays of {self.records:,} records; states compared after {self.compared:,} inputs",
            times,
        ]
        if self.identical:
            return "\n".join([*lines, "replay: identical"])
        return "\n".join([*lines, self.what, f"replay: differs at seq {self.difference_seq}"])


def replay_strictly(
    folder: Path,
    *,
    until: int | None = None,
    until_ns: int | None = None,
    ways: tuple[ReplayVariant, ...] = WAYS,
    on_progress: Callable[[str], None] | None = None,
) -> StrictVerdict:
    """Each way replays the session; the first record after which two disagree is named with the part of state.

    Runs recorded source: the caller has asked whether it may.
    """
    journal = Journal.open(folder)
    last = journal.last_seq if until is None else min(until, journal.last_seq)
    last = last if until_ns is None else min(last, journal.seq_at(until_ns))
    with tempfile.TemporaryDirectory(prefix="verbatim-strict-") as scratch:
        verdicts, files = _run_all(folder, last, ways, Path(scratch), on_progress)
        seq = first_disagreement(files)
        names, seconds = tuple(way.name for way in ways), tuple(round(verdict.seconds, 3) for verdict in verdicts)
        compared = min(len(_rows(file)) for file in files)
        found = StrictVerdict(True, names, max(verdict.records for verdict in verdicts), compared, seconds)
        if seq is not None:
            what = _parts_that_differ(folder, seq, ways, files)
            return msgspec.structs.replace(found, identical=False, difference_seq=seq, what=what)
    for way, verdict in zip(ways, verdicts, strict=True):
        if not verdict.identical:
            what = f"{way.name}: {verdict.text}"
            return msgspec.structs.replace(found, identical=False, difference_seq=verdict.difference_seq, what=what)
    return found


def first_disagreement(files: list[Path]) -> int | None:
    """The first seq at which not all files say the same; a file that ends early disagrees there."""
    tables = [_rows(file) for file in files]
    shortest = min(len(table) for table in tables)
    found: list[int] = []
    for table in tables[1:]:
        ours, theirs = (
            np.frombuffer(each[:shortest].tobytes(), np.uint8).reshape(-1, ROW.itemsize) for each in (tables[0], table)
        )
        wrong = np.flatnonzero((ours != theirs).any(axis=1))
        if len(wrong):
            found.append(int(tables[0]["seq"][wrong[0]]))
    if not found and any(len(table) != shortest for table in tables):
        longest = max(tables, key=len)
        found.append(int(longest["seq"][shortest]))
    return min(found, default=None)


def _rows(file: Path) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    return np.fromfile(file, ROW)


def _run_all(
    folder: Path, last: int, ways: tuple[ReplayVariant, ...], scratch: Path, on_progress: Callable[[str], None] | None
) -> tuple[list[WorkerVerdict], list[Path]]:
    verdicts, files = [], []
    for at in range(0, len(ways), 2):  # two at a time: plain ones are slow, and two cores are common
        pair = ways[at : at + 2]
        begun = time.monotonic()
        targets = [scratch / f"{at + n}.digests" for n in range(len(pair))]
        with _workers(folder, last, pair, targets) as processes:
            for way, process in zip(pair, processes, strict=True):
                verdicts.append(_end(way, process))
        files += targets
        if on_progress is not None:
            on_progress(f"{' and '.join(way.name for way in pair)}: {time.monotonic() - begun:.1f} s")
    return verdicts, files


@contextlib.contextmanager
def _workers(
    folder: Path, last: int, ways: tuple[ReplayVariant, ...], targets: list[Path]
) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    try:
        for way, target in zip(ways, targets, strict=True):
            processes.append(_worker(way, [str(folder), str(last), str(target)]))
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


def _worker(way: ReplayVariant, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own module, by its path
        [sys.executable, "-P", "-m", "replay.strict_worker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": way.hash_seed, "VERBATIM_JIT": way.jit, "PYTHONPATH": str(_ROOT)},
    )


def _end(way: ReplayVariant, process: subprocess.Popen[str]) -> WorkerVerdict:
    out, problem = process.communicate()
    if process.returncode != 0:
        lines = problem.strip().splitlines() or [f"exit code {process.returncode}"]
        raise StrictReplayError(f"the replay ({way.name}) did not end: {lines[-1]}")
    return msgspec.json.decode(out.splitlines()[-1], type=WorkerVerdict)


def _parts_that_differ(folder: Path, seq: int, ways: tuple[ReplayVariant, ...], files: list[Path]) -> str:
    """Which ways disagree at a record and in which part of state: they are run once more up to there."""
    rows = [_digest_at(file, seq) for file in files]
    other = next((n for n, row in enumerate(rows) if row != rows[0]), 1)
    parts = []
    for way in (ways[0], ways[other]):
        process = _worker(way, [str(folder), str(seq), "--parts"])
        out, problem = process.communicate()
        if process.returncode != 0:
            said = problem.strip().splitlines()[-1:]
            return f"{ways[0].name} and {ways[other].name} disagree after record {seq} ({''.join(said)})"
        parts.append(msgspec.json.decode(out.splitlines()[-1], type=dict[str, str]))
    names = [name for name in sorted(parts[0].keys() | parts[1].keys()) if parts[0].get(name) != parts[1].get(name)]
    where = ", ".join(names) or "no part when run again: something outside the records is at work"
    return f"{ways[0].name} and {ways[other].name} disagree after record {seq} in {where}"


def _digest_at(file: Path, seq: int) -> bytes:
    rows = _rows(file)
    at = np.flatnonzero(rows["seq"] == seq)
    return rows[at[0]].tobytes() if len(at) else b""
