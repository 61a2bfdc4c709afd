"""The strict replay: one session in processes that differ in hash seed and in how the fold runs, record by record.

    PYTHONHASHSEED 1, 2  x  VERBATIM_JIT 1 (compiled), 0 (plain)

Each process (replay/strict_worker.py) replays alone and writes a digest of its whole state after every input.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from journal.progress import Progress
from journal.reader import Journal

DIGEST_ROW = np.dtype([("seq", "<i8"), ("digest", "V16")])
_ROOT = Path(__file__).resolve().parent.parent


class StrictReplayError(Exception):
    """A process of the comparison failed."""


class ReplayVariant(msgspec.Struct, frozen=True):
    """The settings of one process: its hash seed, and if the fold is compiled."""

    hash_seed: str
    jit: str

    @property
    def name(self) -> str:
        """The variant for people."""
        return f"{'compiled' if self.jit == '1' else 'plain'}, hash seed {self.hash_seed}"


VARIANTS = tuple(ReplayVariant(seed, jit) for jit in ("1", "0") for seed in ("1", "2"))  # two run at a time


class WorkerResult(msgspec.Struct, frozen=True):
    """The output of one process. `text` and `difference_seq` describe its own replay against the record."""

    identical: bool
    records: int
    inputs: int
    checkpoints: int
    seconds: float
    difference_seq: int | None
    text: str


class StrictResult(msgspec.Struct, frozen=True):
    """The result of a strict replay."""

    identical: bool
    variants: tuple[str, ...] = msgspec.field(name="ways")  # scripts read --json under this name
    records: int
    compared: int  # inputs after which all digests were compared
    seconds: tuple[float, ...]
    difference_seq: int | None = None
    what: str = ""

    def text(self) -> str:
        """Format the result for people. The last line is the outcome."""
        times = ", ".join(
            f"{variant}: {seconds:.1f} s" for variant, seconds in zip(self.variants, self.seconds, strict=True)
        )
        lines = [
            f"{len(self.variants)} replays of {self.records:,} records; states compared after {self.compared:,} inputs",
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
    variants: tuple[ReplayVariant, ...] = VARIANTS,
    on_progress: Progress | None = None,
) -> StrictResult:
    """Replay a session in each variant, and name the first record after which two disagree with the part of state.

    Runs recorded source: the caller has checked that it may. `on_progress` gets the variants done and to do.

    Raises:
        StrictReplayError: A process failed.
    """
    journal = Journal.open(folder)
    last = journal.last_seq if until is None else min(until, journal.last_seq)
    last = last if until_ns is None else min(last, journal.seq_at(until_ns))
    with tempfile.TemporaryDirectory(prefix="verbatim-strict-") as scratch:
        results, files = _run_variants(folder, last, variants, Path(scratch), on_progress)
        seq = first_disagreement(files)
        names, seconds = (
            tuple(variant.name for variant in variants),
            tuple(round(worker.seconds, 3) for worker in results),
        )
        compared = min(len(_read_rows(file)) for file in files)
        result = StrictResult(True, names, max(worker.records for worker in results), compared, seconds)
        if seq is not None:
            what = _differing_parts(folder, seq, variants, files)
            return msgspec.structs.replace(result, identical=False, difference_seq=seq, what=what)
    for variant, worker in zip(variants, results, strict=True):
        if not worker.identical:
            what = f"{variant.name}: {worker.text}"
            return msgspec.structs.replace(result, identical=False, difference_seq=worker.difference_seq, what=what)
    return result


def first_disagreement(files: list[Path]) -> int | None:
    """Return the first seq at which the files differ. A file that ends early differs there."""
    tables = [_read_rows(file) for file in files]
    shortest = min(len(table) for table in tables)
    differing: list[int] = []
    for table in tables[1:]:
        ours, theirs = (
            np.frombuffer(rows[:shortest].tobytes(), np.uint8).reshape(-1, DIGEST_ROW.itemsize)
            for rows in (tables[0], table)
        )
        wrong = np.flatnonzero((ours != theirs).any(axis=1))
        if len(wrong):
            differing.append(int(tables[0]["seq"][wrong[0]]))
    if not differing and any(len(table) != shortest for table in tables):
        longest = max(tables, key=len)
        differing.append(int(longest["seq"][shortest]))
    return min(differing, default=None)


def _read_rows(file: Path) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    return np.fromfile(file, DIGEST_ROW)


def _run_variants(
    folder: Path,
    last: int,
    variants: tuple[ReplayVariant, ...],
    scratch: Path,
    on_progress: Progress | None,
) -> tuple[list[WorkerResult], list[Path]]:
    results, files = [], []
    for first in range(0, len(variants), 2):  # two at a time: plain ones are slow, and two cores are common
        pair = variants[first : first + 2]
        targets = [scratch / f"{first + n}.digests" for n in range(len(pair))]
        with _running_workers(folder, last, pair, targets) as processes:
            for variant, process in zip(pair, processes, strict=True):
                results.append(_collect_result(variant, process))
        files += targets
        if on_progress is not None:
            on_progress(len(results), len(variants))
    return results, files


@contextlib.contextmanager
def _running_workers(
    folder: Path, last: int, variants: tuple[ReplayVariant, ...], targets: list[Path]
) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    try:
        for variant, target in zip(variants, targets, strict=True):
            processes.append(_start_worker(variant, [str(folder), str(last), str(target)]))
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


def _start_worker(variant: ReplayVariant, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own module, by its path
        [sys.executable, "-P", "-m", "replay.strict_worker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": variant.hash_seed, "VERBATIM_JIT": variant.jit, "PYTHONPATH": str(_ROOT)},
    )


def _collect_result(variant: ReplayVariant, process: subprocess.Popen[str]) -> WorkerResult:
    out, problem = process.communicate()
    if process.returncode != 0:
        lines = problem.strip().splitlines() or [f"exit code {process.returncode}"]
        raise StrictReplayError(f"the replay ({variant.name}) failed: {lines[-1]}")
    return msgspec.json.decode(out.splitlines()[-1], type=WorkerResult)


def _differing_parts(folder: Path, seq: int, variants: tuple[ReplayVariant, ...], files: list[Path]) -> str:
    """Name two variants that disagree at a record and the differing parts of state, by running both once more."""
    rows = [_row_bytes(file, seq) for file in files]
    other = next((n for n, row in enumerate(rows) if row != rows[0]), 1)
    parts = []
    for variant in (variants[0], variants[other]):
        process = _start_worker(variant, [str(folder), str(seq), "--parts"])
        out, problem = process.communicate()
        if process.returncode != 0:
            reason = "".join(problem.strip().splitlines()[-1:])
            return f"{variants[0].name} and {variants[other].name} disagree after record {seq} ({reason})"
        parts.append(msgspec.json.decode(out.splitlines()[-1], type=dict[str, str]))
    names = [name for name in sorted(parts[0].keys() | parts[1].keys()) if parts[0].get(name) != parts[1].get(name)]
    where = ", ".join(names) or "no part when run again: the state depends on something outside the records"
    return f"{variants[0].name} and {variants[other].name} disagree after record {seq} in {where}"


def _row_bytes(file: Path, seq: int) -> bytes:
    rows = _read_rows(file)
    index = np.flatnonzero(rows["seq"] == seq)
    return rows[index[0]].tobytes() if len(index) else b""
